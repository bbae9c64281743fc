"""Which X.509-SVIDs, of workloads and of SPIRE's servers, are from the CAs of now, and by when the others will be."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from meshpki.cluster import envoy
from meshpki.cluster.client import ClusterError, Reader
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.components.serving import pod_ref
from meshpki.components.spire import CSI_DRIVER, SERVER_PORT
from meshpki.components.spire_authorities import servers
from meshpki.errors import MeshpkiError
from meshpki.pki.certificate import Certificate, UnparsableError, read_chain
from meshpki.pki.handshake import HandshakeError, served_chain
from meshpki.pki.renewal import latest_of_svid
from meshpki.settings import Settings
from meshpki.verify.pods import IDENTITY_LABEL, mesh_pods

WIDTH = 64


@dataclass(frozen=True)
class Moving:
    """By name: moved, still on another CA (with the leaf they hold), or silent (with the reason)."""

    moved: tuple[str, ...] = ()
    staying: dict[str, Certificate] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All that have their certificate from SPIRE, or should."""
        return len(self.moved) + len(self.staying) + len(self.silent)

    @property
    def until(self) -> datetime | None:
        """By when agents and servers that run have renewed what has not moved; None where nothing is left to."""
        return max(map(latest_of_svid, self.staying.values()), default=None)

    def __str__(self) -> str:
        """As it is told while it goes on."""
        silent = f", {len(self.silent)} do not answer" if self.silent else ""
        return f"{len(self.moved)} of {self.total} certificates moved{silent}"


def moving(reader: Reader, settings: Settings, authorities: frozenset[str]) -> Moving:
    """Where workloads and the servers' own certificates stand; `authorities` are the ids (hex) of the CAs of now."""
    pods = [pod for pod in reader.scan(Query("v1", "Pod")) if _from_spire(pod)]
    meshed = {pod.ref: pod for pod in mesh_pods(pods)}
    asked = [ref for ref, pod in meshed.items() if pod.has_proxy and pod.running]
    answers = reader.fetch(asked, envoy.ADMIN_PORT, envoy.PATH, WIDTH)
    found = {str(ref): _leaf(answer) for ref, answer in answers}
    own = {f"{ref} port {SERVER_PORT}": _own(reader, ref) for ref in map(pod_ref, servers(reader, settings))}
    silent = {str(ref): pod.trouble or "its proxy does not run" for ref, pod in meshed.items() if ref not in asked}
    return sorted_out({**found, **own}.items(), authorities, silent)


def sorted_out(
    found: Iterable[tuple[str, Certificate | str]], authorities: frozenset[str], silent: dict[str, str]
) -> Moving:
    """Each pod in its place, by the authority key id of its leaf; a text is why there is no leaf."""
    moved, staying, mute = [], dict[str, Certificate](), dict(silent)
    for name, leaf in found:
        match leaf:
            case str():
                mute[name] = leaf
            case _ if leaf.aki in authorities:
                moved.append(name)
            case _:
                staying[name] = leaf
    return Moving(tuple(sorted(moved)), staying, mute)


def _from_spire(pod: Object) -> bool:
    """Whether a pod has SPIRE's socket, or is promised an identity by its label."""
    volumes = pod.get("spec", {}).get("volumes") or []
    mounted = any((volume.get("csi") or {}).get("driver") == CSI_DRIVER for volume in volumes)
    return mounted or (pod["metadata"].get("labels") or {}).get(IDENTITY_LABEL) == "true"


def _own(reader: Reader, server: Ref) -> Certificate | str:
    try:
        with reader.forward(server, SERVER_PORT) as connection:
            return served_chain(connection, f"spire-server.{server.namespace}")[0]
    except (HandshakeError, UnparsableError, ClusterError) as error:
        return error.what


def _leaf(answer: bytes | MeshpkiError) -> Certificate | str:
    if isinstance(answer, MeshpkiError):
        return answer.what
    try:
        return read_chain(envoy.parse(answer).chain_pem)[0]
    except (envoy.EnvoyError, UnparsableError) as error:
        return error.what
