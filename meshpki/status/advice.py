"""The state that a mesh is in, in a word, and the command that is safe next: a pure table over one status report."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from meshpki.pki.renewal import OWNER
from meshpki.status.report import AuthorityStatus, State, StatusReport

ROOT, EXISTING_CA, ISTIOD_CA, SPIRE_CA = "root", "existing CA", "istiod CA", "SPIRE CA"
CERT_MANAGER = "cert-manager"


@dataclass(frozen=True)
class Advice:
    """One thing to do: what is the matter, and the command that fixes it or goes on."""

    state: str
    command: str


def advice(report: StatusReport) -> tuple[Advice, ...]:
    """What to do next, the first thing first; none where all is well or nobody may say.

    A root that is expired comes before everything below it, and a rotation under way before anything else: `up` is
    refused meanwhile.
    """
    if not report.installed:
        return (Advice("no mesh is installed here", "meshpki up"),)
    if report.rotation and report.rotation.next_commands:
        state = f"a root rotation stands at {report.rotation.stage}"
        return tuple(Advice(state, command) for command in report.rotation.next_commands)
    dead_root = next(chain(_expired(report, ROOT), _expired(report, EXISTING_CA)), None)
    if dead_root:
        state = f"{dead_root.subject} is expired: no new connection is accepted anywhere"
        owned = dead_root.renewal is not None and dead_root.renewal.by == OWNER
        return (Advice(state, "meshpki explain MPK-284" if owned else "meshpki rotate root"),)
    begun = (Advice(one.state, one.command) for one in report.unfinished)
    below = (_authorities(report), _steps(report))
    # no CA can be replaced before cert-manager is there to sign it
    ordered = chain.from_iterable(reversed(below) if _issuer_is_away(report) else below)
    return tuple(dict.fromkeys((*begun, *ordered)))


def _authorities(report: StatusReport) -> Iterator[Advice]:
    for one in _expired(report, ISTIOD_CA):
        state = f"{one.name} is expired: proxies and the API server refuse istiod, workloads still accept each other"
        yield Advice(state, "meshpki rotate istiod-ca")
    for one in _expired(report, SPIRE_CA):
        yield Advice(f"{one.name} is expired: no identity is issued", "meshpki rotate spire-ca --restart-agents")
    for one in report.authorities:
        if one.state is State.ABSENT:
            yield Advice(f"{one.name} is absent: {one.reason}", "meshpki up")
        elif one.state is State.NOT_READY and not _over(one, report):
            yield Advice(f"{one.name} is not well: {one.reason}", "meshpki verify --authorities")


def _steps(report: StatusReport) -> Iterator[Advice]:
    left = [step.name for step in report.steps if not step.well and step.state is not State.UNKNOWN]
    if left:
        yield Advice(f"not as meshpki installs it: {', '.join(left)}", "meshpki up")


def _issuer_is_away(report: StatusReport) -> bool:
    away = (State.NOT_READY, State.ABSENT)
    return any(step.name == CERT_MANAGER and step.state in away for step in report.steps)


def _expired(report: StatusReport, name: str) -> Iterator[AuthorityStatus]:
    return (one for one in report.authorities if one.name == name and _over(one, report))


def _over(one: AuthorityStatus, report: StatusReport) -> bool:
    return one.not_after is not None and one.not_after < report.at
