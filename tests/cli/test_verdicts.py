import json
import re
from datetime import timedelta

import pytest

from meshpki.cli import verdicts
from meshpki.settings import defaults
from meshpki.verify import Report, verify
from tests.support import certificates as made
from tests.support import mesh as support
from tests.support.certificates import AT, SVID, TRUST_DOMAIN
from tests.support.mesh import agent, held, mesh, pin, pod, unready

ROOT = made.mesh_root()
SHA = ROOT.certificate.sha256


def report(*pods: support.Object, **envoys: bytes) -> Report:
    return verify(mesh(pin(ROOT), agent(ready=False), *pods, **envoys), defaults(), AT)


def healthy() -> Report:
    return report(pod(), pod("reviews-v1-5d9-y"), reviews_v1_5d9_x=held(), reviews_v1_5d9_y=held())


def test_on_a_narrow_terminal_the_trust_domain_stands_in_the_heading_alone() -> None:
    narrow = verdicts.table(healthy(), width=100).splitlines()
    assert "ID IN spiffe://example.org" in narrow[0]
    assert "  /ns/bookinfo/sa/" in narrow[1]
    assert verdicts.table(healthy(), width=1000) == verdicts.table(healthy())


def test_a_good_mesh_is_one_line_a_workload_and_a_sum() -> None:
    header, row, *rest = verdicts.table(healthy()).splitlines()
    assert re.split(" {2,}", header) == ["NAMESPACE", "WORKLOAD", "PODS", "SPIFFE ID", "CHAIN", "LEFT", "RESULT"]
    assert re.split(" {2,}", row) == [
        "bookinfo",
        "reviews-v1",
        "2/2",
        "spiffe://example.org/ns/bookinfo/sa/bookinfo-reviews",
        "leaf > SPIRE CA > meshpki-root-g1",
        "41m",
        "proven",
    ]
    assert header.index("CHAIN") == row.index("leaf >")
    assert rest == ["", f"root meshpki-root-g1  sha256 {SHA}  900d left", "2 of 2 pods proven, 0 broken, 0 unknown"]


def test_a_broken_pod_is_named_with_code_expectation_finding_and_remedy() -> None:
    text = verdicts.table(report(pod(**unready())))
    assert "reviews-v1  0/1   -          -      -     broken MPK-343" in text
    assert "pod bookinfo/reviews-v1-5d9-x: broken" in text
    assert "expected the identity spiffe://example.org/ns/bookinfo/sa/bookinfo-reviews; found its proxy" in text
    assert "SPIRE agent not ready on node node-1" in text
    assert "see meshpki explain MPK-343" in text


def test_an_unknown_pod_is_named_with_its_reason() -> None:
    text = verdicts.table(report(pod(), reviews_v1_5d9_x=b""))
    assert "pod bookinfo/reviews-v1-5d9-x: unknown: no answer from Envoy's admin port" in text


def test_a_chain_to_nowhere_ends_in_a_question_mark() -> None:
    text = verdicts.table(report(pod(), reviews_v1_5d9_x=held(root=made.root())))
    assert "leaf > SPIRE CA > ?" in text


def test_the_wide_form_has_a_line_a_pod_and_shows_warnings() -> None:
    ca = made.mesh_spire_ca()
    leaf = ca.issue(SVID.but(uris=(f"spiffe://{TRUST_DOMAIN}/ns/bookinfo/sa/bookinfo-reviews",), extended=None))
    warned = support.dump(made.pem(leaf, ca), {TRUST_DOMAIN: ROOT.pem})
    text = verdicts.wide(report(pod(), reviews_v1_5d9_x=warned))
    assert f"{leaf.certificate.serial:x}  2026-11-24T13:00:00Z  proven" in text
    assert "MPK-328 warn" in text
    assert "MPK-328" not in verdicts.table(report(pod(), reviews_v1_5d9_x=warned))


def test_json_is_versioned_and_holds_every_pod_path_and_finding() -> None:
    content = json.loads(verdicts.as_json(report(pod(), pod("ratings-v1-77f-z", **unready()), reviews_v1_5d9_x=held())))
    assert (content["apiVersion"], content["kind"]) == ("meshpki.dev/v1alpha1", "VerifyReport")
    assert content["summary"] == {"pods": 2, "proven": 1, "broken": 1, "unknown": 0}
    assert content["roots"][0]["sha256"] == SHA
    ratings, reviews = content["workloads"]
    assert reviews["pods"][0]["path"][-1]["sha256"] == SHA
    assert reviews["pods"][0]["expires"] == "2026-11-24T12:41:00Z"
    assert ratings["pods"][0]["findings"][0]["code"] == "MPK-343"


@pytest.mark.parametrize("text", ["\x1b[31m", "\u202eevil", "a\nb", "\u2066", "\x7f", "\u200b", "\u2028"])
def test_characters_that_steer_a_terminal_are_shown_by_number(text: str) -> None:
    shown = verdicts.plain(text)
    assert shown.isprintable()
    assert "\\u{" in shown


def test_hostile_names_in_certificates_do_not_reach_the_terminal() -> None:
    ca = ROOT.issue(made.SPIRE_CA.but(subject=((made.NameOID.COMMON_NAME, "x\x1b]0;pwned\x07\u202e"),)))
    uri = "spiffe://example.org/\x1b[2J"
    hostile = support.dump(made.pem(ca.issue(SVID.but(uris=(uri,))), ca), {TRUST_DOMAIN: ROOT.pem})
    found = report(pod(), reviews_v1_5d9_x=hostile)
    for text in (verdicts.table(found), verdicts.wide(found), verdicts.as_json(found)):
        assert not {char for char in text if not char.isprintable()} - {"\n"}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "expired"),
        (0, "0m"),
        (59, "0m"),
        (3600 * 3 - 1, "179m"),
        (3600 * 3, "3h"),
        (86400 * 3 - 1, "71h"),
        (86400 * 3, "3d"),
    ],
)
def test_the_time_left_is_in_one_unit(seconds: int, shown: str) -> None:
    assert verdicts.left(AT + timedelta(seconds=seconds), AT) == shown
