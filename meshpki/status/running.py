"""Which versions run, read off the images of running containers; and by whom a step's objects are managed."""

from collections.abc import Iterable, Iterator

from meshpki.cluster.manifest import FIELD_MANAGER, Object
from meshpki.settings import Settings

_MANAGED_BY = "app.kubernetes.io/managed-by"
# the last part of an image's name, by step; a hub or a mirror changes only what stands before it
IMAGES = {
    "cert-manager": ("cert-manager-controller",),
    "approval": ("cert-manager-approver-policy",),
    "spire": ("spire-server", "spire-agent"),
    "istio": ("pilot",),
    "workloads": ("examples-bookinfo-",),
}


def versions(pods: Iterable[Object], step: str) -> tuple[str, ...]:
    """The tags (or the first of a digest) of a step's running containers, each once; none where nothing runs."""
    wanted = IMAGES.get(step, ())
    found = {tag for pod in pods for name, tag in _images(pod) if wanted and name.startswith(wanted)}
    return tuple(sorted(found))


def wanted_version(settings: Settings, step: str) -> str:
    """The version of a step that the settings name; empty for a step without a component of its own."""
    chosen = settings.versions
    return {
        "cert-manager": chosen.cert_manager,
        "approval": chosen.approver_policy,
        "spire": chosen.spire,
        "istio": chosen.istio,
        "workloads": chosen.bookinfo,
    }.get(step, "")


def owners(objects: Iterable[Object]) -> tuple[str, ...]:
    """Who manages objects: `meshpki` where it applied them, else what their label or their first manager says."""
    return tuple(sorted({_owner(one) for one in objects}))


def _owner(one: Object) -> str:
    managers = [str(entry.get("manager", "")) for entry in one["metadata"].get("managedFields") or []]
    if FIELD_MANAGER in managers:
        return FIELD_MANAGER
    label = str((one["metadata"].get("labels") or {}).get(_MANAGED_BY, ""))
    return label or next(iter(managers), "unknown")


def _images(pod: Object) -> Iterator[tuple[str, str]]:
    """Name and tag of the image of each container that runs, as the runtime reports them."""
    status = pod.get("status", {})
    for container in (*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])):
        if "running" in (container.get("state") or {}):
            yield _named(str(container.get("image", "")))


def _named(image: str) -> tuple[str, str]:
    reference, _, digest = image.partition("@")
    name, _, tag = reference.rpartition("/")[2].partition(":")
    return name, tag or digest.removeprefix("sha256:")[:12]
