import time
from datetime import timedelta

import pytest

from meshpki.inspection.model import Bond, Link, links
from meshpki.pki.certificate import Certificate
from tests.support import certificates as made
from tests.support.certificates import AT

ROOT, CA = made.mesh_root(), made.mesh_spire_ca()
LEAF = CA.issue(made.SVID)
NAMESAKE = made.root().issue(made.SPIRE_CA)
OTHER_ID = CA.issue(made.SVID.but(aki=b"other"))


@pytest.mark.parametrize(
    ("certificates", "expected"),
    [
        (made.read(LEAF, CA, ROOT), [Link(Bond.SIGNED, 2), Link(Bond.SIGNED, 3), Link(Bond.SELF_SIGNED)]),
        (made.read(LEAF, CA), [Link(Bond.SIGNED, 2), Link(Bond.OPEN)]),
        (made.read(LEAF, ROOT, CA), [Link(Bond.SIGNED, 3), Link(Bond.SELF_SIGNED), Link(Bond.SIGNED, 2)]),
        (made.read(LEAF, NAMESAKE), [Link(Bond.OTHER_KEY, 2), Link(Bond.OPEN)]),
        (made.read(LEAF, NAMESAKE, CA), [Link(Bond.SIGNED, 3), Link(Bond.OPEN), Link(Bond.OPEN)]),
        (made.read(OTHER_ID, CA), [Link(Bond.SIGNED, 2, agreed=False), Link(Bond.OPEN)]),
        ((), []),
    ],
    ids=["whole", "without its root", "out of order", "forged", "namesakes", "another key id", "none"],
)
def test_each_certificate_is_linked_to_the_one_that_signed_it(
    certificates: tuple[Certificate, ...], expected: list[Link]
) -> None:
    assert list(links(certificates)) == expected


def test_a_bundle_full_of_namesakes_costs_no_time() -> None:
    later = (made.SPIRE_CA.but(not_after=AT + timedelta(hours=hours)) for hours in range(1, 4))
    namesakes = made.read(*(ROOT.issue(shape) for shape in later)) * 40
    loop = made.SPIRE_CA.but(subject=made.ROOT.subject)
    started = time.process_time()
    assert len(links(namesakes)) == 120
    assert len(links(tuple(ROOT.issue(loop).certificate for _ in range(40)))) == 40
    assert time.process_time() - started < 5
