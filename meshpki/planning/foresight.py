"""What would become of one object: asked of the API server by a dry run, or judged offline where it cannot say yet."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from meshpki.cluster.client import ClusterError, NoAccessError, Reader, UnknownKindError
from meshpki.cluster.manifest import Object, Ref, covers, ref_of
from meshpki.components.istio_objects import WEBHOOKS, hooks
from meshpki.errors import PreconditionError, StepError
from meshpki.planning.difference import differences
from meshpki.planning.masking import masked
from meshpki.planning.offline import problems, schema_of
from meshpki.planning.report import Action, ObjectPlan
from meshpki.workflow.apply import applied_from, content, same, wanted
from meshpki.workflow.event import Outcome

_ACTIONS = {Outcome.CREATED: Action.CREATE, Outcome.CONFIGURED: Action.CHANGE, Outcome.UNCHANGED: Action.SAME}
_WEBHOOK = "failed calling webhook"
_UNREAD = "the data of a Secret is never read"


@dataclass(frozen=True)
class Foresight:
    """What the plan itself brings: the namespaces and the CRDs that other objects of it need."""

    namespaces: frozenset[str]
    crds: tuple[Object, ...]

    @classmethod
    def of(cls, manifests: Iterable[Object]) -> "Foresight":
        """Gather it from every manifest of the plan."""
        planned = tuple(manifests)
        names = (one["metadata"]["name"] for one in planned if one["kind"] == "Namespace")
        return cls(frozenset(names), tuple(one for one in planned if one["kind"] == "CustomResourceDefinition"))


def judge(reader: Reader, foresight: Foresight, manifest: Object) -> ObjectPlan:
    """One of our own objects, by a dry-run apply with our field manager; raises what the API server refuses it for."""
    if manifest["kind"] == "Secret":
        return _secret(reader, manifest)
    live = reader.get(ref_of(manifest))
    try:
        return _seen(manifest, live, reader.dry_run(manifest))
    except ClusterError as error:
        return _offline(manifest, live, foresight, error)


def judge_installed(reader: Reader, foresight: Foresight, manager: str, manifest: Object) -> ObjectPlan:
    """One object that an installer would apply, by a dry run in its name; what of it others keep is no change."""
    if manifest["kind"] == "Secret":
        return _secret(reader, manifest)
    ref, live = ref_of(manifest), reader.get(ref_of(manifest))
    if live is not None and manifest["kind"] in WEBHOOKS:
        return ObjectPlan(ref, Action.SAME if hooks(live) == hooks(manifest) else Action.CHANGE)
    if live is not None and covers(live, manifest):
        return ObjectPlan(ref, Action.SAME)
    try:
        return _seen(manifest, live, reader.dry_run(manifest, manager))
    except ClusterError as error:
        return _offline(manifest, live, foresight, error)


def quickly(reader: Reader, manifest: Object) -> ObjectPlan:
    """One of our own objects, with a dry run only where it is not as it was last applied."""
    if manifest["kind"] == "Secret":
        return _secret(reader, manifest)
    ref = ref_of(manifest)
    return ObjectPlan(ref, _ACTIONS[wanted(reader, manifest, reader.get(ref))])


def _seen(manifest: Object, live: Object | None, answer: Object) -> ObjectPlan:
    ref = ref_of(manifest)
    if live is None:
        _, after = masked({}, manifest)
        return ObjectPlan(ref, Action.CREATE, after=after)
    if same(answer, live):
        return ObjectPlan(ref, Action.SAME)
    before, after = masked(content(live), content(answer))
    return ObjectPlan(ref, Action.CHANGE, differences(before, after), before=before, after=after)


def _offline(manifest: Object, live: Object | None, foresight: Foresight, error: ClusterError) -> ObjectPlan:
    ref, why = ref_of(manifest), _reason(manifest, foresight, error)
    if live is not None:
        return ObjectPlan(ref, Action.SAME if covers(live, manifest) else Action.CHANGE, offline=why)
    _, after = masked({}, manifest)
    return ObjectPlan(ref, Action.CREATE, offline=why, after=after)


def _reason(manifest: Object, foresight: Foresight, error: ClusterError) -> str:
    """Why the API server could not judge an object yet; raises where waiting for the plan's own steps ends nothing."""
    ref = ref_of(manifest)
    if isinstance(error, UnknownKindError):
        schema = schema_of(manifest, foresight.crds)
        if schema is None:
            raise _unmade(ref, f"the API server knows no kind {ref.kind} in {ref.api_version}") from error
        wrong = problems(manifest, schema)
        if wrong:
            raise StepError("MPK-223", f"its CRD would refuse it: {'; '.join(wrong)}", where=str(ref)) from error
        return f"kind {ref.kind} is not there yet"
    if error.status == HTTPStatus.NOT_FOUND:
        if ref.namespace not in foresight.namespaces:
            raise _unmade(ref, error.what) from error
        return f"namespace {ref.namespace} is not there yet"
    # A plain 500 is a refusal as well: so is answered what no server-side apply can merge.
    refused = error.status == HTTPStatus.INTERNAL_SERVER_ERROR and _WEBHOOK not in error.what
    if isinstance(error, NoAccessError) or refused or not error.transient:
        raise error
    return error.what


def _unmade(ref: Ref, what: str) -> PreconditionError:
    remedy = "plan the steps before it too, or run them first: `meshpki step list` names them"
    return PreconditionError("MPK-221", f"{what}, and no step of this plan makes it", where=str(ref), remedy=remedy)


def _secret(reader: Reader, manifest: Object) -> ObjectPlan:
    """A Secret is compared by the digest it was applied with; its data stays where it is."""
    live = reader.metadata(ref_of(manifest))
    if live is None:
        return ObjectPlan(ref_of(manifest), Action.CREATE, offline=_UNREAD)
    as_applied = applied_from(live) == applied_from(manifest)
    return ObjectPlan(ref_of(manifest), Action.SAME if as_applied else Action.CHANGE, offline=_UNREAD)
