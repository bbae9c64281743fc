"""What one `verify` was asked for, and which options take away what others ask for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from meshpki.cli.verify_options import FailOn, Form, Rules
from meshpki.errors import UsageError

if TYPE_CHECKING:
    from meshpki.verify.demands import Demands

EVERY = timedelta(seconds=5)
_OFTENEST = timedelta(seconds=1)
_STDIN = Path("-")
_OF_A_FILE = (Form.TABLE, Form.WIDE, Form.SHORT, Form.JSON, Form.YAML)
_REDRAWN = (Form.TABLE, Form.WIDE, Form.SHORT, Form.TREE)


@dataclass(frozen=True, kw_only=True)
class OfMesh:
    """A look at a mesh: which cluster, which pods, and what is asked besides."""

    workloads: tuple[str, ...] = ()
    namespace: str = ""
    everywhere: bool = False
    selector: str = ""
    root_fingerprints: tuple[str, ...] = ()
    authorities: bool = False
    width: int | None = None
    context: str = ""
    kubeconfig: Path | None = None
    settings: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OfFile:
    """A file to be judged, and by what; what was not said is empty."""

    chain: Path | None = None
    dump: Path | None = None
    anchors: Path | None = None
    at: str = ""
    rules: Rules | None = None
    trust_domain: str = ""
    max_depth: int | None = None
    usages: str = ""


@dataclass(frozen=True)
class Telling:
    """How the verdict is told."""

    form: Form = Form.TABLE
    junit_file: Path | None = None
    watch: bool = False
    every: timedelta | None = None


@dataclass(frozen=True)
class Counting:
    """What counts, in the user's words."""

    min_validity: str = ""
    ignores: tuple[str, ...] = ()
    strict: bool = False
    fail_on: FailOn = FailOn.FAIL

    def demands(self) -> "Demands":
        """The same as values; raises UsageError (MPK-364, MPK-365)."""
        from meshpki.verify.demands import Demands, ignore, min_validity

        least = min_validity(self.min_validity) if self.min_validity else None
        severity: Literal["fail", "warn"] = "warn" if self.fail_on is FailOn.WARN else "fail"
        return Demands(least, tuple(map(ignore, self.ignores)), self.strict, severity)


@dataclass(frozen=True)
class Wish:
    """All of it; of the mesh and of a file one is empty."""

    mesh: OfMesh
    file: OfFile
    telling: Telling
    counting: Counting

    @property
    def names_a_file(self) -> bool:
        """Whether a file is judged, and no cluster contacted."""
        return bool(self.file.chain or self.file.dump)


def check(wish: Wish) -> None:
    """Refuse what contradicts itself; raises UsageError (MPK-356, MPK-363)."""
    for what in _contradictions(wish):
        raise UsageError(
            "MPK-356", what, remedy="leave one of them out; meshpki verify --help shows what goes together"
        )
    if wish.names_a_file and wish.file.anchors is None:
        remedy = "add --anchors ROOT.pem: what the chain must lead to is yours to say"
        raise UsageError("MPK-363", "a file is judged against anchors, and none are named", remedy=remedy)


def _contradictions(wish: Wish) -> Iterator[str]:
    if wish.mesh.namespace and wish.mesh.everywhere:
        yield "-n and -A exclude each other"
    yield from _judging_a_file(wish.file)
    yield from _of_the_other(wish)
    yield from _watching(wish.telling)


def _judging_a_file(file: OfFile) -> Iterator[str]:
    if file.chain and file.dump:
        yield "--file and --config-dump exclude each other"
    if [file.chain or file.dump, file.anchors].count(_STDIN) > 1:
        yield "standard input can be read only once"
    if file.rules is Rules.PATH and file.trust_domain:
        yield "--rules path knows no --trust-domain"


def _of_the_other(wish: Wish) -> Iterator[str]:
    """What is for a mesh and said of a file, or the other way round."""
    if not wish.names_a_file:
        yield from (f"{name} is for --file and --config-dump" for name in _given(_of_a_file(wish.file)))
        return
    yield from (f"{name} is for a mesh, not for a file" for name in _given(_of_a_mesh(wish)))
    if wish.telling.form not in _OF_A_FILE:
        yield f"-o {wish.telling.form} is for a mesh, not for a file"


def _watching(telling: Telling) -> Iterator[str]:
    if telling.every is not None and not telling.watch:
        yield "--every is for --watch"
    if telling.every is not None and telling.every < _OFTENEST:
        yield "--every is at least 1s"
    if telling.watch and (telling.form not in _REDRAWN or telling.junit_file):
        what = "--junit-file" if telling.junit_file else f"-o {telling.form}"
        yield f"--watch and {what} exclude each other"


def _of_a_mesh(wish: Wish) -> Mapping[str, object]:
    mesh, telling = wish.mesh, wish.telling
    return {
        "WORKLOAD": mesh.workloads,
        "-n": mesh.namespace,
        "-A": mesh.everywhere,
        "-l": mesh.selector,
        "--authorities": mesh.authorities,
        "--root-fingerprint": mesh.root_fingerprints,
        "--width": mesh.width,
        "--context": mesh.context,
        "--kubeconfig": mesh.kubeconfig,
        "-f": mesh.settings,
        "--ignore": wish.counting.ignores,
        "--junit-file": telling.junit_file,
        "--watch": telling.watch,
    }


def _of_a_file(file: OfFile) -> Mapping[str, object]:
    return {
        "--anchors": file.anchors,
        "--at": file.at,
        "--rules": file.rules,
        "--trust-domain": file.trust_domain,
        "--max-depth": None if file.max_depth is None else str(file.max_depth),
        "--eku": file.usages,
    }


def _given(options: Mapping[str, object]) -> Iterator[str]:
    return (name for name, value in options.items() if value)
