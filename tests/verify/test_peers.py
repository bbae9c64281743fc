from dataclasses import dataclass, replace

import pytest

from meshpki.cluster.manifest import Ref
from meshpki.verify.peers import GROUPS, PeerVerdict, Trust, judge_peers, unpaired
from meshpki.verify.pods import MeshPod, Workload
from meshpki.verify.workloads import PodVerdict
from tests.support import certificates as made
from tests.support.certificates import AT, HOUR, ROOT, SPIRE_CA, SVID, TRUST_DOMAIN

OLD, NEW = made.mesh_root(), made.root(ROOT)
UNDER = {"old": (made.mesh_spire_ca(), OLD), "new": (NEW.issue(SPIRE_CA), NEW)}
# the old root's key and name: under the key identifier that a newer Go gives it, and over
DRIFTED = made.root(ROOT.but(ski=b"counted another way"), private_key=OLD.private_key)
OVER = made.root(ROOT.but(not_after=AT - HOUR / 2), private_key=OLD.private_key)
ANCHORS = {one.certificate.sha256: one.certificate for one in (OLD, NEW, DRIFTED, OVER)}
HELD = {
    "old": (OLD,),
    "new": (NEW,),
    "both": (OLD, NEW),
    "drifted": (DRIFTED,),
    "old and over": (OLD, OVER),
    "new and over": (NEW, OVER),
}


@dataclass(frozen=True)
class Held:
    """A pod that presents a chain under one root and trusts some."""

    chain: str
    bundle: str


def verdict(number: int, held: Held) -> PodVerdict:
    ca, root = UNDER[held.chain]
    ref = Ref("v1", "Pod", "bookinfo", f"pod-{number}")
    pod = MeshPod(ref, str(number), Workload("bookinfo", "Pod", ref.name), "default", "node-1", True, True, True, "")
    path = made.read(ca.issue(SVID), ca, root)
    return PodVerdict(pod, "proven", path=path, bundle=tuple(one.certificate.sha256 for one in HELD[held.bundle]))


def judged(*pods: Held, roots: tuple[made.Issued, ...] = (OLD,)) -> tuple[PeerVerdict, ...]:
    trust = Trust(ANCHORS, tuple(one.certificate for one in roots), TRUST_DOMAIN, AT)
    return judge_peers([verdict(number, held) for number, held in enumerate(pods)], trust)


@pytest.mark.parametrize(
    ("pods", "broken"),
    [
        ((Held("old", "old"), Held("old", "old")), 0),
        ((Held("old", "both"), Held("new", "both")), 0),
        ((Held("old", "old"), Held("new", "both")), 1),
        ((Held("old", "both"), Held("new", "new")), 1),
        ((Held("old", "old"), Held("new", "new")), 2),
        ((Held("new", "old"),), 1),
        ((Held("old", "old"), Held("old", "drifted")), 2),
        ((Held("old", "old and over"),), 1),
        ((Held("new", "new and over"),), 0),
    ],
    ids=lambda value: (
        value if isinstance(value, int) else " and ".join(f"{one.chain} in {one.bundle}" for one in value)
    ),
)
def test_each_pair_is_broken_where_the_bundle_does_not_prove_the_chain(pods: tuple[Held, ...], broken: int) -> None:
    pairs = judged(*pods)
    assert sum(pair.result == "broken" for pair in pairs) == broken
    assert {finding.code for pair in pairs for finding in pair.findings} <= {"MPK-345"}


def test_a_thousand_alike_are_one_pair() -> None:
    pairs = judged(*[Held("old", "old")] * 1000)
    assert len(pairs) == 1
    assert len(pairs[0].presenter.pods) == 1000


def test_pods_that_each_hold_another_bundle_are_not_paired_without_a_bound() -> None:
    well = [verdict(number, Held("old", "old")) for number in range(3)]
    broken = [
        replace(verdict(number, Held("old", "old")), result="broken", bundle=(f"{number:064x}",))
        for number in range(100, 400)
    ]
    trust = Trust(ANCHORS, (OLD.certificate,), TRUST_DOMAIN, AT)
    pairs = judge_peers([*broken, *well], trust)
    assert len(pairs) == GROUPS**2
    assert [pod.name for pod in pairs[0].presenter.pods] == ["pod-0", "pod-1", "pod-2"]
    assert len(unpaired([*broken, *well])) == 301 - GROUPS
    assert unpaired(well) == ()


def test_a_pair_that_fails_names_who_refuses_whom() -> None:
    (found,) = [pair.findings[0] for pair in judged(Held("old", "both"), Held("new", "new")) if pair.findings]
    assert "the bundle of bookinfo/pod-1 to prove the chain of bookinfo/pod-0" in found.expected


def test_while_two_roots_are_pinned_the_next_stage_is_judged_too() -> None:
    pairs = judged(Held("old", "both"), Held("new", "both"), roots=(NEW, OLD))
    later = [pair for pair in pairs if not pair.verifier.pods]
    assert sorted(finding.code for pair in later for finding in pair.findings) == ["MPK-372"]
    assert {pair.result for pair in pairs} == {"proven"}
