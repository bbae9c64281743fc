"""The role that `meshpki rbac verify` prints: enough, and with any verb less verify says which one it misses.

Also that of `status`, and that `up` asks for every right to look before it begins.
"""

import base64
import copy
import json
import re
import tarfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Command
from tests.e2e import staging
from tests.e2e.conftest import Audit, Mesh, Said, Verify
from tests.e2e.roles import account, unused
from tests.e2e.staging import NAMESPACE, OWN_ID, apply, envoy_pod, idle_pod

pytestmark = pytest.mark.lab

ROGUE, DEAF = f"{NAMESPACE}/rogue", f"{NAMESPACE}/deaf"
REFUSED = 403
# Who runs the cluster would have to be asked, and a bundle never runs a command in spire-server.
UNSEEN_BY_ANYBODY = {
    "authorizers other than RBAC, and approval policies of others",
    "SPIRE's prepared and old CAs",
}
# verify starts a process each; the lab shares the machine with them
AT_ONCE = 2

Object = dict[str, Any]


@dataclass(frozen=True)
class Right:
    """One verb on one resource, or on one object of it, and where the printed role grants it: object and rule."""

    verb: str
    resource: str
    name: str
    place: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.name} {self.place}"

    def named(self, text: str) -> bool:
        """Whether a text tells it: the verb in its backticks, the resource as a word (roles are no clusterroles)."""
        resource = re.compile(rf"(?<![\w/.-]){re.escape(self.resource)}(?![\w-])")
        return f"`{self.verb}`" in text and resource.search(text) is not None


@pytest.fixture(scope="module")
def role(meshpki: Command) -> list[Object]:
    printed = meshpki("rbac", "verify", "--subject", f"serviceaccount:{NAMESPACE}/whole")
    assert printed.returncode == 0, printed.stderr
    return [one for one in yaml.safe_load_all(printed.stdout) if one]


@pytest.fixture(scope="module")
def kubeconfigs(mesh: Mesh, role: list[Object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """One for the whole role, and one for each right that is taken out of it."""
    missing = {"whole": None, **{str(one): one for one in rights(role)}}
    accounts = {f"subject-{number}": one for number, one in enumerate(missing.values())}
    mesh.kubectl("create", "namespace", NAMESPACE)
    try:
        apply(
            mesh,
            *(one for name in accounts for one in account(name, NAMESPACE)),
            *granted(role, accounts),
            *troubled(mesh),
        )
        mesh.kubectl("-n", NAMESPACE, "wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s")
        files = kubeconfig_of(mesh, accounts, tmp_path_factory.mktemp("kubeconfigs"))
        yield dict(zip(missing, files, strict=True))
    finally:
        kinds = "clusterroles,clusterrolebindings,roles,rolebindings"
        mesh.kubectl("delete", kinds, "-A", "-l", f"staged={NAMESPACE}", "--wait=false")
        mesh.kubectl("delete", "namespace", NAMESPACE)


def troubled(mesh: Mesh) -> Iterator[Object]:
    """A pod that does not answer, so that verify looks for the reason, and one that must never be called proven."""
    yield idle_pod("deaf", container="istio-proxy")
    yield staging.envoy_config()
    yield from envoy_pod(
        "rogue", staging.issued_by(staging.obtained_ca(mesh, "rogue"), OWN_ID, staging.pinned_root(mesh))
    )


def rights(role: list[Object]) -> list[Right]:
    return [
        Right(verb, resource, name, (number, place))
        for number, one in enumerate(role)
        for place, rule in enumerate(one.get("rules", []))
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    ]


def without(role: list[Object], right: Right) -> list[Object]:
    """The role with one right less; each of its rules is about one resource."""
    number, place = right.place
    left = copy.deepcopy(role)
    rules = left[number]["rules"]
    rule = rules[place]
    assert len(rule["resources"]) == 1
    names = [one for one in rule.get("resourceNames", []) if one != right.name]
    verbs = [one for one in rule["verbs"] if one != right.verb]
    fewer = [{**rule, "verbs": verbs}] if verbs else []
    unnamed = [{**rule, "resourceNames": names}] if names else []
    rules[place : place + 1] = [*fewer, *unnamed]
    return left


def granted(role: list[Object], accounts: dict[str, Right | None]) -> Iterator[Object]:
    """Each of the roles bound to everybody who lacks nothing of it, and less of it for each who does."""
    for number, (one, binding) in enumerate(zip(role[::2], role[1::2], strict=True)):
        lacking = {name: right for name, right in accounts.items() if right and right.place[0] == 2 * number}
        yield from bound(one, binding, "", [name for name in accounts if name not in lacking])
        for name, right in lacking.items():
            yield from bound(without(role, right)[2 * number], binding, f"-{name}", [name])


def bound(role: Object, binding: Object, suffix: str, accounts: list[str]) -> Iterator[Object]:
    subject = binding["subjects"][0]
    for one in copy.deepcopy((role, {**binding, "subjects": [{**subject, "name": name} for name in accounts]})):
        one["metadata"]["name"] = f"{NAMESPACE}-{one['metadata']['name']}{suffix}"
        one["metadata"]["labels"] = {"staged": NAMESPACE}
        if "roleRef" in one:
            one["roleRef"]["name"] = f"{NAMESPACE}-{one['roleRef']['name']}{suffix}"
        yield one


def kubeconfig_of(mesh: Mesh, accounts: Iterable[str], folder: Path) -> list[Path]:
    tokens = tokens_of(mesh)
    config = yaml.safe_load(mesh.lab.kubeconfig.read_text())
    files = [folder / name for name in accounts]
    for file in files:
        config["users"][0]["user"] = {"token": tokens[file.name]}
        file.write_text(yaml.safe_dump(config))
    return files


def tokens_of(mesh: Mesh) -> dict[str, str]:
    until = time.monotonic() + 30
    while True:
        # the rogue's chain and key lie in a Secret, too, and nobody ever writes a token into that
        kind = "type=kubernetes.io/service-account-token"
        secrets = mesh.json("-n", NAMESPACE, "get", "secrets", "--field-selector", kind)["items"]
        found = {one["metadata"]["name"]: one.get("data", {}).get("token") for one in secrets}
        if all(found.values()):
            return {name: base64.b64decode(token).decode() for name, token in found.items()}
        assert time.monotonic() < until, "the API server wrote no tokens"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def answers(kubeconfigs: dict[str, Path], verify: Verify) -> dict[str, Said]:
    with ThreadPoolExecutor(AT_ONCE) as runs:
        said = runs.map(lambda file: verify(where=["--kubeconfig", str(file)]), kubeconfigs.values())
        return dict(zip(kubeconfigs, said, strict=True))


def strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for one in value.values():
                yield from strings(one)
        case list():
            for one in value:
                yield from strings(one)


def test_the_printed_role_is_enough_to_judge_everything(answers: dict[str, Said], verify: Verify, mesh: Mesh) -> None:
    limited, unlimited = answers["whole"], verify(where=mesh.where())
    assert limited.broken() == unlimited.broken() == {ROGUE: {"MPK-344"}}
    assert set(limited.unknown()) == set(unlimited.unknown()) == {DEAF}
    assert limited.report["summary"] == unlimited.report["summary"]
    assert limited.report["unseen"] == unlimited.report["unseen"]


def test_the_printed_role_grants_neither_secrets_nor_exec(role: list[Object]) -> None:
    resources = {resource for one in role for rule in one.get("rules", []) for resource in rule["resources"]}
    assert not resources & {"secrets", "pods/exec", "*"}
    assert "*" not in {verb for one in role for rule in one.get("rules", []) for verb in rule["verbs"]}


def test_each_right_that_is_missing_is_named(role: list[Object], answers: dict[str, Said]) -> None:
    whole = answers["whole"].report
    silent = {}
    # events are read only for a pod that is not well, and here all are: tests/verify/test_rights.py takes that one away
    for right in (one for one in rights(role) if one.resource != "events"):
        said = answers[str(right)]
        # an error is read on its own; a report says what it could not judge
        told = said.stderr.splitlines() if said.code == 4 else strings(said.report)
        if not any(map(right.named, told)) or said.report == {**whole, "at": said.report.get("at")}:
            silent[str(right)] = (said.code, said.stderr, said.report.get("summary"), said.report.get("unseen"))
    assert silent == {}, json.dumps(silent, indent=1)


def test_an_intruder_is_proven_with_none_of_the_rights_missing(answers: dict[str, Said]) -> None:
    judged = {what: said.pods[ROGUE]["result"] for what, said in answers.items() if said.report}
    assert set(judged.values()) <= {"broken", "unknown"}, judged
    assert {said.code for said in answers.values()} <= {4, 5}


def test_a_good_mesh_is_proven_by_the_printed_role_without_a_secret(
    mesh: Mesh, kubeconfigs: dict[str, Path], verify: Verify, audit: Audit
) -> None:
    mesh.kubectl("-n", NAMESPACE, "delete", "pods,certificaterequests", "--all", "--now")
    said = verify("--strict", where=["--kubeconfig", str(kubeconfigs["whole"])])
    assert said.code == 0, said.stderr
    assert audit.secrets_read("meshpki/") == []


def test_without_one_right_to_look_up_and_preflight_refuse_and_nothing_is_begun(
    mesh: Mesh, meshpki: Command, audit: Audit
) -> None:
    where = [*mesh.as_a("install"), "-f", str(mesh.lab.settings)]
    role = mesh.json("get", "clusterrole", "meshpki-install")
    role["metadata"].pop("resourceVersion")
    rules = [one for one in role["rules"] if (one["resources"], one["verbs"]) != (["csinodes"], ["list"])]
    assert len(rules) == len(role["rules"]) - 1
    mesh.kubectl("replace", "-f", "-", given=json.dumps({**role, "rules": rules}))
    try:
        for command in (["up", "--yes"], ["preflight"]):
            refused = meshpki(*command, *where)
            assert refused.returncode == 4
            assert "MPK-118" in refused.stderr + refused.stdout
            assert "missing rights: list csinodes.storage.k8s.io" in refused.stderr + refused.stdout
        assert audit.persisted("meshpki/", "istioctl/") == []
    finally:
        mesh.kubectl("replace", "-f", "-", given=json.dumps(role))


def test_status_certs_forecast_and_a_support_bundle_need_the_printed_role_and_each_right_of_it(
    mesh: Mesh, meshpki: Command, audit: Audit, tmp_path: Path
) -> None:
    where = [*mesh.as_a("status", "--support-bundle"), "-f", str(mesh.lab.settings)]
    steps = meshpki("step", "status", *where, "-o", "json")
    assert steps.returncode == 0, steps.stdout + steps.stderr
    assert {one["state"] for one in json.loads(steps.stdout)} == {"ready"}
    bundle = tmp_path / "bundle.tar.gz"
    for command in (["status"], ["verify"], ["certs"], ["forecast"], ["support-bundle", "--out", str(bundle)]):
        done = meshpki(*command, *where)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    with tarfile.open(bundle) as archive:
        manifest = archive.extractfile("meshpki-support-bundle/manifest.json")
        assert manifest is not None
        assert {one["what"] for one in json.load(manifest)["missing"]} == UNSEEN_BY_ANYBODY
    requests = audit.asked_by("status")
    assert [one for one in requests if one.status == REFUSED] == []
    assert unused(mesh.accounts.manifests("status", "--support-bundle"), requests) == set()
    assert audit.persisted("meshpki/", "istioctl/") == []
