"""`meshpki render`: every manifest for GitOps, the same bytes each time, in an order that can be followed."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import options, output
from meshpki.errors import UsageError

if TYPE_CHECKING:
    from meshpki.rendering import Stage

EXAMPLES = """\b
Examples:
  meshpki render -f mesh.yaml -o mesh/            files, and the kubectl commands in their order
  meshpki render -f mesh.yaml -o mesh/ | sh -e    and run them, on kubectl's current context
  meshpki render spire | less                     one step, as a YAML stream
  meshpki render -o clusters/prod/mesh --for flux --path clusters/prod/mesh
\b
Needs no cluster, and holds no timestamp: the same settings give the same bytes. Istio's own manifests are those of the
pinned istioctl. kubectl applies them as meshpki's own field manager, so that `meshpki plan` and `up` go on from there.
The pin alone is not rendered, since it holds the root's fingerprint: `meshpki up --yes` makes it after the first apply.
\b
DIR holds exactly what was asked for last. It has to be new, empty or render's own; a file of it that somebody changed
is not overwritten.
\b
Exit codes: 0 rendered, 1 istioctl refused the settings, 2 usage, settings, or a folder that is not render's own,
4 a release file is missing.
"""
_DIR = "Where to write files, numbered in their order."
_FOR = "Who applies it: kubectl, argocd (sync waves) or flux (Kustomizations with dependsOn and wait)."


class Tool(StrEnum):
    """Who applies what was rendered."""

    KUBECTL = "kubectl"
    ARGOCD = "argocd"
    FLUX = "flux"


def render(
    steps: Annotated[list[str] | None, typer.Argument(metavar="[STEP]...", help="Only these steps.")] = None,
    *,
    files: options.OfflineFiles = None,
    folder: Annotated[Path | None, typer.Option("--output", "-o", metavar="DIR", help=_DIR)] = None,
    tool: Annotated[Tool, typer.Option("--for", help=_FOR)] = Tool.KUBECTL,
    path: Annotated[str, typer.Option(help="For flux: where DIR lies in the repository.")] = "",
    generation: Annotated[int, typer.Option(min=1, help="Which generation of the root, after a rotation.")] = 1,
    artifact_dir: options.ArtifactDir = None,
) -> None:
    """Write every manifest of an installation for GitOps, in the order of applying."""
    if (tool is Tool.FLUX and folder is None) or (path and tool is not Tool.FLUX):
        raise UsageError("MPK-224", "--for flux needs -o DIR, and --path is for flux", remedy="add -o DIR --for flux")
    from meshpki import rendering
    from meshpki.rendering.argocd import in_waves

    parts = _stages(options.given(files), options.given(steps), generation, artifact_dir)
    parts = in_waves(parts) if tool is Tool.ARGOCD else parts
    if folder is None:
        output.data(rendering.stream(parts))
    else:
        _write(parts, folder, tool, path)


def _stages(
    files: Sequence[Path], names: tuple[str, ...], generation: int, artifact_dir: Path | None
) -> "tuple[Stage, ...]":
    """The stages of the steps that were named, of all where none is; raises UsageError (MPK-205) for a wrong name."""
    from meshpki import artifacts, rendering
    from meshpki.install import EVERY, Target, steps, wish_manifest
    from meshpki.settings import read
    from meshpki.workflow.plan import Selection, check_names, narrowed

    check_names(Selection(only=names), [row.name for row in EVERY])
    settings = read(files)
    planned = steps(settings, artifacts.obtain(settings, artifact_dir, told=output.told), Target(), generation)
    narrowed(planned, Selection(only=names))
    return tuple(one for one in rendering.stages(planned, wish_manifest(settings)) if not names or one.step in names)


def _write(parts: "tuple[Stage, ...]", folder: Path, tool: Tool, path: str) -> None:
    from meshpki import rendering
    from meshpki.rendering.flux import kustomizations
    from meshpki.rendering.folder import write
    from meshpki.rendering.kubectl import commands

    written = {**rendering.files(parts), **(kustomizations(parts, path) if tool is Tool.FLUX else {})}
    changed = write(folder, written)
    output.progress(output.plain(f"{folder}: {len(written)} files, {changed} written or removed"))
    if tool is Tool.KUBECTL:
        output.data("\n".join(commands(parts, folder)))
    output.progress("after it is applied: meshpki up --yes   (makes the pin, and proves the mesh)")
