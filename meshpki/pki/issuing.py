"""Whether a CA that somebody else made can stand above a mesh: what its public chain alone tells, all of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from meshpki.pki import rules, svid
from meshpki.pki.certificate import Certificate
from meshpki.pki.chain import judge
from meshpki.pki.extensions import ANY_USAGE, UNJUDGED_CONSTRAINTS, UNJUDGED_KEYS, NameConstraints
from meshpki.pki.path import Expected
from meshpki.settings.durations import moment

_USAGES = frozenset({svid.SERVER_AUTH, svid.CLIENT_AUTH})
# What has a code of its own here.
_TOLD = frozenset({"MPK-305", "MPK-306", "MPK-307", "MPK-308", "MPK-310", "MPK-311", "MPK-312"})

Chain = Sequence[Certificate]


@dataclass(frozen=True)
class Child:
    """A CA that shall be issued below: what it is called, and how long its issuer must last from now on."""

    name: str
    lasts: timedelta


@dataclass(frozen=True)
class Below:
    """What is to be below a CA: the CAs, the trust domain of the identities, and the DNS names of servers."""

    children: tuple[Child, ...]
    trust_domain: str
    dns_names: tuple[str, ...]


@dataclass(frozen=True)
class Unfit:
    """One reason why a CA cannot be used, with the code that explains it and what its owner can do."""

    code: str
    what: str
    remedy: str


def unfit(chain: Chain, below: Below, at: datetime) -> tuple[Unfit, ...]:
    """Every reason that the chain tells, the issuing CA first and its self-signed root last; none where it is fit.

    At one moment (UTC). Whoever holds the CA's key may still have another chain: only an issued certificate tells.
    """
    if not chain:
        return (Unfit("MPK-271", "the chain holds no certificate", _WHOLE),)
    out_of_order = tuple(_order(chain))
    each = (_no_ca, _validity, _may_sign, _weak, _constraints)
    alone = (one for rule in each for certificate in chain for one in rule(certificate, below, at))
    found = (*out_of_order, *alone, *_path_length(chain), *_ends_early(chain, below, at))
    return found if out_of_order else (*found, *_other_rules(chain, below, at))


_WHOLE = "write the issuing CA first, then each issuer, and its self-signed root last"
_OTHER_CA = "ask the owner for a CA that is fit; nothing was changed"


def _order(chain: Chain) -> Iterator[Unfit]:
    """Each is signed by the next; the last by itself."""
    if len({one.sha256 for one in chain}) != len(chain):
        yield Unfit("MPK-271", "a certificate stands in the chain twice", _WHOLE)
    for certificate, issuer in pairwise(chain):
        if certificate.self_signed:
            yield Unfit("MPK-271", f"the root {certificate.subject} is not the last", _WHOLE)
        elif not certificate.signed_by(issuer):
            elsewhere = any(certificate.signed_by(other) for other in chain)
            why = "which stands elsewhere: it is out of order" if elsewhere else "which is not there: it has a gap"
            yield Unfit("MPK-271", f"{certificate.subject} is followed by no issuer of its own, {why}", _WHOLE)
    if not chain[-1].self_signed:
        what = f"it ends with {chain[-1].subject}, which is signed by {chain[-1].issuer} and no root"
        yield Unfit("MPK-271", what, _WHOLE)


def _no_ca(one: Certificate, _below: Below, _at: datetime) -> Iterator[Unfit]:
    constraints = one.extensions.basic_constraints
    if constraints is None or not constraints.is_ca:
        yield Unfit("MPK-272", f"{one.subject} is no CA", _OTHER_CA)
    elif not constraints.critical:
        yield Unfit("MPK-272", f"{one.subject} says that it is a CA, but not critically", _OTHER_CA)


def _validity(one: Certificate, _below: Below, at: datetime) -> Iterator[Unfit]:
    if at > one.not_after:
        yield Unfit("MPK-273", f"{one.subject} is expired since {moment(one.not_after)}", _OTHER_CA)
    elif not one.valid_at(at):
        yield Unfit("MPK-273", f"{one.subject} is not valid before {moment(one.not_before)}", "compare the clocks")


def _may_sign(one: Certificate, _below: Below, _at: datetime) -> Iterator[Unfit]:
    usage, extended = one.extensions.key_usage, one.extensions.extended_key_usages
    if usage is None or "key_cert_sign" not in usage.names:
        yield Unfit("MPK-275", f"the key usage of {one.subject} lacks keyCertSign", _OTHER_CA)
    if extended is not None and ANY_USAGE not in extended and not extended >= _USAGES:
        what = f"the extended key usages of {one.subject} lack serverAuth or clientAuth, which identities need"
        yield Unfit("MPK-275", what, _OTHER_CA)


def _weak(one: Certificate, _below: Below, at: datetime) -> Iterator[Unfit]:
    if one.key in UNJUDGED_KEYS:
        yield Unfit("MPK-277", f"{one.subject} has a key of kind {one.key}; a CA needs RSA or EC", _OTHER_CA)
    for finding in rules.strong_keys((one,), Expected((), at)):
        yield Unfit("MPK-277", f"{one.subject}: expected {finding.expected}, found {finding.found}", _OTHER_CA)


def _constraints(one: Certificate, below: Below, _at: datetime) -> Iterator[Unfit]:
    constraints = one.extensions.name_constraints
    if constraints is None:
        return
    kinds = sorted(constraints.kinds & UNJUDGED_CONSTRAINTS)
    if kinds:
        what = f"the name constraints of {one.subject} are of kind {', '.join(kinds)}"
        identity = f"whether they leave spiffe://{below.trust_domain}/... in could not be proven of any identity"
        yield Unfit("MPK-278", f"{what}: {identity}", _OTHER_CA)
    for name in below.dns_names:
        if not _permits(constraints, name):
            yield Unfit("MPK-278", f"the name constraints of {one.subject} exclude {name}", _OTHER_CA)


def _permits(constraints: NameConstraints, name: str) -> bool:
    """RFC 5280 section 4.2.1.10: a DNS name satisfies a constraint by labels added to its left."""
    permitted = not constraints.permitted_dns or any(_within(name, one) for one in constraints.permitted_dns)
    return permitted and not any(_within(name, one) for one in constraints.excluded_dns)


def _within(name: str, subtree: str) -> bool:
    bare = subtree.lower().removeprefix(".")
    return not bare or name == bare or name.endswith(f".{bare}")


def _path_length(chain: Chain) -> Iterator[Unfit]:
    """Below a CA lie those of the chain, self-issued ones not counted, and SPIRE's or istiod's CA (4.2.1.9)."""
    for above, one in enumerate(chain):
        constraints = one.extensions.basic_constraints
        limit = constraints.path_length if constraints else None
        needed = 1 + sum(1 for lower in chain[:above] if not lower.self_issued)
        if limit is not None and limit < needed:
            what = f"{one.subject} allows {limit} CAs below it, and {needed} would be: SPIRE's and istiod's are CAs too"
            yield Unfit("MPK-276", what, f"ask the owner for a CA with pathlen {needed} or more, or without one")


def _ends_early(chain: Chain, below: Below, at: datetime) -> Iterator[Unfit]:
    first = min(chain, key=lambda one: one.not_after)
    for child in below.children:
        if at <= first.not_after < at + child.lasts:
            left = first.not_after - at
            what = f"{first.subject} ends {moment(first.not_after)}, in {_days(left)}, and {child.name} needs"
            yield Unfit(
                "MPK-274", f"{what} {_days(child.lasts)}", "shorten that in the settings, or take a CA that lasts"
            )


def _days(span: timedelta) -> str:
    hours = span // timedelta(hours=1)
    return f"{hours // 24}d{hours % 24}h" if hours >= 24 else f"{hours}h"  # noqa: PLR2004 - of a day


def _other_rules(chain: Chain, below: Below, at: datetime) -> Iterator[Unfit]:
    """What the contract of `chain.py` asks besides; key identifiers are needed, as SPIRE goes by them."""
    expected = Expected((chain[-1],), at, max_depth=len(chain), trust_domain=below.trust_domain, strict=True)
    plain = Expected(expected.anchors, at, max_depth=len(chain), strict=True)
    signers = (chain[0], *chain)  # the rules of signers pass over the leaf
    found = (
        *judge(chain, plain).findings,
        *svid.signer_identity(signers, expected),
        *svid.signer_key_usage(signers, expected),
    )
    for finding in found:
        if finding.severity != "warn" and finding.code not in _TOLD:
            subject = finding.certificate.subject if finding.certificate else chain[0].subject
            what = f"{subject}: expected {finding.expected}, found {finding.found} ({finding.code})"
            yield Unfit("MPK-287", what, _OTHER_CA)
