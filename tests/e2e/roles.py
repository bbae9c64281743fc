"""Accounts that may do what a printed role allows, and nothing else: how the suite reaches the cluster."""

import base64
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from meshpki.lab.lab import Lab

NAMESPACE = "meshpki-accounts"
_KINDS = "clusterroles,clusterrolebindings,roles,rolebindings"
# What `meshpki rbac` prints is not managed by meshpki, and all else that is a part of it is.
PRINTED = "app.kubernetes.io/part-of=meshpki,!app.kubernetes.io/managed-by"

Object = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """One kind of request in the audit log, and how it was answered."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    status: int

    def by(self, rule: Object, namespace: str) -> bool:
        """Whether it is a rule of a role in a namespace (empty: of a ClusterRole) that allows it."""
        names = rule.get("resourceNames") or [self.name]
        there = (self.group in rule["apiGroups"], self.resource in rule["resources"], self.name in names)
        return all(there) and namespace in ("", self.namespace)


def asked(event: Object) -> Asked:
    """An event of the audit log; a patch that made its object was authorized as a create, too."""
    about = event["objectRef"]
    resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
    place = about.get("namespace", ""), about.get("name", "")
    code = int(event.get("responseStatus", {}).get("code", 0))
    verb = "create" if (event["verb"], code) == ("patch", 201) else event["verb"]
    return Asked(verb, about.get("apiGroup", ""), resource, *place, code)


def unused(manifests: list[Object], requests: list[Asked]) -> set[tuple[str, str, str]]:
    """Verb, resource and namespace of rules that none of these needed; what is checked unseen is left out."""
    return {
        (verb, rule["resources"][0], role["metadata"].get("namespace", ""))
        for role in manifests
        for rule in role.get("rules", ())
        for verb in rule["verbs"]
        if not _unseen(verb, rule)
        and not any(_takes(one, verb) and one.by(rule, role["metadata"].get("namespace", "")) for one in requests)
    }


def _unseen(verb: str, rule: Object) -> bool:
    """Whether the log does not tell that it was looked up: what a role grants, and the second look at a stream."""
    return verb in ("escalate", "bind") or (verb == "create" and "/" in rule["resources"][0])


def _takes(one: Asked, verb: str) -> bool:
    """An apply of what was not there takes both rights."""
    return verb in {one.verb, "patch" if (one.verb, one.status) == ("create", 201) else one.verb}


def account(name: str, namespace: str) -> tuple[Object, Object]:
    """A ServiceAccount, and a Secret in which the API server puts its token."""
    named = {"name": name, "namespace": namespace}
    token = {**named, "annotations": {"kubernetes.io/service-account.name": name}}
    return (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
        {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": token},
    )


@dataclass(frozen=True)
class Accounts:
    """ServiceAccounts of a lab, one for each role of `meshpki rbac`; their kubeconfigs lie in a folder."""

    lab: Lab
    folder: Path

    def kubeconfig(self, role: str, *options: str) -> Path:
        """That of an account with this role, which is granted now where this cluster does not have it yet."""
        file = self.folder / f"{role}-{abs(hash(self.lab.kubeconfig.read_text()))}"
        if not file.exists():
            self._grant(role, options)
            config = yaml.safe_load(self.lab.kubeconfig.read_text())
            config["users"][0]["user"] = {"token": self._token(role)}
            file.write_text(yaml.safe_dump(config))
        return file

    def manifests(self, role: str, *options: str) -> list[Object]:
        """What `meshpki rbac` prints for the account."""
        of_settings = ["-f", str(self.lab.settings)] if self.lab.settings else []
        # the one role that is printed of what is there
        where = ["--kubeconfig", str(self.lab.kubeconfig)] if role == "down" else of_settings
        command = [sys.executable, "-m", "meshpki", "rbac", role, "--subject", f"serviceaccount:{NAMESPACE}/{role}"]
        said = subprocess.run([*command, *where, *options], capture_output=True, text=True, check=True, timeout=120)
        return list(yaml.safe_load_all(said.stdout))

    def forget(self) -> None:
        """Take away what was granted outside the mesh's own namespaces."""
        self._kubectl("delete", _KINDS, "-A", "-l", PRINTED, "--wait=false")
        self._kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
        for file in self.folder.iterdir():
            file.unlink()

    def _grant(self, role: str, options: tuple[str, ...]) -> None:
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        made = [space, *account(role, NAMESPACE), *self.manifests(role, *options)]
        items = {"apiVersion": "v1", "kind": "List", "items": made}
        self._kubectl("apply", "-f", "-", given=json.dumps(items))

    def _token(self, role: str) -> str:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            secret = json.loads(self._kubectl("-n", NAMESPACE, "get", "secret", role, "-o", "json"))
            if secret.get("data", {}).get("token"):
                return base64.b64decode(secret["data"]["token"]).decode()
            time.sleep(0.3)
        raise AssertionError("the API server wrote no token")

    def _kubectl(self, *argv: str, given: str | None = None) -> str:
        command = [sys.executable, "-m", "meshpki", "lab", "exec", "--", "kubectl", *argv]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout
