"""How each step is: its own gates, those that only look, and its objects beside what meshpki applied."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from meshpki.cluster.abreast import abreast
from meshpki.cluster.client import NoAccessError, Reader
from meshpki.cluster.manifest import MANAGED_BY, STEP_LABEL, Object, Query, Ref, digest, only, owned, ref_of
from meshpki.components.istio import operator
from meshpki.components.istioctl import RECORD, fingerprint
from meshpki.errors import MeshpkiError
from meshpki.settings import Settings
from meshpki.status.drift import Changed, Drift, compare
from meshpki.status.report import State, StepStatus
from meshpki.status.running import owners, versions, wanted_version
from meshpki.workflow.step import Failed, Gate, Ready, Step, Waiting

# These do more than look (a dry-run create, an exec, a request through the mesh), or ask every Envoy, as verify does.
NOT_ASKED = frozenset(
    {
        ("cert-manager", "webhook"),
        ("approval", "webhook"),
        ("istio", "injection"),
        ("workloads", "identities"),
        ("workloads", "request"),
        ("workloads", "plaintext"),
    }
)
_IN_FLIGHT = 8
_OURS = ",".join(f"{label}={value}" for label, value in MANAGED_BY.items())


@dataclass(frozen=True)
class Objects:
    """The live objects of ours by name, None where one is gone; `unseen` the kinds that may not be listed, and why.

    `pods` are those of the mesh's own namespaces, as far as they may be listed: only their images are looked at.
    """

    live: Mapping[Ref, Object | None]
    unseen: Mapping[str, str]
    pods: Sequence[Object] = ()

    def of(self, step: Step) -> list[Object]:
        """A step's own: those that bear its label, and those that stand where one of its manifests belongs."""
        refs = {ref_of(manifest) for manifest in step.objects}
        return [one for ref, one in self.live.items() if one and (ref in refs or _label(one) == step.name)]


def _label(one: Object) -> str:
    return str((one["metadata"].get("labels") or {}).get(STEP_LABEL, ""))


def gather(reader: Reader, settings: Settings, steps: Iterable[Step]) -> Objects:
    """Our objects: a list for each kind by our label, and one by its name for any that lost it. Never a Secret."""
    refs = [ref_of(manifest) for step in steps for manifest in step.objects if manifest["kind"] != "Secret"]
    kinds = [Query(*kind, labels=_OURS) for kind in dict.fromkeys((ref.api_version, ref.kind) for ref in refs)]
    with abreast(_IN_FLIGHT, "status") as pool:
        pods = pool.submit(lambda: tuple(_pods(reader, settings)))
        lists = dict(zip(kinds, pool.map(lambda query: _listed(reader, query), kinds), strict=True))
        unseen = {query.kind: found.what for query, found in lists.items() if isinstance(found, NoAccessError)}
        live = {ref_of(one): one for found in lists.values() if isinstance(found, list) for one in found}
        lost = [ref for ref in refs if ref not in live and ref.kind not in unseen]
        found = pool.map(lambda ref: _named(reader, ref), lost)
        return Objects({**live, **dict(zip(lost, found, strict=True))}, unseen, pods.result())


def _named(reader: Reader, ref: Ref) -> Object | None:
    """By a list, too: whoever may list a kind needs no other right."""
    return next(iter(reader.list(only(ref))), None)


def _listed(reader: Reader, query: Query) -> list[Object] | NoAccessError:
    try:
        return reader.list(query)
    except NoAccessError as error:
        return error


def _pods(reader: Reader, settings: Settings) -> Iterator[Object]:
    names = settings.namespaces
    for namespace in (names.cert_manager, names.spire_server, names.spire_system, names.istio, names.bookinfo):
        try:
            yield from reader.list(Query("v1", "Pod", namespace))
        except NoAccessError:
            continue


def judge(reader: Reader, settings: Settings, step: Step, objects: Objects, missing: str = "") -> StepStatus:
    """One step; `missing` says which release file is not at hand, empty where its manifests are complete."""
    mine = objects.of(step)
    drift = _drift(reader, settings, step, objects, missing)
    running = versions(objects.pods, step.name)
    if not (mine or running or objects.unseen):
        return StepStatus(step.name, State.ABSENT, wanted=wanted_version(settings, step.name))
    state, reason = _state(reader, step)
    return StepStatus(step.name, state, reason, running, wanted_version(settings, step.name), owners(mine), drift)


def _drift(reader: Reader, settings: Settings, step: Step, objects: Objects, missing: str) -> Drift:
    if step.name == "istio":
        return _istio_drift(reader, settings)
    unseen = [f"kind {kind}: {why}" for kind, why in objects.unseen.items()]
    return compare((owned(one, step.name) for one in step.objects), objects.live, [missing] if missing else unseen)


def _istio_drift(reader: Reader, settings: Settings) -> Drift:
    """What istioctl made, as one: it is as recorded, or something of it is not."""
    try:
        record = reader.get(RECORD)
        now = fingerprint(reader) if record else ""
    except NoAccessError as error:
        return Drift(unseen=(error.what,))
    if record is None:
        return Drift()
    data = record.get("data", {})
    if data.get("operator") != digest(operator(settings)):
        return Drift(1, outdated=(RECORD,))
    if not data.get("objects"):
        return Drift(unseen=("what was rendered and applied by somebody else; `meshpki plan` compares it",))
    changed = Changed(RECORD, ("objects that istioctl installed",))
    return Drift(1, () if data.get("objects") == now else (changed,))


def _state(reader: Reader, step: Step) -> tuple[State, str]:
    states = [_look(reader, gate) for gate in step.gates if (step.name, gate.name) not in NOT_ASKED]
    for wanted in (State.NOT_READY, State.UNKNOWN):
        reasons = [reason for state, reason in states if state is wanted]
        if reasons:
            return wanted, "; ".join(reasons)
    return State.READY, ""


def _look(reader: Reader, gate: Gate) -> tuple[State, str]:
    try:
        readiness = gate.check(reader)
    except NoAccessError as error:
        return State.UNKNOWN, f"{error.what}; {error.remedy}" if error.remedy else error.what
    except MeshpkiError as error:
        return State.NOT_READY, error.what
    match readiness:
        case Ready():
            return State.READY, ""
        case Waiting(why) | Failed(why):
            return State.NOT_READY, why
