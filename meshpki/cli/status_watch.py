"""How `status --watch` tells one look: the whole report, or a line for each step and CA that is another than before."""

from collections.abc import Mapping

from meshpki.cli.status_forms import text
from meshpki.cli.watch import Watched
from meshpki.status.report import State, StatusReport
from meshpki.status.standing import standings


def states(report: StatusReport) -> Mapping[str, str]:
    """The word for each step, the state of each CA, and the stage of a rotation under way."""
    steps = {f"step {one.name}": str(one.word) for one in standings(report)}
    authorities = {f"{one.name} {one.subject}".strip(): str(one.state) for one in report.authorities}
    under_way = report.rotation
    rotation = {"root rotation": under_way.stage or under_way.reason} if under_way else {}
    return {**steps, **authorities, **rotation}


def total(report: StatusReport) -> str:
    """How many steps and CAs are well."""
    steps = sum(step.well for step in report.steps)
    authorities = sum(one.state is State.READY for one in report.authorities)
    return f"{steps} of {len(report.steps)} steps well, {authorities} of {len(report.authorities)} CAs"


WATCHED = Watched(text, total, states, well=str(State.READY))
