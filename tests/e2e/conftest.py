"""The mesh on the lab, brought up once, and independent tools to look at it."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from meshpki.cluster.kubernetes import KubernetesCluster, connect
from meshpki.lab.lab import Lab
from tests.conftest import Command
from tests.e2e.roles import Accounts, Asked, asked
from tests.support import driver

WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Every test here is of a mesh, which `up --lab` installs of what the native lab was built of."""
    item.add_marker(pytest.mark.native)


@dataclass(frozen=True)
class Mesh:
    """A running mesh: how to reach it, and what its last `up` reported."""

    lab: Lab
    report: dict[str, Any]
    accounts: Accounts

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

    def generation(self) -> int:
        """That of the root it is pinned to; a rotation makes it another than the first."""
        return int(self.json("-n", "kube-system", "get", "configmap", "meshpki-trust")["data"]["generation"])

    def root_name(self) -> str:
        """The name of that root."""
        return f"meshpki-root-g{self.generation()}"

    def reach(self) -> list[str]:
        """The options that name this cluster."""
        return ["--kubeconfig", str(self.lab.kubeconfig), "--context", self.lab.context]

    def where(self) -> list[str]:
        """The options by which an administrator's meshpki reaches this cluster as it would a user's own."""
        settings = ["-f", str(self.lab.settings)] if self.lab.settings else []
        return [*self.reach(), *settings]

    def as_a(self, role: str, *options: str) -> list[str]:
        """The same for somebody with a role that `meshpki rbac` prints, and no right besides."""
        kubeconfig = self.accounts.kubeconfig(role, *options)
        return ["--kubeconfig", str(kubeconfig), "--context", self.lab.context]


@dataclass(frozen=True)
class Said:
    """What one `verify -o json` said: exit code, report (empty where there was none), and the story on stderr."""

    code: int
    report: dict[str, Any]
    stderr: str

    @cached_property
    def pods(self) -> dict[str, dict[str, Any]]:
        """The pods' verdicts by `namespace/name`."""
        workloads = self.report["workloads"]
        return {f"{one['namespace']}/{pod['name']}": pod for one in workloads for pod in one["pods"]}

    def broken(self) -> dict[str, set[str]]:
        """The codes for which each broken pod is broken."""
        return {name: refusals(pod) for name, pod in self.pods.items() if pod["result"] == "broken"}

    def unknown(self) -> dict[str, str]:
        """Why each pod that could not be judged could not."""
        return {name: pod["reason"] for name, pod in self.pods.items() if pod["result"] == "unknown"}

    def places(self, kind: str) -> dict[str, dict[str, Any]]:
        """The verdicts on the places of one kind, by `namespace/name detail`."""
        return {_place(one): one for one in self.report["places"] if one["kind"] == kind}

    def broken_places(self) -> dict[str, set[str]]:
        """The codes for which each broken place is broken, by kind and name."""
        broken = (one for one in self.report["places"] if one["result"] == "broken")
        return {f"{one['kind']} {_place(one)}": refusals(one) for one in broken}


def _place(verdict: dict[str, Any]) -> str:
    about = verdict["object"]
    name = "/".join(filter(None, (about["namespace"], about["name"])))
    return f"{name} {verdict['detail']}".rstrip()


def refusals(verdict: dict[str, Any]) -> set[str]:
    """The codes of a verdict's findings; warnings are none."""
    return {finding["code"] for finding in verdict["findings"] if finding["severity"] != "warn"}


def warnings(verdict: dict[str, Any]) -> set[str]:
    """The codes of a verdict's warnings alone."""
    return {finding["code"] for finding in verdict["findings"]} - refusals(verdict)


Verify = Callable[..., Said]


class Audit:
    """The API server's audit log from one moment on: from now, or from an offset of `since` bytes.

    Once another file is in its place, what was asked before is not there to be read, and nothing can be said of it.
    """

    def __init__(self, log: Path, since: int = -1) -> None:
        now = log.stat()
        self._log, self._file, self._from = log, now.st_ino, now.st_size if since < 0 else since

    def persisted(self, *agents: str) -> list[str]:
        """Writes that were carried out for these user agents; dry runs, reviews and streams are none."""
        return [
            f"{event['verb']} {event['requestURI']}"
            for event in self._events()
            if event["verb"] in WRITES
            and event.get("userAgent", "").startswith(agents)
            and event["stage"] == "ResponseComplete"
            and event["responseStatus"]["code"] < 300
            and "dryRun=All" not in event["requestURI"]
            and "accessreviews" not in event["requestURI"]
            and event.get("objectRef", {}).get("subresource") not in ("portforward", "exec")
        ]

    def commands(self, *agents: str) -> list[str]:
        """What was run in pods for these user agents and has ended, a line each."""
        return [
            " ".join(parse_qs(urlsplit(event["requestURI"]).query).get("command", ()))
            for event in self._events()
            if event.get("objectRef", {}).get("subresource") == "exec"
            and event.get("userAgent", "").startswith(agents)
            and event["stage"] == "ResponseComplete"
        ]

    def secrets_read(self, *agents: str) -> list[str]:
        """Requests for Secrets by these user agents."""
        return [
            event["requestURI"]
            for event in self._events()
            if event.get("userAgent", "").startswith(agents) and event.get("objectRef", {}).get("resource") == "secrets"
        ]

    def requests(self, *agents: str) -> Counter[str]:
        """How many requests of each kind these user agents made; a request that is logged in two stages counts once."""
        kinds = {
            event["auditID"]: _kind(event) for event in self._events() if event.get("userAgent", "").startswith(agents)
        }
        return Counter(kinds.values())

    def asked_by(self, account: str) -> list[Asked]:
        """What an account of the suite asked for, each once."""
        asks = (one for one in self._events() if "objectRef" in one)
        by = [one for one in asks if _user(one).endswith(f":{account}")]
        return list(dict.fromkeys(map(asked, by)))

    def _events(self) -> list[dict[str, Any]]:
        with self._log.open("rb") as content:
            now = os.fstat(content.fileno())
            same = now.st_ino == self._file and now.st_size >= self._from
            assert same, "the audit log was begun anew meanwhile: a lab of an older version, or one that was made anew"
            content.seek(self._from)
            return [json.loads(line) for line in content.read().splitlines() if line.endswith(b"}")]


def _user(event: dict[str, Any]) -> str:
    """Who asked; empty where the API server refused the token (401) and knows no name."""
    return str(event["user"].get("username", ""))


def _kind(event: dict[str, Any]) -> str:
    about = event.get("objectRef", {})
    resource = about.get("resource") or event["requestURI"].partition("?")[0]
    return "/".join(filter(None, (f"{event['verb']} {resource}", about.get("subresource"))))


def listing(lab: Lab) -> set[str]:
    """Every object of the cluster by kind, namespace and name, as kubectl lists every resource that can be listed.

    Left out is what the cluster itself makes anew under other names, of its own in kube-system and of its nodes.
    """
    run = [sys.executable, "-m", "meshpki", "lab", "exec", "--", "kubectl"]
    shown = subprocess.run(
        [*run, "api-resources", "--verbs=list", "-o", "name"], capture_output=True, text=True, check=True
    ).stdout
    kinds = ",".join(name for name in shown.split() if name.partition(".")[0] not in PASSING)
    form = '{range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{"\\n"}{end}'
    said = subprocess.run(
        [*run, "get", kinds, "--all-namespaces", "--ignore-not-found", "-o", f"jsonpath={form}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    return {line for line in said.splitlines() if not RENAMED.match(line)}


PASSING = {"events", "apiservices", "componentstatuses", "certificatesigningrequests"}
RENAMED = re.compile(
    r"(Pod|ReplicaSet|ControllerRevision|EndpointSlice|Secret) (kube-system|default)/|Lease kube-system/apiserver-"
)


def fresh(meshpki: Command) -> None:
    """Make the lab anew, with nothing on it."""
    for argv in (("lab", "down"), driver.UP):
        done = meshpki(*argv)
        assert done.returncode == 0, done.stderr


@dataclass
class Bare:
    """What a cluster holds before the first `up`, listed once in a session."""

    lab: Lab
    meshpki: Command
    listing: set[str] = field(default_factory=set)

    def note(self) -> None:
        """List it now, on a lab that was just made."""
        self.listing = self.listing or listing(self.lab)

    def required(self) -> None:
        """Have the listing, by a new lab with a new mesh if nobody noted it."""
        if self.listing:
            return
        fresh(self.meshpki)
        self.note()
        done = self.meshpki("up", "--lab")
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def bare(lab: Lab, meshpki: Command) -> Bare:
    return Bare(lab, meshpki)


@pytest.fixture(scope="session")
def accounts(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Accounts:
    return Accounts(lab, tmp_path_factory.mktemp("accounts"))


@pytest.fixture(scope="session")
def mesh(lab: Lab, meshpki: Command, accounts: Accounts) -> Mesh:
    done = meshpki("up", "--lab", "-o", "json")
    assert done.returncode == 0, done.stderr
    return Mesh(lab, json.loads(done.stdout), accounts)


@pytest.fixture
def first_generation(mesh: Mesh, meshpki: Command) -> None:
    """The mesh has the root that `render` writes by itself; one that was rotated is installed anew."""
    if mesh.generation() == 1:
        return
    mesh.accounts.forget()
    gone = meshpki("down", *mesh.where(), "--purge-ca", mesh.root_name(), "--yes", seconds=300)
    assert gone.returncode == 0, gone.stderr
    back = meshpki("up", "--lab")
    assert back.returncode == 0, back.stderr
    assert mesh.generation() == 1


@pytest.fixture(scope="module")
def lab_cluster(mesh: Mesh) -> KubernetesCluster:
    """A connection of now: earlier tests make the lab anew, with another CA."""
    return connect(mesh.lab.context, mesh.lab.kubeconfig)


@pytest.fixture(scope="session")
def verify(mesh: Mesh, meshpki: Command) -> Verify:
    """`meshpki verify -o json` as somebody runs it who has its printed role alone, with more options if wanted."""

    def run(*options: str, where: list[str] | None = None) -> Said:
        there = mesh.as_a("verify", "--authorities") if where is None else where
        done = meshpki("verify", *there, *options, "-o", "json", seconds=120)
        return Said(done.returncode, json.loads(done.stdout or "{}"), done.stderr)

    return run


@pytest.fixture
def audit(lab: Lab) -> Audit:
    if lab.audit_log is None:
        pytest.fail("this lab keeps no audit log")
    return Audit(lab.audit_log)
