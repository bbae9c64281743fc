"""What must hold before the first write: gathered once, then judged by named, pure checks, all of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from meshpki.components.trust import PIN
from meshpki.errors import MeshpkiError, PreconditionError, UsageError
from meshpki.preflight import parts
from meshpki.preflight.approval import APPROVAL_CHECKS
from meshpki.preflight.root import ROOT_CHECKS
from meshpki.preflight.seen import Seen, look
from meshpki.preflight.surroundings import ENFORCE, Component, Problem, components_of, forbidding, is_default
from meshpki.settings import Settings
from meshpki.settings.fields import flatten
from meshpki.settings.model import CAN_WAIT
from meshpki.settings.releases import components, in_words, kubernetes_range, release_of

__all__ = ["CHECKS", "Check", "Found", "Outcome", "PreflightError", "Seen", "examine", "known", "look", "unanswered"]


@dataclass(frozen=True)
class Check:
    """A named precondition; `judge` gives the problem as (what, where, remedy), None where there is none.

    `reads` are the fields of Seen without which nothing can be said.
    """

    name: str
    code: str
    judge: Callable[[Seen, Settings], Problem | None]
    reads: tuple[str, ...] = ()

    @property
    def can_wait(self) -> bool:
        """Whether going on in spite of it harms nothing, so that settings may name it once and for all."""
        return self.name in CAN_WAIT


@dataclass(frozen=True)
class Found:
    """A check that does not hold."""

    check: Check
    error: MeshpkiError


class PreflightError(PreconditionError):
    """The checks that do not hold, all of them; nothing was written."""

    def __init__(self, found: Sequence[Found]) -> None:
        """Take code and place of the first, and tell them all."""
        first = found[0].error
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        super().__init__(first.code, f"{first.what}{more}", where=first.where, remedy=first.remedy)
        self.found = tuple(found)


@dataclass(frozen=True)
class Outcome:
    """What stops the run, what only is worth a warning because the user said so, and which components are there.

    `unseen` are checks that nothing could be looked at for.
    """

    refused: tuple[Found, ...] = field(default=())
    ignored: tuple[Found, ...] = field(default=())
    there: tuple[Component, ...] = field(default=())
    unseen: tuple[Check, ...] = field(default=())


def unanswered(error: MeshpkiError) -> Outcome:
    """The outcome where the API server does not answer this user."""
    api, *others = CHECKS
    return Outcome((Found(api, error),), unseen=tuple(others))


def examine(seen: Seen, settings: Settings, ignore: Sequence[str] = ()) -> Outcome:
    """Judge every check; a name in `ignore` turns its refusal into a warning, whatever comes of it.

    The settings' own list is for every run, and so counts only where going on can be safe.
    """
    known(ignore)
    refused: list[Found] = []
    ignored: list[Found] = []
    unseen = tuple(check for check in CHECKS if seen.unread.intersection(check.reads))
    for check in (check for check in CHECKS if check not in unseen):
        problem = check.judge(seen, settings)
        if problem is None:
            continue
        what, where, remedy = problem
        hint = f"{remedy}; or go on with --ignore {check.name}" if check.can_wait else remedy
        found = Found(check, PreconditionError(check.code, what, where=where, remedy=hint))
        borne = check.name in ignore or (check.can_wait and check.name in settings.ignore)
        (ignored if borne else refused).append(found)
    there = components_of((*seen.deployments, *seen.stateful_sets, *seen.daemon_sets))
    return Outcome(tuple(refused), tuple(ignored), there, unseen)


def known(names: Iterable[str]) -> None:
    """Raise UsageError (MPK-116) for a name that no check has."""
    checks = [check.name for check in CHECKS]
    for name in names:
        if name not in checks:
            close = get_close_matches(name, checks, 1)
            hint = f"did you mean `{close[0]}`? " if close else ""
            raise UsageError("MPK-116", f"there is no check `{name}`", remedy=f"{hint}they are: {', '.join(checks)}")


def _kubernetes(seen: Seen, settings: Settings) -> Problem | None:
    versions = flatten(settings.versions)
    rows = [release_of(name, str(versions[name])) for name in components()]
    oldest, newest = kubernetes_range(row for row in rows if row is not None)
    major, minor = (int(part.rstrip("+")) for part in seen.version.removeprefix("v").split(".")[:2])
    if oldest <= (major, minor) <= newest:
        return None
    what = f"Kubernetes is {seen.version}, these versions are for {in_words((oldest, newest))}"
    return what, "API server", "choose other versions"


def _platform(seen: Seen, _settings: Settings) -> Problem | None:
    for node in seen.nodes:
        info, name = node["status"]["nodeInfo"], node["metadata"]["name"]
        if info["operatingSystem"] != "linux":
            return f"its system is {info['operatingSystem']}", f"Node {name}", "SPIRE's CSI driver needs Linux nodes"
    return None


def _storage(seen: Seen, settings: Settings) -> Problem | None:
    wanted = settings.spire.storage.class_name
    defaults = [item for item in seen.storage_classes if is_default(item)]
    named = [item for item in seen.storage_classes if item["metadata"]["name"] == wanted]
    if seen.claims or (named if wanted else defaults):
        return None
    what = f"there is no StorageClass {wanted}" if wanted else "there is no default StorageClass"
    return what, "spire.storage.className", "spire-server keeps its CA on a volume: name a StorageClass, or make one"


def _rotation(seen: Seen, _settings: Settings) -> Problem | None:
    """Applying the alias issuer now would put a root into use that not everybody trusts yet."""
    if seen.pin is None or len(seen.pin.roots) == 1:
        return None
    remedy = "finish it first: meshpki rotate root, or go back with meshpki rotate root --abort"
    return "a root rotation is under way: two roots are pinned", str(PIN), remedy


def _programs(seen: Seen, _settings: Settings) -> Problem | None:
    if not seen.unfit:
        return None
    return "; ".join(seen.unfit), "artifacts", "take the release archive of that version, and its pin"


def _rights(seen: Seen, _settings: Settings) -> Problem | None:
    if not seen.missing_rights:
        return None
    remedy = "have them granted: `meshpki rbac install` prints the roles"
    return f"missing rights: {', '.join(seen.missing_rights)}", "this kubeconfig's user", remedy


def _clock(seen: Seen, _settings: Settings) -> Problem | None:
    if not seen.skews:
        return None
    remedy = "have them agree (NTP): a certificate is refused by whoever is not at its beginning yet"
    return "; ".join(seen.skews), "clocks", remedy


def _pod_security(seen: Seen, settings: Settings) -> Problem | None:
    names = settings.namespaces
    levels = {names.spire_system: "privileged", names.bookinfo: "privileged", names.istio: "baseline"}
    for name, level, wanted in forbidding(seen.namespaces, levels):
        what = f"it enforces `{level}`, its pods need `{wanted}`"
        return what, f"Namespace {name}", f"take the label {ENFORCE} off it, or choose another namespace"
    return None


def _terminating(seen: Seen, settings: Settings) -> Problem | None:
    """What is in them goes, and the API server refuses anything new there."""
    wanted = {str(name) for name in flatten(settings.namespaces).values()}
    going = [one["metadata"]["name"] for one in seen.namespaces if "deletionTimestamp" in one["metadata"]]
    names = sorted(wanted.intersection(going))
    if not names:
        return None
    remedy = f"wait until they are gone: kubectl wait --for=delete {' '.join(f'namespace/{name}' for name in names)}"
    return "being removed: nothing new can be made there", f"Namespace {', '.join(names)}", remedy


def _answers(_seen: Seen, _settings: Settings) -> Problem | None:
    """Whatever was seen, it answered; `unanswered` is told before anything is looked at."""
    return None


CHECKS = (
    Check("api", "MPK-101", _answers),
    Check("rights", "MPK-118", _rights),
    Check("kubernetes-version", "MPK-103", _kubernetes),
    Check("platform", "MPK-109", _platform, ("nodes",)),
    Check("cert-manager", "MPK-104", parts.cert_manager, ("deployments",)),
    Check("istio", "MPK-105", parts.istio, ("deployments",)),
    Check("spire", "MPK-106", parts.spire, ("stateful_sets", "daemon_sets", "csi_driver")),
    Check("namespaces", "MPK-127", parts.moved, ("deployments", "stateful_sets", "daemon_sets")),
    Check("istio-shape", "MPK-114", parts.shape, ("deployments", "daemon_sets")),
    Check("cacerts", "MPK-107", parts.cacerts, ("cacerts", "cacerts_certificate", "pin")),
    Check("trust-domain", "MPK-108", parts.trust_domain, ("mesh_config", "spire_config")),
    Check("storage", "MPK-110", _storage, ("storage_classes", "claims")),
    *(Check(*row) for row in ROOT_CHECKS),
    *(Check(*row) for row in APPROVAL_CHECKS),
    Check("istioctl", "MPK-124", _programs, ("unfit",)),
    Check("clock", "MPK-120", _clock, ("nodes", "leases")),
    Check("pod-security", "MPK-121", _pod_security, ("namespaces",)),
    Check("terminating", "MPK-128", _terminating, ("namespaces",)),
    Check("rotation", "MPK-430", _rotation, ("pin",)),
)
