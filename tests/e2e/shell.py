"""A user's shell in a copy of an example's folder: the commands of its README, on the cluster of a lab."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from meshpki.lab.driver import pick
from meshpki.lab.home import cache
from meshpki.lab.parts import prepare
from tests.support import driver
from tests.support.readme import blocks

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Shell:
    """A folder, and how this cluster is reached from it; `overlays` are the lab's own settings, below the example's."""

    folder: Path
    environment: Mapping[str, str]
    context: str
    overlays: tuple[Path, ...] = field(default=())

    def run(self, line: str, code: int = 0) -> str:
        """What one line says, on both streams."""
        done = self._done(line, code)
        return done.stdout + done.stderr

    def readme(self, block: int) -> str:
        """What the commands of one of the README's blocks say; where it shows an output, that is what comes."""
        told = []
        for typed in blocks(self.folder.joinpath("README.md").read_text())[block]:
            done = self._done(self.here(typed.command), 0)
            assert not typed.shown or done.stdout.splitlines() == list(typed.shown), typed.command
            told.append(done.stdout + done.stderr)
        return "".join(told)

    def here(self, line: str) -> str:
        """A line of the README: this cluster in the place of NAME, the lab's overlays, nobody to ask."""
        line = line.replace("--context NAME", f"--context {self.context}")
        if not line.startswith("meshpki "):
            return line
        below = "".join(f"-f {overlay} " for overlay in self.overlays)
        line = line.replace("-f meshpki.yaml", f"{below}-f meshpki.yaml")
        asks = line.startswith(("meshpki up", "meshpki rotate")) and "--yes" not in line
        return f"{line} --yes" if asks else line

    def _done(self, line: str, code: int) -> subprocess.CompletedProcess[str]:
        argv = ["bash", "-ec", line]
        done = subprocess.run(
            argv, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == code, f"{line}\n{done.stdout}{done.stderr}"
        return done


def placed(example: str, folder: Path, trust_domain: str = "") -> Path:
    """A copy of an example's folder; with a trust domain, in the place of the example's own wherever that stands."""
    source, target = EXAMPLES / example, folder / "example"
    own = yaml.safe_load((source / "meshpki.yaml").read_text())["trustDomain"]
    for file in (one for one in source.rglob("*") if one.is_file()):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text().replace(own, trust_domain or own))
    return target


def environment(kubeconfig: Path, folder: Path) -> dict[str, str]:
    """Where `kubectl` is the lab's own, `meshpki` the one under test, and both find the lab's cluster."""
    bins = folder / "bin"
    bins.mkdir()
    if pick("auto") != "kind":
        bins.joinpath("kubectl").symlink_to(prepare(cache(), lambda _: None).binaries["kubectl"])
    path = (str(bins), str(Path(sys.prefix) / "bin"), os.environ["PATH"])
    alone = {"NO_PROXY": "*", "no_proxy": "*"}  # the cluster is on this machine
    return {**os.environ, **alone, "PATH": os.pathsep.join(path), "KUBECONFIG": str(kubeconfig), "NO_COLOR": "1"}


@contextmanager
def own_lab(purpose: str, example: str, folder: Path) -> Iterator[Shell]:
    """A shell in a copy of an example, on a lab that is made for it and removed after it."""
    home = folder / "lab"
    with driver.own_lab(purpose, home) as own:
        around = {**environment(home / "kubeconfig", folder), **own}
        shell = Shell(placed(example, folder), around, own["MESHPKI_LAB_NAME"], (home / "settings.yaml",))
        try:
            shell.run("meshpki lab up")
            yield shell
        finally:
            shell.run("meshpki lab down")
