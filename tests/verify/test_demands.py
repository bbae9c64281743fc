from datetime import timedelta
from fractions import Fraction

import pytest

from meshpki.cluster.manifest import Ref
from meshpki.errors import UsageError
from meshpki.pki.verdict import Finding
from meshpki.verify.demands import Ignore, MinValidity, ignore, min_validity, short_lived
from tests.support import reports
from tests.support.certificates import AT

POD = Ref("v1", "Pod", "bookinfo", "reviews-v1-5d9-x")
HOOK = Ref("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", "istiod-default-validator")
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("168h", MinValidity(timedelta(days=7))),
        ("7d", MinValidity(timedelta(days=7))),
        ("1h30m", MinValidity(timedelta(minutes=90))),
        ("33%", MinValidity(share=Fraction(33, 100))),
        ("0.5%", MinValidity(share=Fraction(5, 1000))),
        ("100%", MinValidity(share=Fraction(1))),
        ("0%", MinValidity()),
    ],
)
def test_a_least_validity_is_a_duration_or_a_share_of_a_lifetime(text: str, read: MinValidity) -> None:
    assert min_validity(text) == read


@pytest.mark.parametrize("text", ["168", "", "%", "101%", "-1h", "1e2%", "33 %", "\u0663%", "1y", "\x1b[2J"])
def test_a_least_validity_that_could_mean_several_things_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        min_validity(text)
    assert refused.value.code == "MPK-364"


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("0h", []),
        ("41m", []),
        ("41m1s", ["leaf"]),
        ("25h", ["leaf", "CA"]),
        ("10000d", ["leaf", "CA", "root"]),
        # of the leaf 41 minutes of 41 minutes and 10 seconds are left, of the CA 24 hours of 25
        ("96%", []),
        ("99%", ["CA"]),
        ("100%", ["leaf", "CA", "root"]),
    ],
)
def test_each_certificate_of_a_path_is_held_to_it(text: str, short: list[str]) -> None:
    path = reports.workload_path()
    names = {one.sha256: name for one, name in zip(path, ("leaf", "CA", "root"), strict=True)}
    found = list(short_lived(path, min_validity(text), AT))
    assert [names[one.certificate.sha256] for one in found if one.certificate] == short
    assert {(one.code, one.severity) for one in found} <= {("MPK-346", "fail")}


def test_too_little_time_is_told_with_what_is_left_and_what_was_demanded() -> None:
    (found,) = short_lived(reports.workload_path()[:1], min_validity("2h"), AT)
    assert (found.expected, found.found) == ("at least 2h left", "41m: it ends at 2026-11-24T12:41:00Z")


def test_what_has_ended_has_nothing_left() -> None:
    (found,) = short_lived(reports.workload_path()[:1], min_validity("2h"), AT + 2 * HOUR)
    assert found.found.startswith("0s: ")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("MPK-341=bookinfo/*", Ignore("MPK-341", "bookinfo/*")),
        ("341=*", Ignore("MPK-341", "*")),
        ("mpk-341=a=b", Ignore("MPK-341", "a=b")),
    ],
)
def test_an_ignore_is_a_code_and_a_scope(text: str, read: Ignore) -> None:
    assert ignore(text) == read
    assert ignore(str(read)) == read


@pytest.mark.parametrize("text", ["MPK-341", "MPK-341=", "=*", "MPK-999=*", "34=*", "*=*", "", "\x1b=*"])
def test_an_ignore_of_no_known_code_or_without_a_scope_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        ignore(text)
    assert refused.value.code == "MPK-365"


@pytest.mark.parametrize(
    ("scope", "about", "covered"),
    [
        ("*", (POD,), True),
        ("*", (), True),
        ("bookinfo/*", (POD,), True),
        ("bookinfo/reviews-v?-*", (POD,), True),
        ("bookinfo/reviews-v1-5d9-x", (POD,), True),
        ("bookinfo", (POD,), False),
        ("BOOKINFO/*", (POD,), False),
        ("istio-system/*", (POD,), False),
        ("istiod-*", (HOOK,), True),
        ("bookinfo/*", (POD, HOOK), False),
        ("bookinfo/*", (), False),
    ],
)
def test_a_scope_is_a_glob_on_namespace_and_name_of_all_that_a_finding_is_about(
    scope: str, about: tuple[Ref, ...], covered: bool
) -> None:
    assert Ignore("MPK-341", scope).covers(reports.finding(), about) is covered
    assert not Ignore("MPK-340", scope).covers(reports.finding(), about)


def test_what_could_not_be_judged_is_never_let_be() -> None:
    finding = Finding("MPK-311", "unknown", 28, "", "", "")
    assert not Ignore("MPK-311", "*").covers(finding, (POD,))
