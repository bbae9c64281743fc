"""What `down` would do, decided from one look: what goes, step by step, what stays and why, and what forbids it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from meshpki.cluster.manifest import STEP_LABEL, Object, Ref, ours, ref_of
from meshpki.components.rogue_request import APPROVER
from meshpki.components.trust import CERT_MANAGER, PIN, STATE_NAMESPACE, is_root_name
from meshpki.install import EVERY, WISH
from meshpki.remove.seen import CRD, ISTIO_BUNDLES, NAMESPACE, Seen
from meshpki.remove.whose import dependent, everywhere, foreign, granted, istios, made_elsewhere, told
from meshpki.rotate.generations import numbered
from meshpki.words import first_of

ROTATION, SETTINGS = "rotation", "settings"
# Backwards through the steps, after what a killed rotation left; the kept settings are the last to go.
ORDER = (ROTATION, *(row.name for row in reversed(EVERY)), SETTINGS)
_ROOT, _ISTIO, _CERT_MANAGER = "root-ca", "istio", "cert-manager"
_ELECTION = "cert-manager-"
_NEEDED = {
    PIN: "the root's pin",
    WISH: "the settings, with which `up` comes back",
}
_SHOWN = 3


@dataclass(frozen=True)
class Part:
    """What goes with one step, by uid: objects that are already on their way out count too."""

    step: str
    objects: tuple[Object, ...] = ()

    @property
    def refs(self) -> tuple[Ref, ...]:
        """Their names."""
        return tuple(ref_of(one) for one in self.objects)


@dataclass(frozen=True, order=True)
class Kept:
    """An object of ours that stays, and why."""

    ref: Ref
    why: str


@dataclass(frozen=True)
class Removal:
    """`parts` in their order, empty ones left out; `released` are namespaces that only lose our labels."""

    parts: tuple[Part, ...]
    kept: tuple[Kept, ...]
    released: tuple[Ref, ...] = ()
    root: str = ""

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to do."""
        return not self.parts and not self.released


def decide(seen: Seen, *, purge: bool) -> Removal:
    """The removal of all that is ours; without `purge` the CRDs, the root and the kept settings stay."""
    found = {ref_of(one): one for one in (*filter(_left_by_a_part, seen.inside), *_marked(seen))}
    kept = {} if purge else {**dict(_kept(_marked(seen))), **dict(_requests(seen)), **dict(_keys(seen))}
    spaces, released = _namespaces(seen, {ref.namespace for ref in kept})
    kept.update(spaces)
    going = [one for ref, one in found.items() if ref not in {*kept, *released}]
    return Removal(
        _parts(going, seen, {SETTINGS} if released else set()),  # what is given back is given back by a step
        tuple(Kept(ref, why) for ref, why in sorted(kept.items())),
        released,
        _root_name(seen),
    )


def _parts(going: Iterable[Object], seen: Seen, wanted: set[str]) -> tuple[Part, ...]:
    steps = {ref_of(one).name: _step_label(one) for one in seen.ours if one["kind"] == NAMESPACE}
    parts: dict[str, list[Object]] = {step: [] for step in ORDER}
    for one in going:
        parts[_step(one, steps)].append(one)
    return tuple(Part(step, tuple(objects)) for step, objects in parts.items() if objects or step in wanted)


def _marked(seen: Seen) -> tuple[Object, ...]:
    """What labels or a name say is ours, wherever it lies."""
    return (*seen.istio, *seen.bundles, *_elections(seen), *seen.ours)


def intruders(seen: Seen) -> tuple[str, ...]:
    """Objects of our CRDs' kinds that somebody else made: they would go with the CRDs."""
    return tuple(sorted(told(one) for one in seen.instances if foreign(one)))


def _kept(ours: Iterable[Object]) -> Iterator[tuple[Ref, str]]:
    """What is needed to come back under the same root: CRDs, each root with its key, its pin, and the settings."""
    for one in ours:
        ref = ref_of(one)
        if ref in _NEEDED:
            yield ref, _NEEDED[ref]
        elif ref.kind == CRD:
            yield ref, "a CRD: without it every object of its kind would go"
        elif _is_root(one):
            yield ref, "the root"


def _requests(seen: Seen) -> Iterator[tuple[Ref, str]]:
    """The CertificateRequests of the roots: their certificates are read from there."""
    roots = {one["metadata"]["uid"] for one in seen.ours if _is_root(one)}
    for one in seen.inside:
        owners = {owner.get("uid") for owner in one["metadata"].get("ownerReferences") or []}
        if one["kind"] == "CertificateRequest" and owners & roots:
            yield ref_of(one), "the root's certificate, as it was issued"


def _keys(seen: Seen) -> Iterator[tuple[Ref, str]]:
    """The Secrets of the roots, by their names: also where somebody took cert-manager's CRDs, and the Certificates."""
    for one in seen.inside:
        if one["kind"] == "Secret" and is_root_name(one["metadata"]["name"]) and not foreign(one):
            yield ref_of(one), "the root's key"


def _is_root(one: Object) -> bool:
    return one["kind"] == "Certificate" and _step_label(one) == _ROOT


def _namespaces(seen: Seen, needed: set[str]) -> tuple[dict[Ref, str], tuple[Ref, ...]]:
    """Namespaces of ours that stay, and why; and those that are only given back."""
    stay: dict[Ref, str] = {}
    released: list[Ref] = []
    for one in seen.ours:
        ref = ref_of(one)
        if ref.kind != NAMESPACE:
            continue
        strangers = [told(other) for other in seen.inside if ref_of(other).namespace == ref.name and foreign(other)]
        if made_elsewhere(one) and ref.name not in needed:
            released.append(ref)
        elif strangers:
            stay[ref] = f"holds what is not ours: {first_of(strangers, _SHOWN)}"
        elif ref.name in needed:
            stay[ref] = "the root lies in it"
    return stay, tuple(released)


def _left_by_a_part(one: Object) -> bool:
    """Whether a part of the mesh made it by itself in a namespace of ours, so that it goes even if that stays."""
    if one["kind"] == "Lease":
        return bool(one["metadata"]["name"] == APPROVER)
    anyones = ours(one) or dependent(one) or everywhere(one) or granted(one) or foreign(one)
    return not anyones and one["kind"] != "Pod"


def _elections(seen: Seen) -> Iterator[Object]:
    """The Leases that cert-manager's leaders leave in kube-system; another's cert-manager keeps its own."""
    installed = any(_step_label(one) == _CERT_MANAGER for one in seen.ours)
    alien = any(
        one["kind"] == "Deployment" and one["metadata"]["name"].startswith("cert-manager") and not ours(one)
        for one in seen.owners.values()
    )
    for one in seen.leases:
        if installed and not alien and one["metadata"]["name"].startswith(_ELECTION):
            yield one


def _step(one: Object, namespaces: Mapping[str, str]) -> str:
    """The step that an object goes with: its label, else that of the namespace it lies in."""
    label = _step_label(one)
    if label:
        return label if label in ORDER else ROTATION
    ref = ref_of(one)
    if ref.namespace == STATE_NAMESPACE:
        return _CERT_MANAGER
    if istios(one) or ref.name in ISTIO_BUNDLES:
        return _ISTIO
    return namespaces.get(ref.namespace) or ROTATION


def _step_label(one: Object) -> str:
    return str((one["metadata"].get("labels") or {}).get(STEP_LABEL, ""))


def _root_name(seen: Seen) -> str:
    """The root that is pinned, else the newest Certificate of one; empty where there is none."""
    certificates = [one for one in seen.ours if one["kind"] == "Certificate" and one["apiVersion"] == CERT_MANAGER]
    names = {number: str(one["metadata"]["name"]) for number, one in numbered(certificates)}
    pinned = names.get(seen.pin.generation) if seen.pin else None
    if pinned or names:
        return pinned or names[max(names)]
    return max((ref.name for ref, _ in _keys(seen)), default="")


def rank(ref: Ref) -> int:
    """When an object goes within its step: hooks, what runs, what that used, namespaces, CRDs, and the pin last."""
    if ref == PIN:
        return 5
    match ref.kind:
        case "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration":
            return 0
        case "Namespace":
            return 3
        case "CustomResourceDefinition":
            return 4
        case "ServiceAccount" | "ConfigMap" | "Secret" | "Service" | "Lease" | "CSIDriver" | "PersistentVolumeClaim":
            return 2
        case _:
            return 2 if ref.api_version.startswith("rbac.") else 1
