"""What a pod of the control plane serves: a real handshake, judged against the pinned root."""

from dataclasses import dataclass
from datetime import UTC, datetime

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Ref
from meshpki.components.trust import Pin
from meshpki.pki.certificate import UnparsableError
from meshpki.pki.chain import proves
from meshpki.pki.handshake import HandshakeError, served_chain


def pod_ref(pod: Object) -> Ref:
    """The name of a listed pod."""
    return Ref("v1", "Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])


@dataclass(frozen=True)
class Listener:
    """A TLS port of one pod, and the name to ask it for."""

    pod: Ref
    port: int
    server_name: str

    def __str__(self) -> str:
        """Where it is."""
        return f"{self.pod} port {self.port}"


def unproven(reader: Reader, listener: Listener, pin: Pin, through: str = "") -> str:
    """Why the chain that a listener serves has no path to a pinned root; empty where it has.

    `through` is the SHA-256 that the direct issuer must have, empty where any CA under the root will do.
    """
    try:
        with reader.forward(listener.pod, listener.port) as connection:
            chain = served_chain(connection, listener.server_name)
    except (HandshakeError, UnparsableError) as error:
        return f"{listener}: {error.what}"
    why = proves(chain, pin.roots, datetime.now(UTC), pin.max_depth)
    if why:
        return f"{listener}: {why}"
    issuer = chain[1].sha256 if len(chain) > 1 else ""
    if through and issuer != through:
        return f"{listener}: its certificate is signed by {issuer or 'the root'}, expected {through}"
    return ""
