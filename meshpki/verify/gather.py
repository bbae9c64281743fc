"""What verify asks the cluster: pods, the pinned roots, each Envoy's secrets, and why a pod has none. No Secret."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from itertools import chain

from meshpki.cluster import envoy
from meshpki.cluster.client import ClusterError, NoAccessError, Reader
from meshpki.cluster.manifest import Object, Query
from meshpki.cluster.readiness import living, newest_warning
from meshpki.cluster.response import AnswerError
from meshpki.components.trust import PIN, Pin
from meshpki.errors import MeshpkiError, PreconditionError
from meshpki.pki.certificate import Certificate
from meshpki.settings import Settings
from meshpki.verify.judge import Seen, Unread, Without
from meshpki.verify.pods import MeshPod, agent_trouble
from meshpki.verify.scope import Scope

Progress = Callable[[int, int], None]


def pods(reader: Reader, scope: Scope) -> Iterator[Object]:
    """The pods of the scope, whatever they are, a page at a time."""
    return reader.scan(Query("v1", "Pod", scope.namespace, labels=scope.selector))


def pinned_roots(pin: Pin, named: Collection[str] = ()) -> tuple[Certificate, ...]:
    """The roots of the pin; raises PreconditionError (MPK-354) where a fingerprint (hex) named outside is of none."""
    pinned = [root.sha256 for root in pin.roots]
    missing = [one for one in named if one not in pinned]
    if missing:
        raise PreconditionError(
            "MPK-354",
            f"the pinned root is {', '.join(pinned)}, not {', '.join(missing)}",
            where=str(PIN),
            remedy="compare the fingerprint with the one that `meshpki up` printed; if it is right, trust nothing here",
        )
    return pin.roots


def secrets(reader: Reader, mesh: Sequence[MeshPod], width: int, progress: Progress) -> Iterator[tuple[MeshPod, Seen]]:
    """Each pod with what its Envoy holds, or why it did not tell, as the answers come; `width` requests in flight.

    A pod that went away meanwhile is left out. A pod counts as done in `progress` when the caller comes back for the
    next.
    """
    asked = {pod.ref: pod for pod in mesh if pod.has_proxy and pod.running}
    known = ((pod, _unasked(pod)) for pod in mesh if pod.ref not in asked)
    answers = reader.fetch(asked, envoy.ADMIN_PORT, envoy.PATH, width) if asked else ()
    told = ((asked[ref], _told_now(reader, asked[ref], answer)) for ref, answer in answers)
    for done, (pod, seen) in enumerate(chain(known, told), start=1):
        if seen is not None:
            yield pod, seen
        progress(done, len(mesh))


def explained(
    reader: Reader, settings: Settings, seen: Iterable[tuple[MeshPod, Seen]]
) -> Iterator[tuple[MeshPod, Seen]]:
    """Add the reasons that only a pod's surroundings know, where its Envoy told nothing or holds nothing.

    What holds something comes at once; the surroundings are read when all is told, and only where they are needed.
    """
    silent: list[tuple[MeshPod, Unread | Without]] = []
    for pod, answer in seen:
        if isinstance(answer, envoy.Secrets):
            yield pod, answer
        else:
            silent.append((pod, answer))
    if silent:
        yield from _reasoned(reader, silent, _agents(reader, settings))


def _reasoned(
    reader: Reader, silent: Iterable[tuple[MeshPod, Unread | Without]], agents: Sequence[Object] | MeshpkiError
) -> Iterator[tuple[MeshPod, Seen]]:
    """The reasons with what is known besides: the pod's own trouble, its node's SPIRE agent, its newest warning.

    Reads the warnings of a namespace once, however many of its pods are silent; one of a pod that is ready is over.
    """
    warnings: dict[str, Mapping[str, str]] = {}
    for pod, answer in silent:
        namespace = pod.ref.namespace
        if pod.trouble and namespace not in warnings:
            warnings[namespace] = _warnings(reader, namespace)
        about = warnings[namespace] if pod.trouble else {}
        warning = about.get(pod.uid) or about.get("", "")
        agent = _agent(agents, pod)
        reasons = (answer.reason, pod.trouble, agent, warning)
        told = replace(answer, reason="; ".join(dict.fromkeys(reason for reason in reasons if reason)))
        lacks_agent = bool(agent) and not isinstance(agents, MeshpkiError)
        yield pod, replace(told, evident=lacks_agent) if isinstance(told, Without) else told


def _agents(reader: Reader, settings: Settings) -> list[Object] | MeshpkiError:
    """SPIRE's agents, or why they cannot be seen, which is no reason to judge nothing at all."""
    try:
        return reader.list(Query("v1", "Pod", settings.namespaces.spire_system))
    except MeshpkiError as error:
        return error


def _agent(agents: Sequence[Object] | MeshpkiError, pod: MeshPod) -> str:
    if isinstance(agents, MeshpkiError):
        return f"SPIRE's agents cannot be seen: {agents.what} ({agents.code})"
    return agent_trouble(agents, pod.node)


def _unasked(pod: MeshPod) -> Seen:
    return Without("its proxy does not run") if pod.has_proxy else Unread("it has no sidecar")


def _told_now(reader: Reader, pod: MeshPod, answer: bytes | MeshpkiError) -> Seen | None:
    """None where there is no answer because the pod is no more."""
    silent = isinstance(answer, AnswerError) or (isinstance(answer, ClusterError) and not _shut_out(answer))
    return None if silent and _gone(reader, pod) else _told(pod, answer)


def _shut_out(error: ClusterError) -> bool:
    """Whether it would be the same for every pod: a missing right, or an API server that does not answer."""
    return isinstance(error, NoAccessError) or error.status == HTTPStatus.FORBIDDEN


def _gone(reader: Reader, pod: MeshPod) -> bool:
    """Whether a pod ended, leaves, or gave its name to another; by a list, for which verify has the right anyway."""
    try:
        found = reader.list(Query("v1", "Pod", pod.ref.namespace, fields=f"metadata.name={pod.ref.name}"))
    except MeshpkiError:
        return False
    return not any(living(one) and one["metadata"].get("uid", "") == pod.uid for one in found)


def _told(pod: MeshPod, answer: bytes | MeshpkiError) -> Seen:
    match answer:
        case AnswerError() as error:
            return _mute(pod, f"no answer from Envoy's admin port: {error.what}", error)
        case MeshpkiError() as error:
            return Unread(f"{error.what} ({error.code})")
        case bytes() as dump:
            try:
                held = envoy.parse(dump)
            except envoy.EnvoyError as error:
                return _mute(pod, error.what, error)
            return held if held.chain_pem else Without("Envoy holds no certificate")


def _mute(pod: MeshPod, reason: str, error: AnswerError) -> Seen:
    """A proxy that starts over and over answers nothing and holds nothing; of any other's silence nothing follows."""
    return Without(reason) if pod.crashed else Unread(f"{reason} ({error.code})")


def _warnings(reader: Reader, namespace: str) -> Mapping[str, str]:
    """The newest warning about each object of a namespace by its uid; that they cannot be read, under no uid."""
    events: dict[str, list[Object]] = {}
    try:
        for event in reader.scan(Query("v1", "Event", namespace, fields="type=Warning")):
            events.setdefault(str(event.get("involvedObject", {}).get("uid", "")), []).append(event)
    except MeshpkiError as error:
        return {"": f"its events cannot be read ({error.code}): {error.what}"}
    return {uid: newest_warning(about) for uid, about in events.items() if uid}
