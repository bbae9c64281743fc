"""The built kubectl against the lab's own cluster; its arguments never carry anything secret."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from meshpki.cluster.manifest import Object
from meshpki.errors import LabError
from meshpki.lab import child

PAUSE = 0.3


@dataclass(frozen=True, slots=True)
class Kubectl:
    """The program and the kubeconfig it uses."""

    program: Path
    kubeconfig: Path

    def argv(self, *arguments: str) -> tuple[str, ...]:
        """The command line; without proxies, because the cluster is on this machine."""
        alone = ("env", "NO_PROXY=*", "no_proxy=*")
        return (*alone, str(self.program), "--kubeconfig", str(self.kubeconfig), *arguments)

    def run(self, *arguments: str, given: str = "", seconds: float = 30) -> str:
        """What the command prints; raises LabError MPK-520."""
        return child.run(self.argv(*arguments), given=given, seconds=seconds)

    def get(self, *arguments: str) -> Object:
        """An object or a list."""
        return cast("Object", json.loads(self.run("get", *arguments, "--output", "json")))

    def answers(self, seconds: float = 3) -> bool:
        """Whether the API server is ready."""
        try:
            return self.run("get", "--raw", "/readyz", seconds=seconds) == "ok"
        except LabError:
            return False

    def serves(self, node: str) -> bool:
        """Whether the node's kubelet answers the API server, which may verify its certificate."""
        try:
            return self.run("get", "--raw", f"/api/v1/nodes/{node}/proxy/healthz", seconds=5) == "ok"
        except LabError:
            return False

    def await_answer(self, seconds: float) -> None:
        """Wait until the API server is ready; raises LabError MPK-521."""
        until = time.monotonic() + seconds
        while not self.answers():
            if time.monotonic() > until:
                raise LabError("MPK-521", f"the API server is not ready after {seconds:.0f} s")
            time.sleep(PAUSE)
