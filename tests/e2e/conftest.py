"""The mesh on the lab, brought up once, and independent tools to look at it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meshpki.lab.lab import Lab
from tests.conftest import Command

pytestmark = pytest.mark.lab

WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@dataclass(frozen=True)
class Mesh:
    """A running mesh: how to reach it, and what its last `up` reported."""

    lab: Lab
    report: dict[str, Any]

    def kubectl(self, *argv: str, given: str | None = None) -> str:
        """kubectl of the lab, on this cluster."""
        command = [sys.executable, "-m", "meshpki", "lab", "exec", "--", "kubectl", *argv]
        return subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=120).stdout

    def istioctl(self, *argv: str) -> str:
        """istioctl of the lab."""
        command = [sys.executable, "-m", "meshpki", "lab", "exec", "--", "istioctl", *argv]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    def json(self, *argv: str) -> dict[str, Any]:
        """kubectl's answer as JSON."""
        return json.loads(self.kubectl(*argv, "-o", "json"))  # type: ignore[no-any-return]

    def where(self) -> list[str]:
        """The options by which meshpki reaches this cluster as it would a user's own."""
        settings = ["-f", str(self.lab.settings)] if self.lab.settings else []
        return ["--kubeconfig", str(self.lab.kubeconfig), "--context", self.lab.context, *settings]


class Audit:
    """The API server's audit log from one moment on."""

    def __init__(self, log: Path) -> None:
        self._log, self._from = log, log.stat().st_size

    def persisted(self, *agents: str) -> list[str]:
        """Writes that were carried out for these user agents; dry runs, reviews and streams are none."""
        with self._log.open("rb") as content:
            content.seek(self._from)
            events = [json.loads(line) for line in content.read().splitlines() if line.endswith(b"}")]
        return [
            f"{event['verb']} {event['requestURI']}"
            for event in events
            if event["verb"] in WRITES
            and event.get("userAgent", "").startswith(agents)
            and event["stage"] == "ResponseComplete"
            and event["responseStatus"]["code"] < 300
            and "dryRun=All" not in event["requestURI"]
            and "accessreviews" not in event["requestURI"]
            and event.get("objectRef", {}).get("subresource") not in ("portforward", "exec")
        ]

    def secrets_read(self, *agents: str) -> list[str]:
        """Requests for Secrets by these user agents."""
        with self._log.open("rb") as content:
            content.seek(self._from)
            events = [json.loads(line) for line in content.read().splitlines() if line.endswith(b"}")]
        return [
            event["requestURI"]
            for event in events
            if event.get("userAgent", "").startswith(agents) and event.get("objectRef", {}).get("resource") == "secrets"
        ]


@pytest.fixture(scope="session")
def mesh(lab: Lab, meshpki: Command) -> Mesh:
    done = meshpki("up", "--lab", "-o", "json")
    assert done.returncode == 0, done.stderr
    return Mesh(lab, json.loads(done.stdout))


@pytest.fixture
def audit(lab: Lab) -> Audit:
    if lab.audit_log is None:
        pytest.fail("this lab keeps no audit log")
    return Audit(lab.audit_log)
