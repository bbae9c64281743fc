"""The page of a root rotation, to the file that was named."""

from pathlib import Path

from meshpki.cli.root_forms import Outcome


def write_page(outcome: Outcome, path: Path) -> None:
    """Whole or not at all; raises UsageError (MPK-390)."""
    from meshpki import __version__
    from meshpki.cli.document import deliver
    from meshpki.drawing.page_frame import Origin
    from meshpki.drawing.rotation_page import page

    origin = Origin(outcome.intent.context, outcome.intent.server, __version__)
    error = str(outcome.error) if outcome.error else ""
    deliver(page(outcome.proof, outcome.report, origin, error), path)
