"""Status: whether each step still stands and each CA lasts; one quick look that writes nothing and reads no Secret."""

from datetime import datetime

from meshpki.artifacts import NONE, Releases
from meshpki.cluster.abreast import abreast
from meshpki.cluster.client import Reader
from meshpki.errors import PreconditionError
from meshpki.install import Target, generation, steps
from meshpki.settings import Settings
from meshpki.status import authorities
from meshpki.status.report import AuthorityStatus, State, StatusReport, StepStatus
from meshpki.status.rotation import RotationStatus, rotation
from meshpki.status.step import gather, judge
from meshpki.status.unfinished import unfinished

__all__ = ["AuthorityStatus", "RotationStatus", "State", "StatusReport", "StepStatus", "look", "unseen"]

_FROM_RELEASES = ("cert-manager", "approval", "spire")


def look(reader: Reader, settings: Settings, releases: Releases, at: datetime) -> StatusReport:
    """One look at every step and every CA at a moment (UTC), side by side.

    `releases` may be `artifacts.NONE`: what upstream's files hold is then not compared, and the report says so.
    Raises ClusterError where the API server does not answer.
    """
    planned = steps(settings, releases, Target(), _generation(reader, settings))
    with abreast(len(planned) + 5, "status") as pool:
        cas = [
            pool.submit(authorities.root, reader, at),
            pool.submit(authorities.istiod_ca, reader, settings, at),
            pool.submit(authorities.spire_ca, reader, settings, at),
        ]
        under_way = pool.submit(rotation, reader, settings)
        half_done = pool.submit(unfinished, reader, settings, at)
        objects = gather(reader, settings, planned)
        judged = pool.map(lambda step: judge(reader, settings, step, objects, _missing(step.name, releases)), planned)
        found = tuple(one for ca in cas for one in ca.result())
        ttl = settings.spire.svid_ttl
        return StatusReport(at, tuple(judged), found, ttl, under_way.result(), half_done.result())


def unseen(report: StatusReport) -> PreconditionError:
    """The error for a report with nothing to be well or ill: nothing is installed, or a right is missing."""
    if not report.installed:
        return PreconditionError("MPK-385", "there is no mesh of meshpki's here", remedy="install it: meshpki up")
    what = "; ".join(report.unknown)
    remedy = "have these rights granted: `meshpki rbac status` prints the roles, and `operate` those of a rotation"
    return PreconditionError("MPK-386", f"not everything could be seen: {what}", remedy=remedy)


def _generation(reader: Reader, settings: Settings) -> int:
    """The pinned one; the first where the pin cannot be read, which the CAs and the gates tell."""
    try:
        return generation(reader, settings)
    except PreconditionError:
        return 1


def _missing(step: str, releases: Releases) -> str:
    return (
        "what upstream's release files hold, which are not at hand (--artifact-dir)"
        if releases == NONE and step in _FROM_RELEASES
        else ""
    )
