"""Whether a root can be rotated without a failed request: gathered once, judged by named checks, all of them told."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object, Ref
from meshpki.components import spire_authorities
from meshpki.components.rollout import deployment
from meshpki.components.spire_authorities import Slots
from meshpki.components.trust import ALIAS, CERT_MANAGER, Pin, istiod_certificate, required, root_name
from meshpki.errors import PreconditionError
from meshpki.rights import missing
from meshpki.rotate import goals
from meshpki.rotate.acts import anchors_text
from meshpki.rotate.clocks import deadlines
from meshpki.rotate.rights import needed
from meshpki.settings import Settings
from meshpki.settings.durations import moment
from meshpki.verify import Report, Requirements, verify
from meshpki.verify.bundles import ISTIO_BUNDLE
from meshpki.verify.peers import PeerGroup
from meshpki.verify.places import PlaceKind
from meshpki.verify.pods import MeshPod
from meshpki.words import first_of

_NAMED = 5
# In the mesh configuration, which is YAML: a value is quoted or not.
_XDS_AGENT = re.compile(r"""PROXY_CONFIG_XDS_AGENT["']?:\s*["']?true\b""")


@dataclass(frozen=True)
class Seen:
    """One look at the mesh, as far as the checks need it; `ends` is when the rotation is expected to be over (UTC)."""

    at: datetime
    ends: datetime
    pin: Pin
    alias: str
    report: Report
    slots: tuple[Slots, ...]
    spire_server: Object
    spire_config: str
    istiod: Object
    mesh_config: str
    istio_bundle: str
    cacerts: Object | None
    missing_rights: tuple[str, ...] = ()
    excepted: frozenset[str] = field(default_factory=frozenset)

    @property
    def under_way(self) -> bool:
        """Whether it is one to go on with: what it has changed itself is no reason against it."""
        return len(self.pin.roots) > 1


def look(
    reader: Reader, settings: Settings, now: Callable[[], datetime], ends: datetime, excepted: Iterable[str] = ()
) -> Seen:
    """Gather what the checks judge; no Secret is read. Raises PreconditionError (MPK-353) where no root is pinned."""
    at = now()
    pin, names = required(reader), settings.namespaces
    alias = reader.get(Ref(CERT_MANAGER, "ClusterIssuer", "", ALIAS)) or {}
    servers = spire_authorities.servers(reader, settings)
    return Seen(
        at=at,
        ends=ends,
        pin=pin,
        alias=str(alias.get("spec", {}).get("ca", {}).get("secretName", "")),
        report=verify(reader, settings, at, requirements=Requirements(authorities=True), now=now),
        slots=tuple(spire_authorities.slots(reader, pod) for pod in servers),
        spire_server=reader.get(spire_authorities.server_set(settings)) or {},
        spire_config=_text(reader, spire_authorities.server_config(settings), "server.conf"),
        istiod=reader.get(deployment(names.istio, "istiod")) or {},
        mesh_config=_text(reader, Ref("v1", "ConfigMap", names.istio, "istio"), "mesh"),
        istio_bundle=_text(reader, Ref("v1", "ConfigMap", names.istio, ISTIO_BUNDLE), "root-cert.pem"),
        cacerts=reader.get(istiod_certificate(settings)),
        missing_rights=tuple(map(str, missing(reader, needed(settings)))),
        excepted=frozenset(excepted),
    )


def examine(seen: Seen, settings: Settings) -> tuple[PreconditionError, ...]:
    """Every reason why the rotation, or what is left of it, would not be safe; none where it is."""
    return tuple(found for check in (_LEFT if seen.under_way else _CHECKS) for found in check(seen, settings))


def targets(seen: Seen) -> Mapping[str, int]:
    """How many targets each stage has before anything was done, of what is there now: see `goals`."""
    kinds = Counter(one.place.kind for one in seen.report.places)
    verifiers = kinds[PlaceKind.ISTIO_BUNDLE] + kinds[PlaceKind.WEBHOOK]
    envoys, servers = sum(one.pod.has_proxy for one in seen.report.pods), len(seen.slots)
    ski = seen.pin.root.ski
    beyond = sum(one.old is None or one.old.upstream != ski for one in seen.slots)
    of_spire = kinds[PlaceKind.SPIRE_SERVER] + servers + kinds[PlaceKind.SPIRE_BUNDLE] + envoys
    return {
        goals.TRUST_ISTIOD: verifiers + kinds[PlaceKind.ISTIOD],
        goals.PREPARE: 1 + servers,
        goals.TRUST: verifiers + kinds[PlaceKind.SPIRE_BUNDLE] + envoys,
        goals.ACTIVATE: servers + beyond + envoys,
        goals.ISTIOD_CA: 1 + kinds[PlaceKind.ISTIOD],
        goals.MOVED: envoys + kinds[PlaceKind.ISTIOD],
        goals.TAINT: of_spire,
        goals.FORGET: verifiers + kinds[PlaceKind.ISTIOD],
    }


def bearable(found: PreconditionError) -> bool:
    """Whether a compromised root is rotated all the same: an intruder's pod, or a clock, is no reason to wait."""
    return found.code in ("MPK-431", "MPK-432")


def bearable_past_return(found: PreconditionError) -> bool:
    """Whether the only way left is gone all the same: waiting mends nothing, but what may not be done cannot."""
    return found.code != "MPK-118"


Found = Iterator[PreconditionError]


def _rights(seen: Seen, _settings: Settings) -> Found:
    if seen.missing_rights:
        what = f"missing rights: {', '.join(seen.missing_rights)}"
        yield PreconditionError("MPK-118", what, where="this kubeconfig's user", remedy="have them granted")


def _proven(seen: Seen, _settings: Settings) -> Found:
    """Nothing is to be moved that is not seen, and nothing that is broken already."""
    pods = (
        f"{one.pod.ref.namespace}/{one.pod.ref.name} is {one.result}"
        for one in seen.report.pods
        if one.result != "proven"
        and _moves(one.pod)
        and f"{one.pod.ref.namespace}/{one.pod.ref.name}" not in seen.excepted
    )
    places = (
        f"{one.name} is {one.result}"
        for one in seen.report.places
        # who may ask moves nobody
        if one.result != "proven" and one.place.kind is not PlaceKind.REQUESTERS
    )
    peers = (
        "two groups of pods do not accept each other"
        for one in seen.report.peers
        if one.result != "proven" and not _left_behind(seen, one.presenter) and not _left_behind(seen, one.verifier)
    )
    left = [*pods, *places, *peers]
    if left:
        named = first_of(left, _NAMED, "; ")
        remedy = "fix what `meshpki verify --authorities` says; name pods that may be left behind with --except"
        yield PreconditionError("MPK-431", f"the mesh is not proven: {named}", remedy=remedy)


def _moves(pod: MeshPod) -> bool:
    """Whether there is, or should be, anything in a pod to be moved; one that was not injected has nothing."""
    return pod.has_proxy or pod.promised


def _left_behind(seen: Seen, group: PeerGroup) -> bool:
    """Whether nobody of a group is to be moved; one without pods stands for everybody."""
    return bool(group.pods) and all(f"{pod.namespace}/{pod.name}" in seen.excepted for pod in group.pods)


def _alias(seen: Seen, _settings: Settings) -> Found:
    wanted = root_name(seen.pin.generation)
    if seen.alias != wanted:
        what = f"it signs with Secret {seen.alias or 'of no name'}, but the pinned root is {wanted}"
        yield PreconditionError("MPK-438", what, where=f"ClusterIssuer {ALIAS}", remedy="bring it back: meshpki up")


def _named_root(_seen: Seen, settings: Settings) -> Found:
    if settings.root.fingerprint:
        what = "root.fingerprint names the root that is to be left; no other could ever be entered"
        yield PreconditionError(
            "MPK-439", what, where="the settings", remedy="take root.fingerprint out: meshpki up -f"
        )


def _clocks(seen: Seen, settings: Settings) -> Found:
    for one in deadlines(seen.slots, settings.spire.ca_ttl, seen.cacerts):
        if one.at <= seen.ends:
            anew = "renew that CA first, so that its clock starts anew: meshpki rotate spire-ca, or rotate istiod-ca"
            remedy = "wait until it is over, then run the same command again" if seen.under_way else anew
            what = f"{one}, before the rotation is expected to be over ({moment(seen.ends)})"
            yield PreconditionError("MPK-432", what, remedy=remedy)
    old = min(seen.pin.roots, key=lambda one: one.not_after)
    if old.not_after <= seen.ends:
        what = f"the old root ends at {moment(old.not_after)}, too soon to move the mesh in order"
        yield PreconditionError("MPK-432", what, remedy="rotate at once, and wait for nobody: --compromised")


def _kept_authorities(seen: Seen, _settings: Settings) -> Found:
    """A spire-server that loses its CA at a restart mints from whatever the alias issuer signs with at that moment."""
    spec, where = seen.spire_server.get("spec", {}), "StatefulSet spire-server"
    remedy = "bring SPIRE to what meshpki installs: meshpki up"
    if not spec.get("volumeClaimTemplates"):
        yield PreconditionError(
            "MPK-433", "it has no volume: a restart would mint another CA", where=where, remedy=remedy
        )
    if 'KeyManager "disk"' not in seen.spire_config:
        what = "its keys are not kept on disk: a restart would mint another CA"
        yield PreconditionError("MPK-433", what, where=where, remedy=remedy)
    if spire_authorities.too_old(spec.get("template", {})):
        what = "SPIRE is older than 1.11, which has no command to prepare a CA"
        yield PreconditionError("MPK-433", what, where=where, remedy="update SPIRE")
    for one in seen.report.places:
        issuer = one.path[1] if one.place.kind is PlaceKind.SPIRE_SERVER and len(one.path) > 1 else None
        if issuer and issuer.ski != issuer.sha1_key_id:
            what = "its CA's key identifier is no SHA-1: spire-server does not find it again after a restart"
            remedy = "meshpki up (it sets GODEBUG for cert-manager), then meshpki rotate spire-ca"
            yield PreconditionError("MPK-433", what, where=one.name, remedy=remedy)


def _multi_root(seen: Seen, _settings: Settings) -> Found:
    containers = seen.istiod.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    env = {item["name"]: item.get("value", "") for one in containers for item in one.get("env", [])}
    remedy = "bring Istio to what meshpki installs: meshpki up"
    if env.get("ISTIO_MULTIROOT_MESH") != "true":
        what = "ISTIO_MULTIROOT_MESH is not on: istiod would refuse a second root"
        yield PreconditionError("MPK-434", what, where="Deployment istiod", remedy=remedy)
    if not _XDS_AGENT.search(seen.mesh_config):
        what = "PROXY_CONFIG_XDS_AGENT is not on: proxies would not hear of a second root"
        yield PreconditionError("MPK-434", what, where="ConfigMap istio", remedy=remedy)


def _bytes(seen: Seen, _settings: Settings) -> Found:
    """Istio takes a root in or out only where the text of one bundle contains the other's."""
    if seen.istio_bundle.strip() != anchors_text(seen.pin.roots).strip():
        what = "istiod's bundle is not the text of the pinned root, to which another root could be added"
        yield PreconditionError(
            "MPK-435", what, where=f"ConfigMap {ISTIO_BUNDLE}", remedy="renew cacerts: meshpki rotate"
        )


_CHECKS: tuple[Callable[[Seen, Settings], Found], ...] = (
    _rights,
    _proven,
    _alias,
    _named_root,
    _clocks,
    _kept_authorities,
    _multi_root,
    _bytes,
)
# of a rotation that is under way; its gates ask for the rest
_LEFT = (_rights, _clocks, _kept_authorities, _multi_root)


def _text(reader: Reader, config_map: Ref, key: str) -> str:
    live = reader.get(config_map) or {}
    return str(live.get("data", {}).get(key, ""))
