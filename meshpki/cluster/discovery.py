"""Where the API server keeps each kind: read from its own discovery, group by group, as the kinds are met."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from meshpki.cluster.manifest import Kind, Object, Ref


@dataclass(frozen=True)
class Resource:
    """One served resource: its collection's name in the URL, and whether its objects live in namespaces."""

    api_version: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "", sub: str = "") -> str:
        """The URL path of an object, or of the collection where no name is given."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        scope = f"/namespaces/{quote(namespace)}" if self.namespaced and namespace else ""
        parts = [root, scope, f"/{self.plural}", f"/{quote(name)}" if name else "", f"/{sub}" if sub else ""]
        return "".join(parts)


def resources(listing: Object) -> dict[str, Resource]:
    """Kind -> resource, out of one APIResourceList; sub-resources are left out."""
    api_version = listing["groupVersion"]
    return {
        item["kind"]: Resource(api_version, item["name"], item["namespaced"])
        for item in listing.get("resources", [])
        if "/" not in item["name"]
    }


def served(discovered: Object) -> tuple[Kind, ...]:
    """The kinds of an APIGroupDiscoveryList (apidiscovery.k8s.io/v2), each in the version that its group prefers."""
    found: dict[tuple[str, str], Kind] = {}
    for group in discovered.get("items") or []:
        name = group.get("metadata", {}).get("name", "")
        for version in group.get("versions") or []:
            for one in version.get("resources") or []:
                kind = (one.get("responseKind") or {}).get("kind", "")
                api_version = f"{name}/{version['version']}" if name else str(version["version"])
                verbs, resource = frozenset(one.get("verbs") or []), str(one.get("resource", ""))
                known = Kind(api_version, kind, one.get("scope") == "Namespaced", verbs, resource)
                found.setdefault((name, kind), known)
    return tuple(found.values())


class Discovery:
    """The kinds met so far; a kind that is missing is asked for again, since an earlier step may have made its CRD."""

    def __init__(self, fetch: Callable[[str], Object | None]) -> None:
        """`fetch` reads one path, None where the server has nothing there."""
        self._fetch, self._known, self._lock = fetch, dict[str, dict[str, Resource]](), threading.Lock()

    def find(self, api_version: str, kind: str) -> Resource | None:
        """The resource that serves a kind, None where the server does not know it."""
        with self._lock:
            known = self._known.get(api_version, {})
            if kind not in known:
                root = "/apis/" if "/" in api_version else "/api/"
                listing = self._fetch(root + api_version)
                known = resources(listing) if listing else {}
                self._known[api_version] = known
            return known.get(kind)

    def path(self, ref: Ref) -> str | None:
        """The URL path of an object, None where its kind is not served."""
        resource = self.find(ref.api_version, ref.kind)
        return resource.path(ref.namespace, ref.name) if resource else None
