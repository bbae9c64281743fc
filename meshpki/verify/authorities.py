"""Which CAs may issue identities now: rule 37, the pinned intermediates.

A path to the pinned root is not enough: whoever may create a CertificateRequest gets a CA below that root. SPIRE keeps
no public record of its CAs, so they are known from what its servers serve, and exactly where they may be asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from meshpki.cluster.manifest import Ref
from meshpki.pki.certificate import Certificate
from meshpki.pki.renewal import of_spire_ca
from meshpki.pki.verdict import Finding, named
from meshpki.verify.observation import LocalAuthorities, Observation
from meshpki.verify.places import PlaceKind

_CLOCKS = timedelta(minutes=10)

_REMEDY = (
    "if SPIRE's CA was changed by hand within the last hour, run again with --authorities; otherwise treat the pod as"
    " an intruder: remove it, and look at who may create CertificateRequests (meshpki verify -o wide)"
)


@dataclass(frozen=True)
class Authorities:
    """SPIRE's CAs as far as they are known at one moment.

    `serving` are the issuers of what the servers serve on 8081, `complete` whether every server answered; a server's
    own certificate is the last to move to a new CA. `local` is what the servers list themselves, None where that was
    not asked. `rogue` are CAs that somebody else obtained from our issuers, by SHA-256 of their key.
    """

    serving: tuple[Certificate, ...]
    complete: bool
    svid_ttl: timedelta
    local: LocalAuthorities | None = None
    rogue: Mapping[str, Ref] = field(default_factory=dict)


def authorities(observation: Observation, svid_ttl: timedelta, rogue: Mapping[str, Ref]) -> Authorities:
    """What an observation says of SPIRE's CAs; `rogue` is judged of the CertificateRequests beforehand."""
    servers = [one for one in observation.served if one.place.kind is PlaceKind.SPIRE_SERVER]
    # what a server merely sends along is not the CA that it serves with
    signed = [one.chain for one in servers if len(one.chain) > 1 and one.chain[0].signed_by(one.chain[1])]
    serving = {chain[1].key_sha256: chain[1] for chain in signed}
    complete = bool(servers) and len(signed) == len(servers)
    return Authorities(tuple(serving.values()), complete, svid_ttl, observation.local, rogue)


def judge_issuer(leaf: Certificate, issuer: Certificate, known: Authorities, at: datetime) -> Finding | None:
    """37: whether a leaf's direct issuer, which lies below the pinned root, is one of SPIRE's own CAs.

    None where it is. What may be a CA of SPIRE from before or after the one that its server serves with cannot be
    judged without asking the server; what cannot be one is a rogue.
    """
    taken = known.rogue.get(issuer.key_sha256)
    if taken:
        return _rogue(leaf, issuer, f"a CA that {taken} obtained")
    if known.local is not None:
        listed = known.local.active | known.local.prepared | known.local.old
        # an authority id is the key identifier; what a certificate says of its key proves nothing
        return None if listed & issuer.key_ids else _rogue(leaf, issuer, "a CA that spire-server does not list")
    if issuer.key_sha256 in (one.key_sha256 for one in known.serving):
        return None
    if not known.complete:
        return _unknown(leaf, issuer, "a CA that could not be compared: not every spire-server answered")
    if all(_follows(issuer, one, at) or _precedes(issuer, one, known, at) for one in known.serving):
        return _unknown(leaf, issuer, "another CA than spire-server serves with, at a time when SPIRE may change it")
    return _rogue(leaf, issuer, "another CA than spire-server serves with")


def _follows(issuer: Certificate, serving: Certificate, at: datetime) -> bool:
    """Whether SPIRE may have moved on to this issuer by itself: the server's own certificate moves later."""
    activated, _ = _followed(serving)
    return issuer.not_before > serving.not_before and at + _CLOCKS >= activated


def _precedes(issuer: Certificate, serving: Certificate, known: Authorities, at: datetime) -> bool:
    """Whether leaves of the CA before this one may still live. cert-manager never dates a CA back.

    That one signed until the serving CA, prepared ahead, was activated; its life is taken to have been as long.
    """
    activated, prepared = _followed(serving)
    gone = serving.not_before + (activated - prepared) + known.svid_ttl
    return issuer.not_before < serving.not_before and at <= gone + _CLOCKS


def _followed(ca: Certificate) -> tuple[datetime, datetime]:
    """When SPIRE activates the CA after this one, and when it prepares it."""
    renewal = of_spire_ca(ca)
    return renewal.at or ca.not_after, renewal.prepared or ca.not_after


def _rogue(leaf: Certificate, issuer: Certificate, what: str) -> Finding:
    found = f"{what}: key {issuer.key_sha256[:16]}, issued {issuer.not_before:%Y-%m-%dT%H:%M:%SZ}"
    return Finding("MPK-344", "fail", 37, "a leaf issued by one of SPIRE's own CAs", found, _REMEDY, named(leaf))


def _unknown(leaf: Certificate, issuer: Certificate, what: str) -> Finding:
    remedy = "let verify ask spire-server itself: meshpki verify --authorities (it needs the right to exec there)"
    found = f"{what}: key {issuer.key_sha256[:16]}"
    return Finding("MPK-371", "unknown", 37, "a leaf issued by one of SPIRE's own CAs", found, remedy, named(leaf))
