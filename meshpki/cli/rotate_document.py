"""What the reports of a rotation of istiod's CA and of SPIRE's share: both forms of each, before the run and after."""

import json
from collections.abc import Iterable, Mapping

from meshpki.cli import output
from meshpki.cli.format import Format
from meshpki.cli.moments import Run
from meshpki.rotate.exposure import Exposure
from meshpki.settings.durations import moment
from meshpki.settings.model import API_VERSION

_KIND = {"apiVersion": API_VERSION, "kind": "RotateReport"}
Content = Mapping[str, object]


def foreseen(form: Format, lines: Iterable[str], content: Content) -> str:
    """What is to be done, and that nothing was."""
    if form is Format.JSON:
        return json.dumps({**_KIND, **content, "dryRun": True}, indent=2)
    return output.plain("\n".join([*lines, output.DRY_RUN]))


def carried_out(form: Format, lines: Iterable[str], content: Content, evidence: Content, run: Run) -> str:
    """What was to be done, what came of it, and how the run went."""
    if form is Format.JSON:
        told = {**_KIND, **content, "dryRun": False, **evidence}
        return json.dumps({**told, "steps": run.board.rows(), "timeline": run.timeline()}, indent=2)
    return output.plain("\n".join(lines))


def exposed(exposure: Exposure | None) -> dict[str, object] | None:
    """What an old key is still good for; None where nobody else has it."""
    return {"until": moment(exposure.until), "can": list(exposure.can)} if exposure else None
