"""Building Go modules at pinned versions into the cache, once for each fingerprint of their sources and toolchain."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meshpki.errors import LabError, PreconditionError
from meshpki.lab.recipes import RECIPES, Carried, Recipe
from meshpki.lab.store import fingerprint, keep
from meshpki.leash import leashed

MODULES = Path(__file__).parent / "modules"
DEBIAN_PACKAGES = ("gcc", "libc6-dev")  # for SQLite in spire-server
SHOWN_LINES = 20
_TOOLCHAIN = re.compile(r"\bgo(\d+(?:\.\d+)*)")
_DIRECTIVE = re.compile(r"^go (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Build:
    """A finished or future build: `bin/` with the binaries and `files/` with what its recipe carries."""

    recipe: Recipe
    root: Path

    @property
    def done(self) -> bool:
        """Whether it is in the cache."""
        return self.root.is_dir()

    def binaries(self) -> Mapping[str, Path]:
        """The finished build's binaries by name."""
        return {path.name: path for path in (self.root / "bin").iterdir()}

    def file(self, path: str) -> Path:
        """A carried file or folder, by the last part of its path in its module."""
        return self.root / "files" / path


def plan(cache: Path) -> tuple[Build, ...]:
    """Where every recipe's build is or will be; raises PreconditionError MPK-511 where Go is missing or too old."""
    toolchain = go_version()
    return tuple(place(cache, one, toolchain) for one in RECIPES)


def place(cache: Path, recipe: Recipe, toolchain: str) -> Build:
    """Where a recipe's build is or will be, by the Go toolchain that `go version` tells."""
    return Build(recipe, cache / "builds" / recipe.name / key(recipe, MODULES / recipe.module, toolchain))


def key(recipe: Recipe, folder: Path, toolchain: str) -> str:
    """The fingerprint of a build: the recipe, its module's files and the Go toolchain."""
    sources = sorted(path for path in folder.iterdir() if path.suffix in {".mod", ".sum", ".go"})
    contents = (data for path in sources for data in (path.name, path.read_bytes()))
    return fingerprint([repr(recipe), toolchain, *contents])


def go_version() -> str:
    """What `go version` says; raises PreconditionError MPK-511 where it is missing or older than a module asks for."""
    needed = newest_directive()
    remedy = f"install Go >= {needed} (https://go.dev/dl) and put it on PATH"
    if shutil.which("go") is None:
        raise PreconditionError("MPK-511", f"go was not found; the lab is built with Go >= {needed}", remedy=remedy)
    asked = subprocess.run(
        ["go", "version"], cwd=newest_module(), env=environment(), capture_output=True, check=False, text=True
    )
    said = asked.stdout.strip()
    # before 1.21 go does not read what go.mod asks for, and with GOTOOLCHAIN=local it answers all the same
    if asked.returncode or not serves(said, needed):
        reason = said or asked.stderr.strip()
        raise PreconditionError("MPK-511", f"the lab is built with Go >= {needed}; here: {reason}", remedy=remedy)
    return said


def serves(said: str, needed: str) -> bool:
    """Whether the toolchain that said this (`go version`) is as new as the release `needed`."""
    found = _TOOLCHAIN.search(said)
    return found is not None and _release(found[1]) >= _release(needed)


def newest_module() -> Path:
    """The module whose go.mod asks for the newest Go: the toolchain that serves it serves all."""
    return max(sorted(MODULES.iterdir()), key=lambda folder: _release(_directive(folder)))


def newest_directive() -> str:
    """The oldest Go release that can build every module."""
    return _directive(newest_module())


def _directive(folder: Path) -> str:
    found = _DIRECTIVE.search((folder / "go.mod").read_text())
    return found[1] if found else "1.0"


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def environment(*, cgo: bool = False) -> dict[str, str]:
    """The user's environment (GOPROXY and its kin included) with what makes a build repeatable."""
    fixed = {"GOFLAGS": "-mod=readonly", "GOWORK": "off", "GOOS": "linux", "GOARCH": "amd64"}
    return {**os.environ, **fixed, "CGO_ENABLED": "1" if cgo else "0"}


def arguments(recipe: Recipe, target: Path) -> tuple[str, ...]:
    """The command line of a recipe's `go build` into the folder `target`."""
    linker = ["-s", "-w", *(f"-X={name}={value}" for name, value in recipe.variables)]
    if recipe.static_cgo:
        linker += ["-linkmode=external", "-extldflags=-static"]
    output = f"{target}/{recipe.output}"
    # -v names each package as its compilation begins: what a long build is at
    flags = ("-v", "-trimpath", "-buildvcs=false", f"-ldflags={' '.join(linker)}", "-o", output)
    return ("go", "build", *flags, *recipe.packages)


def build(wanted: Build, log: Path) -> None:
    """Run a recipe's build, go's output in `log`; raises LabError MPK-510 with the log's end where it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        keep(wanted.root, lambda work: _build(wanted.recipe, work, sink.fileno(), log))


def _build(recipe: Recipe, work: Path, sink: int, log: Path) -> None:
    binaries = work / "bin"
    binaries.mkdir()
    folder = MODULES / recipe.module
    # go's own scratch files beside `work`, where they are swept away if this process is killed
    scratch = work.parent / "go"
    scratch.mkdir()
    env = {**environment(cgo=recipe.static_cgo), "GOTMPDIR": str(scratch)}
    code = _run(arguments(recipe, binaries), folder, env, sink)
    if code:
        raise failure(recipe.name, log, code)
    for one in recipe.carried:
        carry(one, module_folder(one.module, folder), work / "files")


def _run(argv: tuple[str, ...], folder: Path, env: Mapping[str, str], sink: int) -> int:
    # a group of its own, so that an interrupt ends go's compilers too, not only go
    with subprocess.Popen(leashed(argv), cwd=folder, env=env, stdout=sink, stderr=sink, process_group=0) as child:
        try:
            return child.wait()
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise


def failure(name: str, log: Path, code: int) -> LabError:
    """The error of a failed build: the last lines of its log, and where the rest is."""
    # without the bare names of packages: go compiles on after an error, and would push it out of sight
    last = [line for line in log.read_text(errors="replace").splitlines() if " " in line][-SHOWN_LINES:]
    what = "\n".join([f"go build ended with exit code {code}", *last])
    remedy = f"read {log}; modules come through GOPROXY (go env GOPROXY)"
    return LabError("MPK-510", what, where=name, remedy=remedy)


def module_folder(module: str, folder: Path) -> Path:
    """Where the module cache has what the go.mod in `folder` requires as `module`; raises LabError MPK-510."""
    argv = leashed(("go", "list", "-m", "-f", "{{.Dir}}", module))
    found = subprocess.run(argv, cwd=folder, env=environment(), capture_output=True, check=False, text=True)
    if found.returncode or not found.stdout.strip():
        remedy = "modules come through GOPROXY (go env GOPROXY)"
        raise LabError("MPK-510", f"not in the module cache: {found.stderr.strip()}", where=module, remedy=remedy)
    return Path(found.stdout.strip())


def carry(one: Carried, module: Path, target: Path) -> None:
    """Copy a file or folder out of a module's folder; contents only, since the module cache is read-only."""
    source = module / one.path
    files = [source] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]
    for path in files:
        copy = target / path.relative_to(source.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
