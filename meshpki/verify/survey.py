"""The look at the control plane: reads alone, side by side, and none of them stops the others. Never a Secret."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from itertools import chain
from typing import TypeVar

from meshpki.cluster.abreast import abreast
from meshpki.cluster.client import ClusterError, Reader
from meshpki.cluster.manifest import Ref
from meshpki.components.istio import ISTIOD_PORTS, WEBHOOKS
from meshpki.components.rollout import deployment
from meshpki.components.spire import SERVER_PORT
from meshpki.components.trust import Pin
from meshpki.errors import MeshpkiError
from meshpki.settings import Settings
from meshpki.verify import looks
from meshpki.verify.issuance import of_istiod, of_root
from meshpki.verify.looks import Look
from meshpki.verify.observation import Kept, Observation
from meshpki.verify.places import PlaceKind, Unseen

_IN_FLIGHT = 16
_VALIDATING = "ValidatingWebhookConfiguration"
_UNASKED = Unseen("SPIRE's prepared and old CAs", "--authorities, and the right to exec into spire-server")


T = TypeVar("T")


def observe(
    reader: Reader, settings: Settings, at: datetime, *, authorities: bool, pin: Pin | None = None
) -> Observation:
    """Everything there is to see of the control plane; `at` is this machine's clock just before (UTC).

    `authorities` has every spire-server asked for its own list, by a command in its pod. What cannot be read stands
    under `unseen` with the right it takes, and at its place with the error. A `pin` that was read is not read again.
    Raises nothing of the cluster's.
    """
    # first of all and by itself: every moment that passes would count as skew
    clock = _taken(looks.clock(reader, at))
    planned = _looks(reader, settings)
    if pin is None:
        planned = (*planned, looks.pin(reader))
    if authorities:
        planned = (*planned, looks.local(reader, settings))
    with abreast(_IN_FLIGHT, "survey") as pool:
        seen = joined((clock, *pool.map(_taken, planned)))
        served = tuple(pool.map(lambda one: looks.asked(reader, one), seen.served))
    unasked = () if authorities else (_UNASKED,)
    kept = (*seen.kept, *_no_webhooks(seen, settings))
    return replace(seen, pin=pin or seen.pin, served=served, kept=kept, unseen=(*seen.unseen, *_gone(seen), *unasked))


def joined(parts: Iterable[Observation]) -> Observation:
    """One observation of several, each of which saw a part."""
    every = tuple(parts)
    return Observation(
        served=_all(part.served for part in every),
        kept=_all(part.kept for part in every),
        pin=_first(part.pin for part in every),
        signed=_first(part.signed for part in every),
        requesters=_first(part.requesters for part in every),
        policed=any(part.policed for part in every),
        local=_first(part.local for part in every),
        skew=_first(part.skew for part in every),
        injecting=_first(part.injecting for part in every),
        unseen=_all(part.unseen for part in every),
    )


def _all(found: Iterable[Sequence[T]]) -> tuple[T, ...]:
    return tuple(chain.from_iterable(found))


def _first(found: Iterable[T | None]) -> T | None:
    """The first of what only one of the parts has seen."""
    return next((one for one in found if one is not None), None)


def places_of_trust(reader: Reader, settings: Settings) -> tuple[Look, ...]:
    """Every place besides Envoys where the mesh serves a chain or keeps anchors; a root rotation looks at the same."""
    names = settings.namespaces
    server = Ref("apps/v1", "StatefulSet", names.spire_server, "spire-server")
    return (
        looks.replicas(reader, deployment(names.istio, "istiod"), PlaceKind.ISTIOD, ISTIOD_PORTS),
        looks.replicas(reader, server, PlaceKind.SPIRE_SERVER, (SERVER_PORT,)),
        *(looks.webhooks(reader, query, names.istio) for query in WEBHOOKS),
        looks.istio_bundles(reader, names.istio),
        looks.spire_bundle(reader, names.spire_system),
    )


def _looks(reader: Reader, settings: Settings) -> tuple[Look, ...]:
    return (
        *places_of_trust(reader, settings),
        looks.requests(reader, settings),
        looks.who_may_ask(reader, settings),
        looks.namespaces(reader),
    )


def _taken(look: Look) -> Observation:
    """What a look gives; where it fails, that it was not seen and what it needs, and its place with the error."""
    try:
        return look.take()
    except MeshpkiError as error:
        denied = isinstance(error, ClusterError) and error.status == HTTPStatus.FORBIDDEN
        needs = f"the right to {look.right}" if denied else f"another answer than: {error.what} ({error.code})"
        unread = (Kept(look.place, error=error),) if look.place else ()
        return Observation(kept=unread, unseen=(Unseen(look.what, needs),))


def _no_webhooks(seen: Observation, settings: Settings) -> Iterator[Kept]:
    """An empty place for each kind of webhook that an installed istiod has none of; the user may have left one out."""
    there = {one.place.ref.kind for one in seen.kept if one.place.kind is PlaceKind.WEBHOOK}
    has_istiod = any(one.place.kind is PlaceKind.ISTIOD and not one.error for one in seen.served)
    for query in WEBHOOKS if has_istiod else ():
        if query.kind not in there and not (query.kind == _VALIDATING and _unvalidated(settings.istio.operator)):
            yield Kept(looks.webhook_place(query))


def _unvalidated(operator: Mapping[str, object]) -> bool:
    """Whether the user's overlay has Istio validate no configuration (its charts' global.configValidation)."""
    values = operator.get("values")
    common = values.get("global") if isinstance(values, Mapping) else None
    return isinstance(common, Mapping) and common.get("configValidation") is False


def _gone(seen: Observation) -> tuple[Unseen, ...]:
    """What cert-manager, or somebody, deleted: requests that would tell what was issued."""
    if seen.signed is None:
        return ()
    needs = "its CertificateRequest, which is gone; cert-manager may drop it"
    missing = (
        ("what the pinned root was issued as", seen.pin is not None and not seen.pin.chain and of_root(seen) is None),
        ("the newest cacerts", of_istiod(seen) is None),
    )
    return tuple(Unseen(what, needs) for what, absent in missing if absent)
