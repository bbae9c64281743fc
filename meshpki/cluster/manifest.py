"""Objects of the Kubernetes API as plain data, and the names they go by."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

FIELD_MANAGER = "meshpki"
MANAGED_BY = {"app.kubernetes.io/managed-by": "meshpki", "app.kubernetes.io/part-of": "meshpki"}
STEP_LABEL = "meshpki.dev/step"
APPLIED_ANNOTATION = "meshpki.dev/applied"

# Kinds that need nothing else to be ready; every step's are applied before the first gate is waited for.
_EARLY = ("Namespace", "CustomResourceDefinition", "ServiceAccount")
_EARLY_GROUPS = ("rbac.authorization.k8s.io",)


@dataclass(frozen=True, order=True)
class Ref:
    """The name of one object; `namespace` is empty for cluster-scoped kinds."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """As people write it: kind, then namespace/name."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, order=True)
class Query:
    """A set of objects of one kind; empty `namespace` means all of them, selectors are in the API's own syntax."""

    api_version: str
    kind: str
    namespace: str = ""
    labels: str = ""
    fields: str = ""


@dataclass(frozen=True, order=True)
class Kind:
    """A kind that the API server serves, in its preferred version; `verbs` are those of the API (`list`, `delete`).

    `resource` is what URLs and roles call it.
    """

    api_version: str
    kind: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()
    resource: str = ""


def ref_of(manifest: Object) -> Ref:
    """The name of the object that a manifest describes."""
    metadata = manifest["metadata"]
    return Ref(manifest["apiVersion"], manifest["kind"], metadata.get("namespace", ""), metadata["name"])


def only(ref: Ref) -> Query:
    """The query that answers with this object alone."""
    return Query(ref.api_version, ref.kind, ref.namespace, fields=f"metadata.name={ref.name}")


def selector(labels: Mapping[str, str]) -> str:
    """Labels as the selector of those who bear all of them."""
    return ",".join(f"{label}={value}" for label, value in labels.items())


def early(manifest: Object) -> bool:
    """Whether an object can be applied before any gate is open: namespaces, CRDs, accounts and rights."""
    group = manifest["apiVersion"].rpartition("/")[0]
    return manifest["kind"] in _EARLY or group in _EARLY_GROUPS


def owned(manifest: Object, step: str) -> Object:
    """The manifest with our labels and the digest of its content, by which a later run sees removed fields.

    The labels of pod templates stay as they are: they are what selectors and identities hang on.
    """
    metadata = manifest["metadata"]
    labels = {**metadata.get("labels", {}), **MANAGED_BY, STEP_LABEL: step}
    annotations = {**metadata.get("annotations", {}), APPLIED_ANNOTATION: digest(manifest)}
    return {**manifest, "metadata": {**metadata, "labels": labels, "annotations": annotations}}


def ours(one: Object) -> bool:
    """Whether an object bears the labels of what meshpki made."""
    labels: dict[str, str] = one["metadata"].get("labels") or {}
    return MANAGED_BY.items() <= labels.items()


def digest(content: object) -> str:
    """SHA-256 (hex) of the canonical JSON of plain data."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def covers(live: object, wanted: object) -> bool:
    """Whether every value wanted is found in the live object; what the server added beside it does not count.

    Lists must have the same length and order. Errs towards False: a value that the server stores in another
    form (`1000m` for `1`) reads as different, and a dry run then tells.
    """
    match wanted:
        case dict():
            return isinstance(live, dict) and all(key in live and covers(live[key], wanted[key]) for key in wanted)
        case list():
            return isinstance(live, list) and len(live) == len(wanted) and all(map(covers, live, wanted))
        case _:
            return type(live) is type(wanted) and live == wanted


def waves(manifests: Iterable[Object]) -> list[list[Object]]:
    """The manifests in dependency waves: namespaces and CRDs; accounts, rights and configuration; the rest."""
    ordered: list[list[Object]] = [[], [], []]
    for manifest in manifests:
        ordered[_wave(manifest)].append(manifest)
    return [wave for wave in ordered if wave]


def _wave(manifest: Object) -> int:
    if manifest["kind"] in ("Namespace", "CustomResourceDefinition"):
        return 0
    if early(manifest) or manifest["kind"] in ("ConfigMap", "CSIDriver", "Service"):
        return 1
    return 2
