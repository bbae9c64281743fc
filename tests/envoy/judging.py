"""What meshpki says of two proxies, from the dumps of their Envoys alone."""

from collections.abc import Sequence

from meshpki.cluster.envoy import Secrets
from meshpki.cluster.manifest import Ref
from meshpki.pki import chain
from meshpki.pki.certificate import read_chain
from meshpki.pki.path import Expected
from meshpki.pki.verdict import named
from meshpki.verify.judge import Pinned, anchors_of, judge
from meshpki.verify.peers import Trust, judge_peers
from meshpki.verify.pods import MeshPod, Workload
from meshpki.verify.workloads import PodVerdict
from tests.envoy.states import NOW
from tests.support.certificates import TRUST_DOMAIN


def proven(presented: Secrets, held: Secrets) -> bool:
    """Whether the anchors of one Envoy prove the chain of another."""
    expected = Expected(anchors_of(held, TRUST_DOMAIN), NOW, trust_domain=TRUST_DOMAIN)
    return chain.judge(read_chain(presented.chain_pem), expected).result == "proven"


def refusing(dumps: Sequence[Secrets]) -> str:
    """Which of A and B refuses the other by `verify`, with every self-signed anchor pinned.

    What is wrong with a leaf itself is said of its pod, and of no pair.
    """
    anchors = {one.sha256: one for held in dumps for one in anchors_of(held, TRUST_DOMAIN)}
    roots = tuple(one for one in anchors.values() if one.self_signed)
    pods = [judge(_pod(side), held, Pinned(roots, TRUST_DOMAIN, NOW)) for side, held in zip("AB", dumps, strict=True)]
    pairs = judge_peers(pods, Trust(anchors, roots, TRUST_DOMAIN, NOW))
    refused = {
        verifier.name
        for pair in pairs
        if pair.result != "proven"
        for verifier in pair.verifier.pods
        if any(presenter != verifier for presenter in pair.presenter.pods)
    }
    own = {other for other, pod in zip("BA", pods, strict=True) if _leaf_fails(pod)}
    return "".join(sorted(refused | own))


def _leaf_fails(pod: PodVerdict) -> bool:
    leaf = named(pod.path[0])
    return any(found.severity == "fail" and found.certificate == leaf for found in pod.findings)


def _pod(side: str) -> MeshPod:
    ref = Ref("v1", "Pod", "bookinfo", side)
    return MeshPod(ref, side, Workload("bookinfo", "Pod", side), side.lower(), "node-1", True, True, True, "")
