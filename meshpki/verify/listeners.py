"""What the control plane serves over TLS: each replica's chain, judged to the pinned root and through the right CA."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from http import HTTPStatus

from meshpki.cluster.client import ClusterError
from meshpki.pki import chain
from meshpki.pki.certificate import Certificate, UnparsableError
from meshpki.pki.svid import SERVER_AUTH
from meshpki.pki.verdict import Finding, Verdict, named, result_of, unparsable
from meshpki.verify.authorities import judge_issuer
from meshpki.verify.issuance import being_issued, of_istiod
from meshpki.verify.judge import Pinned
from meshpki.verify.observation import Observation, Served, Signed
from meshpki.verify.places import PlaceKind, PlaceVerdict

# A Secret reaches a pod that mounts it with the kubelet's next sync (a minute) and its cache's next look (another).
_MOUNTED_WITHIN = timedelta(minutes=2)


def server_name(served: Served) -> str:
    """The name to ask a listener for; istiod's certificate must bear it."""
    if served.place.kind is PlaceKind.ISTIOD:
        return f"istiod.{served.place.ref.namespace}.svc"
    return f"spire-server.{served.place.ref.namespace}"


def judge_listener(served: Served, observation: Observation, pinned: Pinned) -> PlaceVerdict:
    """41: the chain that is served leads to a pinned root, is the server's own, and goes through the CA of now."""
    if isinstance(served.error, UnparsableError):
        finding = unparsable(served.error, "whole certificates")
        return PlaceVerdict(served.place, "broken", findings=(finding,), reason=served.error.what)
    if served.error:
        return PlaceVerdict(
            served.place, "unknown", reason=f"{served.error.what} ({served.error.code}); {_mend(served)}"
        )
    if served.place.kind is PlaceKind.ISTIOD:
        verdict = chain.judge(served.chain, pinned.expected(usages=frozenset({SERVER_AUTH})))
        own = (*_named(served), *_through_cacerts(verdict.path, observation, pinned.at))
    else:
        verdict = chain.judge(served.chain, pinned.expected(pinned.trust_domain))
        own = (*_server_identity(served, pinned), *_through_spire(verdict.path, pinned))
    return _verdict(served, verdict, own)


def _verdict(served: Served, verdict: Verdict, own: tuple[Finding, ...]) -> PlaceVerdict:
    findings = (*verdict.findings, *own)
    reason = "; ".join(one.found for one in findings if one.severity != "warn")
    return PlaceVerdict(served.place, result_of(findings), verdict.path, (), verdict.expires, findings, reason)


def _mend(served: Served) -> str:
    """The verbs of a port-forward are named here: the API server's own answer leaves out which one is missing."""
    if isinstance(served.error, ClusterError) and served.error.status == HTTPStatus.FORBIDDEN:
        return f"it needs the right to `get` and `create` pods/portforward in {served.place.ref.namespace}"
    return served.error.remedy if served.error and served.error.remedy else "run verify again"


def _named(served: Served) -> Iterator[Finding]:
    name, leaf = server_name(served), next(iter(served.chain), None)
    if leaf and name not in leaf.dns_names:
        found = ", ".join(leaf.dns_names) or "no DNS name"
        remedy = "look what listens there: proxies ask for that name and refuse any other"
        yield Finding("MPK-359", "fail", 41, f"the name {name}", found, remedy, named(leaf))


def _server_identity(served: Served, pinned: Pinned) -> Iterator[Finding]:
    name, leaf = f"spiffe://{pinned.trust_domain}/spire/server", next(iter(served.chain), None)
    if leaf and leaf.uris != (name,):
        found = ", ".join(leaf.uris) or "no identity"
        remedy = "look what listens there: SPIRE's agents ask for that identity and refuse any other"
        yield Finding("MPK-359", "fail", 41, name, found, remedy, named(leaf))


def _through_spire(path: tuple[Certificate, ...], pinned: Pinned) -> Iterator[Finding]:
    """37: the issuer is not a CA that somebody else obtained, and is one that spire-server lists where it was asked."""
    if len(path) > 1 and pinned.authorities:
        found = judge_issuer(path[0], path[1], pinned.authorities, pinned.at)
        if found:
            yield found


def _through_cacerts(path: tuple[Certificate, ...], observation: Observation, at: datetime) -> Iterator[Finding]:
    cacerts = of_istiod(observation)
    if len(path) < 2:  # noqa: PLR2004 - there is no issuer, and the path's own findings say why
        return
    leaf, issuer = path[0], path[1]
    if cacerts is None:
        expected, found = "a certificate signed by the newest cacerts", "its CertificateRequest could not be read"
        remedy = "have the right to list CertificateRequests, or have cert-manager issue cacerts again"
        yield Finding("MPK-347", "unknown", 41, expected, found, remedy, named(leaf))
    elif issuer.sha256 != cacerts.chain[0].sha256:
        expected = f"a certificate signed by cacerts revision {cacerts.revision}, {cacerts.chain[0].sha256[:16]}"
        found = f"signed by {issuer.subject} {issuer.sha256[:16]}, issued {issuer.not_before:%Y-%m-%dT%H:%M:%SZ}"
        yield Finding("MPK-347", "fail", 41, expected, found, _to_do(cacerts, observation, at), named(leaf))


def _to_do(cacerts: Signed, observation: Observation, at: datetime) -> str:
    if being_issued(observation, cacerts):
        return "cert-manager is issuing cacerts right now: look again when it is done"
    age = at - cacerts.chain[0].not_before
    if timedelta(0) <= age < _MOUNTED_WITHIN:
        return f"cacerts is {age.total_seconds():.0f} s old, and the kubelet brings it within two minutes: look again"
    return "restart istiod, which reads cacerts when it starts: kubectl rollout restart deployment istiod"
