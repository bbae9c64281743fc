"""`meshpki completion`: the few lines with which a shell asks meshpki how a word may go on."""

from enum import StrEnum
from importlib.resources import files
from typing import Annotated

import typer

from meshpki.cli import output

EXAMPLES = """\b
Examples:
  source <(meshpki completion bash)
  meshpki completion zsh > ~/.zfunc/_meshpki      (with ~/.zfunc in fpath before compinit)
  meshpki completion fish > ~/.config/fish/completions/meshpki.fish
\b
Contexts come from the kubeconfig; namespaces, workloads, pods and roots from the cluster that the line names so far.
They may take a second in all (MESHPKI_COMPLETION_SECONDS); where no cluster answers in time there are none, silently.
"""


class Shell(StrEnum):
    """Which shell asks."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish")]) -> None:
    """Print the completion of a shell, to be sourced or kept in a file."""
    output.data(files("meshpki").joinpath("completion", f"meshpki.{shell}").read_text(encoding="utf-8"))
