"""A cluster in memory that lets a user do what given roles allow, and nothing else, as the API server's RBAC does."""

import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from meshpki.cluster.client import NoAccessError
from meshpki.cluster.manifest import Object, Query, Ref
from tests.support.mesh import Mesh


@dataclass
class Restricted(Mesh):
    """`roles` are ClusterRoles and Roles that are bound to the user where they hold."""

    roles: tuple[Object, ...] = ()

    def get(self, ref: Ref) -> Object | None:
        self._need("get", ref.api_version, _plural(ref.kind), ref.namespace, ref.name)
        return super().get(ref)

    def list(self, query: Query) -> list[Object]:
        name = query.fields.removeprefix("metadata.name=") if query.fields.startswith("metadata.name=") else ""
        self._need("list", query.api_version, _plural(query.kind), query.namespace, name)
        return super().list(query)

    def forward(self, pod: Ref, port: int) -> AbstractContextManager[socket.socket]:
        for verb in ("get", "create"):
            self._need(verb, "v1", "pods/portforward", pod.namespace, pod.name)
        return super().forward(pod, port)

    def execute(self, pod: Ref, container: str, argv: Sequence[str]) -> str:
        for verb in ("get", "create"):
            self._need(verb, "v1", "pods/exec", pod.namespace, pod.name)
        return super().execute(pod, container, argv)

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        return self._may(verb, group, resource, namespace, name)

    def _need(self, verb: str, api_version: str, resource: str, namespace: str, name: str) -> None:
        group = api_version.rpartition("/")[0]
        if not self._may(verb, group, resource, namespace, name):
            where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
            what = f'User "auditor" cannot {verb} resource "{resource}" in API group "{group}" {where}'
            raise NoAccessError("MPK-102", what, remedy=f"the right to {verb}", status=403)

    def _may(self, verb: str, group: str, resource: str, namespace: str, name: str) -> bool:
        return any(
            verb in rule["verbs"]
            and group in rule["apiGroups"]
            and resource in rule["resources"]
            and (not rule.get("resourceNames") or name in rule["resourceNames"])
            for role in self.roles
            if role["metadata"].get("namespace", namespace) == namespace
            for rule in role["rules"]
        )


def _plural(kind: str) -> str:
    return f"{kind.lower()}s"
