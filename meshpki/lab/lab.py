"""A lab cluster as its callers see it, and what every driver can do."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from meshpki.lab.progress import Report

Consent = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Lab:
    """How to reach a running lab; what is None this driver does not have.

    `settings` is an overlay of meshpki.yaml, `artifacts` an artifact directory, `audit_log` the API server's log at
    Metadata level, one JSON event a line.
    """

    kubeconfig: Path
    context: str
    settings: Path | None
    artifacts: Path | None
    audit_log: Path | None


@dataclass(frozen=True, slots=True)
class Wish:
    """What `lab up` was asked for: `nodes` None keeps what there is, or makes one.

    `consent` is asked before a command that installs packages runs, with the command.
    """

    nodes: int | None = None
    consent: Consent = lambda _: False


class Driver(Protocol):
    """One way to have a real cluster on this machine."""

    @property
    def name(self) -> str:
        """What `--driver` calls it."""

    @property
    def brings_artifacts(self) -> bool:
        """Whether its lab comes with upstream's release files and their pins."""

    def up(self, wish: Wish, report: Report) -> Lab:
        """Make the lab, or repair it, or find that nothing is missing; raises PreconditionError or LabError."""

    def down(self, report: Report) -> None:
        """Remove everything that `up` made, whatever state it is in."""

    def lab(self) -> Lab | None:
        """The lab, where there is one."""

    def add_approver_policy(self, report: Report) -> None:
        """Give every node approver-policy, which is built only for labs that ask for it; kind pulls upstream's."""

    def load_image(self, archive: Path) -> None:
        """Give every node the image in a docker-archive."""

    def exec_argv(self, command: tuple[str, ...], node: str | None) -> tuple[str, ...]:
        """The command line that runs `command` inside a node, the first where none is named."""
