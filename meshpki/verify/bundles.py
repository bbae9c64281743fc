"""The trust bundles that the control plane keeps in objects: each is exactly the pinned set."""

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from meshpki.cluster.manifest import Ref
from meshpki.pki import chain
from meshpki.pki.bundle import Bundle, bundle_differences, difference, hidden, read_bundle
from meshpki.pki.certificate import Certificate, UnparsableError
from meshpki.pki.verdict import Finding, named, result_of, unparsable
from meshpki.verify.judge import Pinned
from meshpki.verify.observation import Kept, Served
from meshpki.verify.places import Place, PlaceKind, PlaceVerdict

ISTIO_BUNDLE = "istio-ca-root-cert"
# How the survey names the list of them where it could not be read.
ISTIO_BUNDLES = f"{ISTIO_BUNDLE} of every namespace"

_REMEDIES = {
    PlaceKind.WEBHOOK: "istiod writes it from its own root: look at istiod's log, and restart it if it stays",
    PlaceKind.ISTIO_BUNDLE: "istiod writes it from its own root: delete the ConfigMap, and look who changed it",
    PlaceKind.SPIRE_BUNDLE: "spire-server writes it: compare `spire-server bundle show`, and look who changed it",
}
_WHOLE = "a bundle of whole certificates"
# What the readers of a bundle connect to, and judge by it.
_SERVERS = {
    PlaceKind.WEBHOOK: PlaceKind.ISTIOD,
    PlaceKind.ISTIO_BUNDLE: PlaceKind.ISTIOD,
    PlaceKind.SPIRE_BUNDLE: PlaceKind.SPIRE_SERVER,
}


def judge_bundle(kept: Kept, pinned: Pinned, served: Sequence[Served] = ()) -> PlaceVerdict:
    """39: the bundle holds the pinned roots and nothing else; 43 and no expired one that can be taken for them.

    One of several roots that has still to come is a warning, as long as the others prove what the bundle's readers
    are `served`.
    """
    if isinstance(kept.error, UnparsableError):
        return _broken(kept.place, (unparsable(kept.error, _WHOLE),))
    if kept.error:
        return PlaceVerdict(kept.place, "unknown", reason=f"{kept.error.what} ({kept.error.code})")
    if not kept.pem.strip():
        return _broken(kept.place, (_another_set(kept.place, pinned, _nothing(kept.place)),))
    try:
        bundle = read_bundle(kept.pem)
    except UnparsableError as error:
        return _broken(kept.place, (unparsable(error, _WHOLE),))
    differs = difference(bundle, (root.sha256 for root in pinned.roots))
    findings = (
        *bundle_differences(differs, partial(_another_set, kept.place, pinned), _under_way(kept.place)),
        *(_unproven(kept.place, pinned, bundle, served) if differs.under_way else ()),
        *hidden(bundle.anchors, pinned.at),
    )
    return PlaceVerdict(
        kept.place,
        result_of(findings),
        bundle=tuple(anchor.sha256 for anchor in bundle.anchors),
        expires=min(anchor.not_after for anchor in bundle.anchors),
        findings=findings,
        reason="" if findings else _whole_set(pinned),
    )


def _nothing(place: Place) -> str:
    return "it is empty or not there" if place.kind is not PlaceKind.WEBHOOK or place.detail else "there is none"


def judge_missing(kept: Sequence[Kept], namespaces: Collection[str], pinned: Pinned) -> Iterator[PlaceVerdict]:
    """39: every namespace with a pod of the mesh has Istio's bundle, without which its proxies do not start."""
    there = {one.place.ref.namespace for one in kept if one.place.kind is PlaceKind.ISTIO_BUNDLE}
    for namespace in sorted(set(namespaces) - there):
        place = Place(PlaceKind.ISTIO_BUNDLE, Ref("v1", "ConfigMap", namespace, ISTIO_BUNDLE))
        yield _broken(place, (_another_set(place, pinned, "it is not there"),))


def _broken(place: Place, findings: tuple[Finding, ...]) -> PlaceVerdict:
    return PlaceVerdict(place, "broken", findings=findings, reason=findings[0].found)


def _under_way(place: Place) -> str:
    return f"let the rotation go on; if none runs, {_REMEDIES[place.kind]}"


def _unproven(place: Place, pinned: Pinned, bundle: Bundle, served: Sequence[Served]) -> Iterator[Finding]:
    """The chains that lead to a pinned root which this bundle has not got: its readers refuse them already now."""
    for listener in served:
        if listener.place.kind is _SERVERS[place.kind] and listener.chain:
            refused = chain.proves(listener.chain, bundle.anchors, pinned.at, pinned.max_depth)
            if refused and not chain.proves(listener.chain, pinned.roots, pinned.at, pinned.max_depth):
                found = f"it does not prove what {listener.place} serves"
                yield _another_set(place, pinned, found, listener.chain[0])


def _another_set(place: Place, pinned: Pinned, found: str, certificate: Certificate | None = None) -> Finding:
    about = named(certificate) if certificate else None
    return Finding("MPK-348", "fail", 39, _whole_set(pinned), found, _REMEDIES[place.kind], about)


def _whole_set(pinned: Pinned) -> str:
    count = len(pinned.roots)
    return "exactly the pinned root" if count == 1 else f"exactly the {count} pinned roots"
