"""Rule 38 of DNS names: a leaf under the pinned root is believed as a server's by whoever asks for one of its names."""

from collections.abc import Iterator, Sequence

from meshpki.pki.certificate import Certificate
from meshpki.pki.verdict import Finding, named
from meshpki.settings import Settings
from meshpki.words import first_of

_REMEDY = "take it out of the ClusterSPIFFEID or registration entry that gives it, and look who wrote that"
_SHOWN = 5
# SERVICE.NAMESPACE, and POD.SERVICE.NAMESPACE of a StatefulSet
_NAMESPACE_AT = (1, 2)

# A service's name, or what it begins with, and its namespace.
Reserved = tuple[tuple[str, str], ...]


def reserved(settings: Settings) -> Reserved:
    """What proxies ask istiod for, and agents spire-server: a revision's istiod has its name behind it."""
    names = settings.namespaces
    return (("istiod", names.istio), ("istio-pilot", names.istio), ("spire-server", names.spire_server))


def judge_dns_names(leaf: Certificate, namespace: str, control_plane: Reserved) -> Iterator[Finding]:
    """38: no DNS name of the control plane, and (warning) none outside of the pod's own namespace.

    A name of one label is let be: SPIRE gives those of a pod's own services, and nobody asks across namespaces for one.
    """
    names = [(name, name.lower().rstrip(".").split(".")) for name in leaf.dns_names]
    taken = [name for name, labels in names if _is_reserved(labels, control_plane)]
    foreign = [name for name, labels in names if name not in taken and not _is_own(labels, namespace)]
    if taken:
        expected = "no DNS name of the control plane"
        yield Finding("MPK-377", "fail", 38, expected, first_of(taken, _SHOWN), _REMEDY, named(leaf))
    if foreign:
        expected = f"DNS names in namespace {namespace} alone"
        yield Finding("MPK-377", "warn", 38, expected, first_of(foreign, _SHOWN), _REMEDY, named(leaf))


def _is_reserved(labels: Sequence[str], control_plane: Reserved) -> bool:
    if not _lies_in(labels, 1):
        return False
    service, namespace = labels[0], labels[1]
    return any(namespace == place and (service.startswith(name) or "*" in service) for name, place in control_plane)


def _is_own(labels: Sequence[str], namespace: str) -> bool:
    alone = len(labels) == 1 and "*" not in labels[0]
    return alone or any(_lies_in(labels, place) and labels[place] == namespace for place in _NAMESPACE_AT)


def _lies_in(labels: Sequence[str], place: int) -> bool:
    """Whether the label at a place can be a namespace: the last, or with `svc` after it."""
    following = labels[place + 1 : place + 2]
    return len(labels) > place and following in ([], ["svc"])
