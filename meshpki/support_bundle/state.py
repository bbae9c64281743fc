"""What the API server tells of the mesh: events, objects and their statuses, the settings that are kept, versions."""

import heapq
import platform
from collections.abc import Iterable, Iterator

from meshpki import __version__
from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Query
from meshpki.components.approval import POLICY
from meshpki.components.trust import CERT_MANAGER
from meshpki.install import WISH, kept_wish
from meshpki.settings import Settings, read_text
from meshpki.settings.fields import flatten
from meshpki.settings.writer import effective
from meshpki.support_bundle.archive import Archive
from meshpki.support_bundle.objects import told, told_event, without_secrets
from meshpki.support_bundle.redaction import redacted

EVENTS = 1000
OBJECTS = 1000
_OF_THE_MESH = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("v1", "PersistentVolumeClaim"),
    ("policy/v1", "PodDisruptionBudget"),
    (CERT_MANAGER, "Issuer"),
)
_OF_THE_CLUSTER = (
    (CERT_MANAGER, "ClusterIssuer"),
    POLICY,
    ("spire.spiffe.io/v1alpha1", "ClusterSPIFFEID"),
    ("storage.k8s.io/v1", "CSIDriver"),
)
_OF_CERT_MANAGER = ((CERT_MANAGER, "Certificate"), (CERT_MANAGER, "CertificateRequest"))


def own_namespaces(settings: Settings) -> list[str]:
    """The namespaces of the components, in order; that of the workloads is none of them."""
    names = settings.namespaces
    return sorted({names.cert_manager, names.spire_server, names.spire_system, names.istio})


def add_events(archive: Archive, reader: Reader, namespaces: Iterable[str]) -> None:
    """The newest events of each namespace, at most EVENTS, oldest first."""
    for namespace in sorted(namespaces):
        with archive.attempt(f"events in {namespace}"):
            events = reader.scan(Query("v1", "Event", namespace))
            newest = heapq.nlargest(EVENTS, ((_when(one), number, one) for number, one in enumerate(events)))
            if newest:
                archive.add_json(
                    f"events/{namespace}.json", [told_event(one) for *_, one in sorted(newest, key=_place)]
                )


def add_objects(archive: Archive, reader: Reader, namespaces: Iterable[str]) -> None:
    """The objects of the mesh's own namespaces, cert-manager's, and those of the whole cluster that the mesh needs."""
    everywhere = [Query(*kind) for kind in (*_OF_CERT_MANAGER, *_OF_THE_CLUSTER)]
    within = [[Query(*kind, namespace) for namespace in sorted(namespaces)] for kind in _OF_THE_MESH]
    for queries in sorted([*within, *([query] for query in everywhere)], key=lambda some: some[0].kind):
        kind = queries[0].kind
        with archive.attempt(f"{kind} objects"):
            found = (one for query in queries for one in reader.scan(query))
            add_told(archive, kind, found)


def add_told(archive: Archive, kind: str, found: Iterable[Object]) -> None:
    """Objects of one kind, at most OBJECTS of them."""
    archive.add_list(f"objects/{kind.lower()}.json", map(told, found), f"{kind} objects", OBJECTS)


def add_settings(archive: Archive, reader: Reader) -> None:
    """The settings that the last `up` kept, read as data: nothing hides in the form of the text."""
    with archive.attempt(f"the settings of {WISH}"):
        kept = kept_wish(reader)
        if kept:
            archive.add_json("settings/meshpki.json", without_secrets(effective(read_text(kept, str(WISH)))))
        else:
            archive.lacks(f"the settings of {WISH}", "none are kept")


def add_versions(archive: Archive, reader: Reader, settings: Settings, pods: Iterable[Object]) -> None:
    """What runs: meshpki, Python, Kubernetes, the versions of the settings, and every image of the mesh's pods."""
    with archive.attempt("the version of the API server"):
        content = {
            "meshpki": __version__,
            "python": platform.python_version(),
            "kubernetes": reader.version(),
            "settings": dict(flatten(settings.versions)),
            "images": sorted({image for pod in pods for image in _images(pod)}),
        }
        archive.add_json("versions.json", content)


def _images(pod: Object) -> Iterator[str]:
    spec = pod.get("spec", {})
    for container in (*spec.get("initContainers", []), *spec.get("containers", [])):
        if container.get("image"):
            yield redacted(str(container["image"]))


def _when(event: Object) -> str:
    times = (event.get("lastTimestamp"), event.get("eventTime"), event["metadata"].get("creationTimestamp"))
    return next((str(one) for one in times if one), "")


def _place(entry: tuple[str, int, Object]) -> tuple[str, str]:
    return entry[0], str(entry[2]["metadata"].get("name", ""))
