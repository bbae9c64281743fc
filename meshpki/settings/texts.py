"""What the text of each key must look like: one row a key."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from meshpki.settings.model import CAN_WAIT, PRESETS


@dataclass(frozen=True)
class Text:
    """What the text of one key must match in full; `verbatim` where a number is as good as text, `private` where
    a wrong one may hold a password.
    """

    pattern: re.Pattern[str]
    remedy: str
    code: str = "MPK-026"
    verbatim: bool = False
    private: bool = False


_LABEL = Text(
    # kube- is reserved: Kubernetes documentation, "Namespaces"
    re.compile(r"(?!kube-)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"),
    "name a namespace as RFC 1123 does: at most 63 of a-z, 0-9 and -, not at its ends; not kube-...",
    "MPK-013",
)
_NUMBER = r"(?=[0-9.]*[1-9])[0-9]+(?:\.[0-9]+)?"
_SIZE = Text(
    re.compile(_NUMBER + r"(?:[kMGTPE]|[KMGTPE]i)?"), "write a quantity of bytes such as 64Mi or 1Gi", "MPK-015", True
)
_VERSION = Text(re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.]+)?"), "write all three numbers: 1.2.3", "MPK-017")
_TAG = Text(re.compile("v" + _VERSION.pattern.pattern), "write it as its release does: v1.2.3", "MPK-017")
SHA256 = Text(
    re.compile(r"[0-9a-fA-F]{64}|[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){31}"),
    "write a SHA-256: 64 hex digits, colons allowed",
    "MPK-016",
    True,
)
_PROXY = Text(
    re.compile(r"|https?://(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?/?"),
    "write http://host:port, without user or password: settings are stored in the cluster",
    "MPK-027",
    private=True,
)
_REGISTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:/[a-z0-9][a-z0-9._-]*)*")
CHECK_NAME = Text(
    re.compile("|".join(CAN_WAIT)),
    f"choose of {', '.join(CAN_WAIT)}; only --ignore on the command line takes any other",
    "MPK-116",
)
_PRINTABLE = Text(re.compile(r"[^\x00-\x1f\x7f]*"), "leave out control characters")

# SPIFFE-ID 2.1; 64 characters of common name (RFC 5280 A.1, ub-common-name) leave 8 for "-g<generation>"
_TEXTS: Mapping[str, Text] = {
    "preset": Text(re.compile("|".join(PRESETS)), f"choose one of {', '.join(PRESETS)}", "MPK-011"),
    "trustDomain": Text(
        re.compile(r"[a-z0-9._-]{1,255}"), "use lower case a-z, 0-9, dots, - and _, at most 255 of them", "MPK-012"
    ),
    "clusterName": Text(
        re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"), "use letters, digits, dots, - and _"
    ),
    "root.fingerprint": Text(re.compile(f"|{SHA256.pattern.pattern}"), SHA256.remedy, SHA256.code, True),
    "root.commonName": Text(
        re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,54}[A-Za-z0-9])?"),
        "use at most 56 letters, digits, spaces, dots, - and _",
    ),
    "root.existing.secretName": Text(
        re.compile(r"|[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"), "write the name of a Secret, or nothing"
    ),
    # A path on one line, or PEM text.
    "root.existing.chain": Text(
        re.compile(r"[^\x00-\x1f\x7f]*|(?=[\s\S]*-----BEGIN )[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*"),
        "write the path of a PEM file, or its text",
        "MPK-285",
        private=True,
    ),
    "spire.logLevel": Text(re.compile("DEBUG|INFO|WARN|ERROR"), "choose one of DEBUG, INFO, WARN, ERROR"),
    "spire.storage.size": _SIZE,
    "spire.storage.className": Text(
        re.compile(r"|[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"), "write a StorageClass's name, or nothing"
    ),
    "istio.hub": Text(_REGISTRY, "write a registry and path such as docker.io/istio"),
    "images.mirror": Text(
        re.compile(f"|{_REGISTRY.pattern}"), "write a registry and path such as registry.example.com/mirror, or nothing"
    ),
    "resources.cpu": Text(re.compile(_NUMBER + "m?"), "write a CPU quantity such as 10m or 1", "MPK-015", True),
    "resources.memory": _SIZE,
    "versions.istio": Text(
        re.compile(r"[0-9]+\.[0-9]+\.[0-9]+"),
        "write all three numbers alone: 1.2.3; its images may have another tag, `istio: {operator: {tag: ...}}`,"
        " or variant, `istio: {operator: {values: {global: {variant: distroless}}}}`",
        "MPK-017",
    ),
    "versions.certManager": _TAG,
    "versions.approverPolicy": _TAG,
    "versions.csiNodeDriverRegistrar": _TAG,
    "artifacts.directory": _PRINTABLE,
    "proxy.http": _PROXY,
    "proxy.https": _PROXY,
    "proxy.noProxy": Text(re.compile(r"[A-Za-z0-9.,:/*_\[\]-]*"), "list hosts and networks with commas", "MPK-027"),
}
_FAMILIES: Mapping[str, Text] = {"namespaces": _LABEL, "versions": _VERSION}


def text_of(path: str) -> Text:
    """The rule for the text of a key such as `versions.istio`."""
    return _TEXTS.get(path) or _FAMILIES[path.partition(".")[0]]
