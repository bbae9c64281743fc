"""The decision about one pod, from what was gathered: pure, and the same for every pod."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from meshpki.cluster.envoy import Secrets
from meshpki.pki import chain
from meshpki.pki.bundle import bundle_differences, difference, hidden, read_bundle
from meshpki.pki.certificate import Certificate, UnparsableError, read_chain
from meshpki.pki.path import Expected
from meshpki.pki.spiffe import of_service_account
from meshpki.pki.verdict import Finding, Verdict, named, result_of, unparsable
from meshpki.verify.authorities import Authorities, judge_issuer
from meshpki.verify.dns_names import Reserved, judge_dns_names
from meshpki.verify.pods import MeshPod
from meshpki.verify.workloads import PodVerdict

_UNDER_WAY = "let the rotation go on; if none runs, restart the pod and compare SPIRE's bundle: meshpki explain MPK-216"


@dataclass(frozen=True)
class Pinned:
    """The roots that may anchor a path, the trust domain they are of, and the moment of the judgement (UTC).

    `authorities` are the CAs that may issue below them, None where only the roots are known. `chain` is that of an
    existing CA, from the CA that signs SPIRE's and istiod's to its root; empty where the root itself signs them.
    `control_plane` are the services whose DNS names no workload may bear; `named` are the fingerprints that somebody
    outside of the cluster knows, empty where nobody does. `strict` is that of `Expected`.
    """

    roots: tuple[Certificate, ...]
    trust_domain: str
    at: datetime
    authorities: Authorities | None = None
    chain: tuple[Certificate, ...] = ()
    control_plane: Reserved = ()
    named: frozenset[str] = frozenset()
    strict: bool = False

    @property
    def max_depth(self) -> int:
        """How many intermediates a chain may have."""
        return max(1, len(self.chain))

    def expected(self, trust_domain: str = "", usages: frozenset[str] = frozenset()) -> Expected:
        """What a chain is judged against: as an X509-SVID where a trust domain is given."""
        owned = frozenset(one.sha256 for one in self.chain)
        return Expected(self.roots, self.at, self.max_depth, trust_domain, usages, self.strict, owned)


@dataclass(frozen=True)
class Unread:
    """Why nothing is known of a pod's Envoy."""

    reason: str


@dataclass(frozen=True)
class Without:
    """Why a pod's Envoy holds no certificate; `evident` where its node has no SPIRE agent that could give it one."""

    reason: str
    evident: bool = False


Seen = Secrets | Unread | Without


def judge(pod: MeshPod, seen: Seen, pinned: Pinned) -> PodVerdict:
    """The verdict on one pod.

    Rules besides those of `pki/chain.py`, with the numbers of the same list:
      37 the leaf's direct issuer is a SPIRE CA of this trust domain, not istiod, not the root, and one of SPIRE's
         own (`authorities.py`): a CA that somebody else obtained below the pinned root is a rogue
      38 the leaf's identity is that of the pod's ServiceAccount, and its DNS names are neither the control plane's nor
         (warning) another namespace's
      39 the bundle that the pod's Envoy trusts is exactly the pinned set; one of several roots that has still to come
         is a warning, as a rotation brings it (whether peers verify each other meanwhile is judged in `peers.py`)
      43 no expired anchor in it can be taken for a valid one (warning; where a peer's chain needs it, 39 fails)
    A pod that was promised an identity and has none is broken; any other that tells nothing is unknown, as is one that
    is only starting.
    """
    match seen:
        case Without(reason, evident) if pod.promised and not evident and pod.starting(pinned.at):
            return PodVerdict(pod, "unknown", reason=f"it is still starting: {reason}")
        case Without(reason) if pod.promised:
            return PodVerdict(pod, "broken", findings=(_no_identity(pod, pinned, reason),), reason=reason)
        case Without(reason) | Unread(reason):
            return PodVerdict(pod, "unknown", reason=reason)
        case Secrets():
            return _judge_secrets(pod, seen, pinned)


def anchors_of(seen: Secrets, trust_domain: str) -> tuple[Certificate, ...]:
    """The anchors by which a pod's Envoy judges its peers of the trust domain; none where they cannot be told.

    A bundle that cannot be read, be it another trust domain's, makes Envoy refuse the whole secret and go on with the
    one before, which its dump does not show.
    """
    try:
        for name in _others(seen, trust_domain):
            read_bundle(seen.bundle_pem[name])
        return read_bundle(_bundle_pem(seen, trust_domain)).anchors
    except UnparsableError:
        return ()


def topology(path: tuple[Certificate, ...], seen: Secrets, pinned: Pinned) -> tuple[Finding, ...]:
    """37 and 39, which need to know no pod: whose CA issued the leaf of a path, and which roots its Envoy trusts."""
    return (*_issuer(path, pinned), *_bundle(seen, pinned))


def _bundle_pem(seen: Secrets, trust_domain: str) -> bytes:
    return seen.bundle_pem.get(trust_domain) or seen.bundle_pem.get("") or b""


def _judge_secrets(pod: MeshPod, seen: Secrets, pinned: Pinned) -> PodVerdict:
    try:
        sent = read_chain(seen.chain_pem)
    except UnparsableError as error:
        finding = unparsable(error, "the chain in whole certificates")
        return PodVerdict(pod, "broken", findings=(finding,), reason=error.what)
    verdict = chain.judge(sent, pinned.expected(pinned.trust_domain))
    return _with_topology(pod, seen, pinned, verdict)


def _with_topology(pod: MeshPod, seen: Secrets, pinned: Pinned, verdict: Verdict) -> PodVerdict:
    findings = (
        *verdict.findings,
        *_identity(pod, verdict.path[0], pinned),
        *judge_dns_names(verdict.path[0], pod.ref.namespace, pinned.control_plane),
        *topology(verdict.path, seen, pinned),
    )
    return PodVerdict(
        pod,
        result_of(findings),
        spiffe_id=", ".join(verdict.path[0].uris),
        path=verdict.path,
        bundle=tuple(anchor.sha256 for anchor in anchors_of(seen, pinned.trust_domain)),
        expires=verdict.expires,
        findings=findings,
    )


def _issuer(path: tuple[Certificate, ...], pinned: Pinned) -> Iterator[Finding]:
    """37: SPIRE's CA bears the trust domain's own ID (X509-SVID 3.2); istiod's `cacerts` bears DNS names."""
    issuer = path[1] if len(path) > 1 else None
    if issuer is None:
        return
    if issuer in (*pinned.roots, *pinned.chain) or f"spiffe://{pinned.trust_domain}" not in issuer.uris:
        found = f"it was issued by {issuer.subject}"
        remedy = "the pod fell back to istiod's CA: add the spire injection template and restart it"
        if issuer.uris:
            found = f"it was issued by the CA of {', '.join(issuer.uris)}"
            remedy = "find out which SPIRE server the pod's agent belongs to, and what its trust domain shall be"
        yield Finding("MPK-342", "fail", 37, "a leaf issued by SPIRE's CA", found, remedy, named(path[0]))
    elif pinned.authorities and path[-1] in pinned.roots:
        found_out = judge_issuer(path[0], issuer, pinned.authorities, pinned.at)
        if found_out:
            yield found_out


def _identity(pod: MeshPod, leaf: Certificate, pinned: Pinned) -> Iterator[Finding]:
    expected = str(of_service_account(pinned.trust_domain, pod.ref.namespace, pod.service_account))
    # of another trust domain, rule 21 has said so
    ours = any(uri.startswith(f"spiffe://{pinned.trust_domain}/") for uri in leaf.uris)
    if ours and leaf.uris != (expected,):
        remedy = "find the ClusterSPIFFEID or registration entry that gives the pod another identity"
        yield Finding("MPK-340", "fail", 38, expected, ", ".join(leaf.uris), remedy, named(leaf))


def _bundle(seen: Secrets, pinned: Pinned) -> Iterator[Finding]:
    wrong = partial(_wrong_bundle, pinned)
    pem = _bundle_pem(seen, pinned.trust_domain)
    if not pem:
        yield wrong("Envoy holds no bundle for it")
        return
    try:
        bundle = read_bundle(pem)
    except UnparsableError as error:
        yield unparsable(error, "the bundle in whole certificates")
        return
    yield from hidden(bundle.anchors, pinned.at)
    for name in _others(seen, pinned.trust_domain):
        yield from _other_domain(name, seen.bundle_pem[name], pinned)
    differs = difference(bundle, (root.sha256 for root in pinned.roots))
    yield from bundle_differences(differs, wrong, _UNDER_WAY)


def _others(seen: Secrets, trust_domain: str) -> list[str]:
    """The trust domains besides."""
    return sorted(set(seen.bundle_pem) - {"", trust_domain})


def _other_domain(name: str, pem: bytes, pinned: Pinned) -> Iterator[Finding]:
    expected, remedy = f"trust in {pinned.trust_domain} alone", "if nobody federated with it, find out who added it"
    yield Finding("MPK-341", "warn", 39, expected, f"a bundle of trust domain {name} too", remedy)
    try:
        read_bundle(pem)
    except UnparsableError as error:
        yield unparsable(error, f"the bundle of trust domain {name} in whole certificates")


def _wrong_bundle(pinned: Pinned, found: str, stranger: Certificate | None = None) -> Finding:
    expected = f"a bundle of trust domain {pinned.trust_domain} with exactly the {len(pinned.roots)} pinned roots"
    remedy = "restart the pod; if it stays, compare SPIRE's bundle: meshpki explain MPK-216"
    return Finding("MPK-341", "fail", 39, expected, found, remedy, named(stranger) if stranger else None)


def _no_identity(pod: MeshPod, pinned: Pinned, reason: str) -> Finding:
    expected = f"the identity {of_service_account(pinned.trust_domain, pod.ref.namespace, pod.service_account)}"
    remedy = "fix what the pod waits for; it gets its identity as soon as the SPIRE agent of its node serves it"
    return Finding("MPK-343", "fail", 38, expected, reason, remedy)
