"""`meshpki artifacts`: everything that meshpki downloads or has pulled, to be listed, fetched, checked and pinned."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import options, output
from meshpki.cli.format import Format

if TYPE_CHECKING:
    from meshpki.settings import Settings

EXAMPLES = """\b
Examples:
  meshpki artifacts list                       every release file: version, URL, pin, whether it is here
  meshpki artifacts fetch ./files              all of them into a directory, for a machine without a network
  meshpki artifacts verify ./files             whether each is, byte for byte, what is pinned
  meshpki artifacts lock ./files > pins.yaml   what lies there as settings, to be laid over your own
  meshpki artifacts images                     every image, as it is pulled with these settings
  meshpki up --artifact-dir ./files            and then with no download at all
\b
Exit codes: 0 done, 2 settings, 4 a file is missing, has no pin or could not be downloaded, 5 one differs from its pin.
"""
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The directory of release files.")]
MaybeFolder = Annotated[
    Path | None,
    typer.Argument(metavar="[DIR]", help="The directory of release files; else the cache.", show_default=False),
]
Form = Annotated[Format, typer.Option("--output", "-o", help="text or json")]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What meshpki downloads: pinned and checked.")


@app.callback(epilog=EXAMPLES)
def artifacts() -> None:
    """What meshpki downloads: pinned and checked."""


@app.command("list", epilog=EXAMPLES)
def list_artifacts(
    directory: MaybeFolder = None, *, files: options.OfflineFiles = None, form: Form = Format.TEXT
) -> None:
    """List every release file with its version, its URL, its pin and what lies here of it; downloads nothing."""
    from meshpki.artifacts import kept
    from meshpki.cli.artifacts_forms import told

    output.data(told(kept(_settings(files), directory), form))


@app.command(epilog=EXAMPLES)
def fetch(directory: Folder, *, files: options.OfflineFiles = None, form: Form = Format.TEXT) -> None:
    """Download every release file into a directory, each checked against its pin; what is there already stays."""
    from meshpki.artifacts import fetch as fetched
    from meshpki.cli.artifacts_forms import told

    output.data(told(fetched(_settings(files), directory, output.told), form))


@app.command(epilog=EXAMPLES)
def verify(directory: MaybeFolder = None, *, files: options.OfflineFiles = None, form: Form = Format.TEXT) -> None:
    """Compare every release file with its pin; both digests are shown where they differ."""
    from meshpki.artifacts import kept
    from meshpki.cli.artifacts_forms import exit_code, told

    found = kept(_settings(files), directory)
    output.data(told(found, form))
    if code := exit_code(found):
        raise typer.Exit(code)


@app.command(epilog=EXAMPLES)
def lock(directory: Folder, *, files: options.OfflineFiles = None) -> None:
    """Print the pins of the files that lie in a directory, as settings; compare them with what upstream tells."""
    from meshpki.artifacts import kept
    from meshpki.cli.artifacts_forms import locked

    output.data(locked(kept(_settings(files), directory)))


@app.command(epilog=EXAMPLES)
def images(directory: MaybeFolder = None, *, files: options.OfflineFiles = None, form: Form = Format.TEXT) -> None:
    """List every image that an installation pulls, as it is pulled: from the mirror where the settings name one."""
    from meshpki.artifacts import with_images
    from meshpki.cli.artifacts_forms import told_images
    from meshpki.install import pulled

    settings = _settings(files)
    output.data(told_images(pulled(settings, with_images(settings, directory, output.told)), form))


def _settings(files: list[Path] | None) -> "Settings":
    from meshpki.settings import defaults, read

    return read(files) if files else defaults()
