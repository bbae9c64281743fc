"""The page of a root rotation, to the file that was named."""

from pathlib import Path

from meshpki.cli import output
from meshpki.cli.root_forms import Outcome
from meshpki.errors import MeshpkiError


def keep_page(outcome: Outcome, path: Path) -> None:
    """Write it; what hinders that is the error of the command where the run itself has none, and told else."""
    try:
        write_page(outcome, path)
    except MeshpkiError as unwritten:
        if not outcome.exit_code:
            raise
        output.failure(unwritten)


def write_page(outcome: Outcome, path: Path) -> None:
    """Whole or not at all; raises UsageError (MPK-390)."""
    from meshpki import __version__
    from meshpki.cli.document import deliver
    from meshpki.drawing.page_frame import Origin
    from meshpki.drawing.rotation_page import page

    origin = Origin(outcome.intent.context, outcome.intent.server, __version__)
    error = str(outcome.error) if outcome.error else ""
    deliver(page(outcome.proof, outcome.report, origin, error), path)
