from datetime import timedelta

import pytest

from meshpki.cluster.manifest import Ref
from meshpki.pki.renewal import Renewal
from meshpki.verify.expiry import Held, Kind, inventory
from meshpki.verify.places import Place, PlaceKind, PlaceVerdict
from meshpki.verify.pods import MeshPod, Workload
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict, WorkloadVerdict
from tests.support import certificates as made
from tests.support.certificates import AT, TRUST_DOMAIN

ROOT, CA, STRANGER = made.mesh_root(), made.mesh_spire_ca(), made.root()
CACERTS = ROOT.issue(made.CACERTS)
OLD_CACERTS = ROOT.issue(made.CACERTS)
ISTIOD = CACERTS.issue(made.ISTIOD_SERVING)
SERVER = CA.issue(made.SVID.but(uris=(f"spiffe://{TRUST_DOMAIN}/spire/server",)))
SHORT, LONG = (CA.issue(made.SVID.but(not_after=AT + timedelta(minutes=left))) for left in (5, 50))
PLAIN = STRANGER.issue(made.ISTIOD_SERVING)
KNOWN = {CACERTS.certificate.sha256: Renewal("cert-manager", AT + timedelta(days=40))}


def pod(name: str, *path: made.Issued, bundle: tuple[made.Issued, ...] = (ROOT,)) -> WorkloadVerdict:
    owner = Workload("bookinfo", "Deployment", name)
    found = MeshPod(Ref("v1", "Pod", "bookinfo", name), name, owner, "sa", "node", True, True, True, "")
    kept = tuple(one.certificate.sha256 for one in bundle)
    return WorkloadVerdict(owner, (PodVerdict(found, "proven", path=made.read(*path) if path else (), bundle=kept),))


def place(kind: PlaceKind, name: str, *path: made.Issued, bundle: tuple[made.Issued, ...] = ()) -> PlaceVerdict:
    where = Place(kind, Ref("v1", "Pod", "system", name))
    kept = tuple(one.certificate.sha256 for one in bundle)
    return PlaceVerdict(where, "proven", path=made.read(*path) if path else (), bundle=kept)


def of(*workloads: WorkloadVerdict, places: tuple[PlaceVerdict, ...] = ()) -> tuple[Held, ...]:
    report = Report(AT, TRUST_DOMAIN, (ROOT.certificate,), workloads, places)
    return inventory(report, KNOWN)


def one(held: tuple[Held, ...], issued: made.Issued) -> Held:
    return next(each for each in held if each.certificate == issued.certificate)


@pytest.mark.parametrize(
    ("issued", "kind", "by"),
    [
        (ROOT, Kind.ROOT, "nothing by itself: meshpki rotate root"),
        (CA, Kind.SPIRE_CA, "spire-server"),
        (CACERTS, Kind.ISTIOD_CA, "cert-manager"),
        (OLD_CACERTS, Kind.CA, None),
        (ISTIOD, Kind.ISTIOD, "istiod with cacerts"),
        (SERVER, Kind.SPIRE_SERVER, "spire-server"),
        (SHORT, Kind.SVID, "SPIRE agent"),
        (PLAIN, Kind.LEAF, None),
        (STRANGER, Kind.OTHER_ROOT, None),
    ],
)
def test_each_certificate_is_told_by_kind_and_by_what_renews_it(
    issued: made.Issued, kind: Kind, by: str | None
) -> None:
    held = of(
        pod("a", SHORT, CA, ROOT),
        pod("b", PLAIN, STRANGER),
        pod("c", LONG, OLD_CACERTS),
        places=(
            place(PlaceKind.ISTIOD, "istiod", ISTIOD, CACERTS, ROOT),
            place(PlaceKind.ISTIOD_CA, "cacerts-1", CACERTS, ROOT),
            place(PlaceKind.SPIRE_SERVER, "spire-server-0", SERVER, CA),
        ),
    )
    found = one(held, issued)
    assert (found.kind, found.renewal.by if found.renewal else None) == (kind, by)
    assert found.is_authority is issued.certificate.is_ca


def test_each_certificate_stands_once_with_every_place_that_holds_it() -> None:
    held = of(
        pod("a", SHORT, CA),
        pod("b", LONG, CA),
        places=(place(PlaceKind.WEBHOOK, "hook", bundle=(ROOT,)), place(PlaceKind.SPIRE_SERVER, "spire", SERVER, CA)),
    )
    assert len({each.certificate.sha256 for each in held}) == len(held) == 5
    assert one(held, CA).places == ("Pod system/spire", "Pod bookinfo/a", "Pod bookinfo/b")
    assert one(held, ROOT).places == (
        "ConfigMap kube-system/meshpki-trust",
        "Pod system/hook",
        "Pod bookinfo/a",
        "Pod bookinfo/b",
    )


def test_the_one_with_the_least_time_left_comes_first() -> None:
    held = of(pod("a", LONG, CA), pod("b", SHORT, CA))
    assert [each.certificate for each in held] == [each.certificate for each in (SHORT, LONG, CA, ROOT)]


def test_anchors_of_which_only_the_fingerprint_is_known_are_no_certificates_to_list() -> None:
    held = of(pod("a", bundle=(STRANGER,)))
    assert [each.kind for each in held] == [Kind.ROOT]
