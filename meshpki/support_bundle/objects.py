"""Objects of the Kubernetes API as a support bundle shows them: names, specs and statuses, without their secrets."""

import re
from collections.abc import Iterator

from meshpki.cluster.manifest import Object
from meshpki.support_bundle.redaction import HIDDEN, redacted

# Values under other annotations may be anything: kubectl keeps whole manifests in one.
_ANNOTATIONS = frozenset(
    {
        "cert-manager.io/certificate-name",
        "cert-manager.io/certificate-revision",
        "deployment.kubernetes.io/revision",
        "istio.io/rev",
        "kubectl.kubernetes.io/restartedAt",
        "meshpki.dev/applied",
        "meshpki.dev/restarted",
        "sidecar.istio.io/inject",
    }
)
_PLAIN = re.compile(r"[\w.:/+-]{0,128}")
_METADATA = (
    "name",
    "generateName",
    "namespace",
    "uid",
    "labels",
    "annotations",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "ownerReferences",
)
_EVENT = ("type", "reason", "message", "count", "firstTimestamp", "lastTimestamp", "eventTime", "reportingComponent")
_SECRET_NAME = re.compile(r"(?i)(?:password|passwd|passphrase|secret|token|credentials?|authorization|cookie|key)s?$")
# A secret that is not text lies under one of these.
_CONTENT = frozenset({"value", "data", "content", "plain", "inline"})
# `key` names something where one of these stands beside it: a toleration, a selector, a projected file
_BESIDE_A_NAME = frozenset({"operator", "effect", "values", "name", "path", "topologyKey"})
_SECRET_OPTION = re.compile(r"(?i)--?[\w-]*(?:password|passwd|passphrase|secret|token|credentials?|key)")
_SECRET = "Secret"  # noqa: S105 - the kind


def told(one: Object) -> Object:
    """An object's names, spec and status without secrets; of its data, nothing. A Secret is a name alone."""
    metadata = one.get("metadata", {})
    shown = {key: metadata[key] for key in _METADATA if key in metadata}
    if "annotations" in shown:
        shown["annotations"] = {key: _note(key, str(value)) for key, value in (shown["annotations"] or {}).items()}
    parts = ("type",) if one.get("kind") == _SECRET else ("spec", "status")
    content = {part: without_secrets(one[part]) for part in parts if part in one}
    return {"apiVersion": one.get("apiVersion"), "kind": one.get("kind"), "metadata": shown, **content}


def told_event(event: Object) -> Object:
    """What happened to which object, and how often."""
    about = event.get("involvedObject", {})
    named = {key: about[key] for key in ("kind", "namespace", "name", "fieldPath") if key in about}
    said = {key: without_secrets(event[key]) for key in _EVENT if event.get(key)}
    return {"involvedObject": named, "source": event.get("source", {}).get("component", ""), **said}


def without_secrets(value: object, name: str = "") -> object:
    """Plain data without its secrets; `name` is the key that it stands under. Every environment is hidden."""
    match value:
        case dict():
            return {key: _field(value, key, name) for key in value}
        case list():
            return [*_items(value, name)]
        case bool():
            return value
        case str() | int() if name and _SECRET_NAME.search(name):
            return HIDDEN
        case str():
            return redacted(value)
        case _:
            return value


def _field(holder: Object, key: str, above: str) -> object:
    if key == "value" and "name" in holder:
        return HIDDEN
    if key in _CONTENT and _SECRET_NAME.search(above):
        return HIDDEN
    if key == "env" and isinstance(holder[key], dict):
        return dict.fromkeys(holder[key], HIDDEN)
    names = key == "key" and not _BESIDE_A_NAME.isdisjoint(holder)
    return without_secrets(holder[key], "" if names else str(key))


def _items(values: list[object], name: str) -> Iterator[object]:
    """The items of a list that stands under a name; an argument after an option such as `--token` is hidden."""
    before: object = None
    for one in values:
        follows = isinstance(before, str) and _SECRET_OPTION.fullmatch(before) is not None
        yield HIDDEN if follows and isinstance(one, str) else without_secrets(one, name)
        before = one


def _note(name: str, value: str) -> str:
    return value if name in _ANNOTATIONS and _PLAIN.fullmatch(value) else HIDDEN
