"""The judgement of everything beside pods: roots, istiod's CA, listeners, bundles, requests, rights and the clock."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from meshpki.components.trust import PIN
from meshpki.pki import chain
from meshpki.pki.certificate import Certificate
from meshpki.pki.verdict import Finding, named, result_of
from meshpki.verify.bundles import ISTIO_BUNDLES, judge_bundle, judge_missing
from meshpki.verify.clock import explained, judge_clock
from meshpki.verify.issuance import being_issued, judge_requests, of_istiod, of_root
from meshpki.verify.judge import Pinned
from meshpki.verify.listeners import judge_listener
from meshpki.verify.observation import Observation
from meshpki.verify.places import Place, PlaceKind, PlaceVerdict
from meshpki.verify.requesters import judge_requesters

_SIGNING = frozenset({"key_cert_sign", "crl_sign"})


def judge(observation: Observation, pinned: Pinned, namespaces: Collection[str] = ()) -> tuple[PlaceVerdict, ...]:
    """The verdict on every place that was seen, in their order; `namespaces` are those with pods of the mesh.

    Rules besides those of `pki/chain.py` and `judge.py`, with the numbers of the same list:
      37 nobody else obtained a certificate from a pinned root
      39 a bundle that is kept is exactly the pinned set, and no namespace is without Istio's; one of several roots
         that has still to come is a warning while the others prove what is served now
      41 a listener's chain goes through the CA of now: the newest `cacerts`, one of SPIRE's own
      42 the pin agrees with itself, with what its CertificateRequest issued, and with what was named from outside
      43 no expired anchor can be taken for a valid one
      44 nobody else may obtain a CA (warning)
      46 `cacerts` is a CA for signing alone
      47 the clocks agree (warning)
    What could not be read is `unknown` where a place is known to be there, and stands under `unseen` otherwise.
    """
    verdicts = (
        *_roots(observation, pinned),
        *_istiod_ca(observation, pinned),
        *(judge_listener(served, observation, pinned) for served in observation.served),
        *(judge_bundle(kept, pinned, observation.served) for kept in observation.kept),
        *_missing(observation, namespaces, pinned),
        *judge_requests(observation, pinned),
        *judge_requesters(observation.requesters, policed=observation.policed),
    )
    timed = (_timed(one, observation, pinned) for one in verdicts)
    return (*sorted(timed, key=lambda one: one.place), judge_clock(observation.skew, pinned.at))


def _timed(verdict: PlaceVerdict, observation: Observation, pinned: Pinned) -> PlaceVerdict:
    return replace(verdict, findings=explained(verdict.findings, verdict.path, pinned.at, observation.skew))


def _missing(observation: Observation, namespaces: Collection[str], pinned: Pinned) -> Iterator[PlaceVerdict]:
    """Where the list of Istio's bundles could not be read, nothing is known to be missing."""
    if not any(one.what == ISTIO_BUNDLES for one in observation.unseen):
        yield from judge_missing(observation.kept, namespaces, pinned)


def _roots(observation: Observation, pinned: Pinned) -> Iterator[PlaceVerdict]:
    """Each pinned root by itself, the newest also beside the pin's fingerprint and its CertificateRequest."""
    newest = observation.pin.roots[0] if observation.pin else None
    for root in pinned.roots:
        verdict = chain.judge((root,), pinned.expected())
        about_pin = _pin(root, observation) if root == newest else ()
        findings = (*verdict.findings, *about_pin, *_unnamed(root, pinned))
        alone = root == newest and not pinned.chain and of_root(observation) is None
        yield PlaceVerdict(
            Place(PlaceKind.ROOT, PIN, root.subject),
            result_of(findings),
            path=(root,),
            expires=root.not_after,
            findings=findings,
            reason="its CertificateRequest is not there to compare with" if alone else "",
        )


def _pin(root: Certificate, observation: Observation) -> Iterator[Finding]:
    pin, request = observation.pin, of_root(observation)
    remedy = "find out who changed the ConfigMap; compare the fingerprint with the one that `meshpki up` printed"
    if pin and pin.sha256 != root.sha256:
        found = f"root.sha256 says {pin.sha256 or 'nothing'}"
        yield Finding("MPK-357", "fail", 42, f"the fingerprint {root.sha256}", found, remedy, named(root))
    if request and request.chain[0].sha256 != root.sha256:
        found = f"{request.ref} issued {request.chain[0].sha256}"
        yield Finding("MPK-357", "fail", 42, f"a root issued as {root.sha256}", found, remedy, named(root))


def _unnamed(root: Certificate, pinned: Pinned) -> Iterator[Finding]:
    """42: whoever names roots from outside names all of them; a rotation pins two for as long as it runs."""
    if pinned.named and root.sha256 not in pinned.named:
        expected, found = "no pinned root but those named with --root-fingerprint", f"{root.sha256} is pinned besides"
        remedy = "while a rotation runs name both roots, each by a --root-fingerprint; if none runs, trust nothing here"
        yield Finding("MPK-354", "fail", 42, expected, found, remedy, named(root))


def _istiod_ca(observation: Observation, pinned: Pinned) -> Iterator[PlaceVerdict]:
    newest = of_istiod(observation)
    if newest is None:
        return
    verdict = chain.judge(newest.chain, pinned.expected())
    findings = (*verdict.findings, *_signs_alone(newest.chain[0]))
    issuing = "; cert-manager is issuing the next" if being_issued(observation, newest) else ""
    yield PlaceVerdict(
        Place(PlaceKind.ISTIOD_CA, newest.ref),
        result_of(findings),
        path=verdict.path,
        expires=verdict.expires,
        findings=findings,
        reason=f"revision {newest.revision}{issuing}",
    )


def _signs_alone(cacerts: Certificate) -> Iterator[Finding]:
    """46: X509-SVID appendix A; istiod reads any CA, so that only this tells."""
    usage = cacerts.extensions.key_usage
    names = usage.names if usage else frozenset()
    if not cacerts.is_ca or "key_cert_sign" not in names:
        remedy = "have it issued again from meshpki's Certificate: meshpki up"
        yield Finding("MPK-359", "fail", 46, "a CA with keyCertSign", "it may not sign", remedy, named(cacerts))
    elif names != _SIGNING:
        found, remedy = ", ".join(sorted(names)), "nothing has to be done; meshpki's Certificate asks for these alone"
        yield Finding("MPK-359", "warn", 46, "keyCertSign and cRLSign alone", found, remedy, named(cacerts))
