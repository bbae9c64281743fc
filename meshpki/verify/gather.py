"""What verify asks the cluster: pods, the pinned roots, each Envoy's secrets, and why a pod has none. No Secret."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from meshpki.cluster import envoy
from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query
from meshpki.cluster.readiness import newest_warning
from meshpki.components.trust import PIN
from meshpki.errors import MeshpkiError, PreconditionError
from meshpki.pki.bundle import read_bundle
from meshpki.pki.certificate import Certificate
from meshpki.verify.judge import Seen, Unread, Without
from meshpki.verify.pods import MeshPod, agent_trouble

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scope:
    """What to look at: an empty namespace means all of them, no names means every workload."""

    namespace: str = ""
    selector: str = ""
    names: tuple[str, ...] = ()


def pods(reader: Reader, scope: Scope) -> list[Object]:
    """The pods of the scope, whatever they are."""
    return reader.list(Query("v1", "Pod", scope.namespace, labels=scope.selector))


def pinned_roots(reader: Reader, fingerprint: str = "") -> tuple[Certificate, ...]:
    """The roots that the root-ca step pinned; a fingerprint (hex, colons allowed) from outside must be among them.

    Raises PreconditionError where nothing is pinned, or not that; UnparsableError for a damaged pin.
    """
    pin = reader.get(PIN)
    if pin is None:
        raise PreconditionError("MPK-353", "no root is pinned", where=str(PIN), remedy="install the mesh: meshpki up")
    roots = read_bundle(str(pin.get("data", {}).get("root.pem", "")).encode()).anchors
    if not fingerprint:
        return roots
    wanted = fingerprint.replace(":", "").lower()
    chosen = tuple(root for root in roots if root.sha256 == wanted)
    if not chosen:
        seen = ", ".join(root.sha256 for root in roots)
        raise PreconditionError(
            "MPK-354",
            f"the pinned root is {seen}, not {wanted}",
            where=str(PIN),
            remedy="compare the fingerprint with the one that `meshpki up` printed; if it is right, trust nothing here",
        )
    return chosen


def secrets(reader: Reader, mesh: Sequence[MeshPod], width: int, progress: Progress) -> list[Seen]:
    """What each pod's Envoy holds, or why it did not tell; `width` requests in flight."""
    seen: list[Seen] = []
    threads = ThreadPoolExecutor(width, thread_name_prefix="verify")
    try:
        for answer in threads.map(lambda pod: _ask(reader, pod), mesh):
            seen.append(answer)
            progress(len(seen), len(mesh))
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    return seen


def explain(reader: Reader, pod: MeshPod, answer: Seen, agents: Sequence[Object]) -> Seen:
    """The reason with what is known besides: the pod's own trouble, its node's SPIRE agent, its newest warning."""
    if isinstance(answer, envoy.Secrets):
        return answer
    events = Query("v1", "Event", pod.ref.namespace, fields=f"involvedObject.uid={pod.uid}")
    reasons = (answer.reason, pod.trouble, agent_trouble(agents, pod.node), _warning(reader, events))
    return replace(answer, reason="; ".join(dict.fromkeys(reason for reason in reasons if reason)))


def _ask(reader: Reader, pod: MeshPod) -> Seen:
    if not pod.has_proxy:
        return Unread("it has no sidecar")
    if not pod.running:
        return Without("its proxy does not run")
    try:
        held = envoy.secrets(reader, pod.ref)
    except envoy.EnvoyError as error:
        # a proxy that starts over and over answers nothing and holds nothing
        return Without(error.what) if pod.trouble else Unread(f"{error.what} ({error.code})")
    except MeshpkiError as error:
        return Unread(f"{error.what} ({error.code})")
    return held if held.chain_pem else Without("Envoy holds no certificate")


def _warning(reader: Reader, events: Query) -> str:
    try:
        return newest_warning(reader.list(events))
    except MeshpkiError as error:
        return f"its events cannot be read ({error.code}): {error.what}"
