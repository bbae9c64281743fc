import io
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from meshpki.errors import BROKEN, OK, UsageError
from meshpki.pki.path import Expected
from meshpki.verify import offline, terms
from meshpki.verify.demands import Demands, min_validity
from tests.support import certificates as made
from tests.support import mesh
from tests.support.certificates import AT, SVID, TRUST_DOMAIN

ROOT, CA = made.mesh_root(), made.mesh_spire_ca()
LEAF = CA.issue(SVID)
CHAIN = made.pem(LEAF, CA)
EXPECTED = Expected((ROOT.certificate,), AT, trust_domain=TRUST_DOMAIN)
BLOCK = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
V1 = BLOCK.format("MAMCAQE=")  # DER, and no certificate


@pytest.mark.parametrize(
    ("pem", "expected", "result", "codes"),
    [
        (CHAIN, EXPECTED, "proven", []),
        (CHAIN, replace(EXPECTED, trust_domain="elsewhere.org"), "broken", ["MPK-322"]),
        (CHAIN, replace(EXPECTED, anchors=(made.root().certificate,)), "broken", ["MPK-304"]),
        (CHAIN, replace(EXPECTED, at=AT + timedelta(hours=2)), "broken", ["MPK-305"]),
        (CHAIN, replace(EXPECTED, max_depth=0), "broken", ["MPK-308"]),
        (made.pem(LEAF), EXPECTED, "broken", ["MPK-302"]),
        (b"Bag Attributes: x\n" + CHAIN, EXPECTED, "proven", []),
        (CHAIN.replace(b"\n", b"\r\n"), EXPECTED, "proven", []),
        (V1.encode() + CA.pem, EXPECTED, "broken", ["MPK-301"]),
    ],
)
def test_a_chain_in_a_file_is_judged_as_a_pod_s_is(
    pem: bytes, expected: Expected, result: str, codes: list[str]
) -> None:
    verdict = offline.judge_chain("chain.pem", pem, expected)
    assert verdict.result == result
    assert [one.code for one in verdict.findings if one.severity == "fail"] == codes
    assert verdict.exit_code() == (OK if result == "proven" else BROKEN)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00\xff" * 50,
        b"no certificate at all",
        LEAF.certificate.der,
        CHAIN[: len(CHAIN) // 3],
        CHAIN[:-10],
        CHAIN + LEAF.key_pem,
        CHAIN.replace(b"CERTIFICATE", b"CERTIFICATE REQUEST"),
        BLOCK.format("!!!!").encode(),
        BLOCK.format("Z2FyYmFnZQ==").encode(),
        BLOCK.format("").encode(),
        b"x" * 95_001,
        CHAIN + b"text between the blocks" * 5_000,
    ],
    ids=range(13),
)
def test_what_was_never_a_chain_is_refused_before_anything_is_judged(garbage: bytes) -> None:
    with pytest.raises(UsageError) as refused:
        offline.judge_chain("chain.pem", garbage, EXPECTED)
    assert (refused.value.code, refused.value.where) == ("MPK-361", "chain.pem")


def test_by_the_rules_of_paths_alone_any_kind_of_leaf_will_do() -> None:
    serving = made.mesh_root().issue(made.CACERTS)
    pem = made.pem(serving.issue(made.ISTIOD_SERVING), serving)
    assert offline.judge_chain("x", pem, EXPECTED).result == "broken"
    assert offline.judge_chain("x", pem, replace(EXPECTED, trust_domain="")).result == "proven"


@pytest.mark.parametrize(
    ("dump", "result", "codes"),
    [
        (mesh.dump(CHAIN, {TRUST_DOMAIN: ROOT.pem}), "proven", []),
        (mesh.dump(CHAIN, {"": ROOT.pem}), "proven", []),
        (mesh.dump(CHAIN, {TRUST_DOMAIN: ROOT.pem + made.root().pem}), "broken", ["MPK-341"]),
        (mesh.dump(CHAIN, {"other.org": ROOT.pem}), "broken", ["MPK-341"]),
        (mesh.dump(b"", {TRUST_DOMAIN: ROOT.pem}), "broken", ["MPK-343"]),
        (mesh.dump(b"garbage", {TRUST_DOMAIN: ROOT.pem}), "broken", ["MPK-301"]),
    ],
)
def test_of_a_dump_the_chain_is_judged_and_the_bundle_beside_it(dump: bytes, result: str, codes: list[str]) -> None:
    verdict = offline.judge_dump("dump.json", dump, EXPECTED)
    assert (verdict.result, [one.code for one in verdict.findings if one.severity == "fail"]) == (result, codes)


def test_a_dump_that_has_only_to_get_the_second_of_two_anchors_is_warned_of() -> None:
    two = replace(EXPECTED, anchors=(made.root().certificate, *EXPECTED.anchors))
    verdict = offline.judge_dump("dump.json", mesh.dump(CHAIN, {TRUST_DOMAIN: ROOT.pem}), two)
    assert (verdict.result, [(one.code, one.severity) for one in verdict.findings]) == ("proven", [("MPK-341", "warn")])


def test_a_dump_of_a_leaf_that_istiod_issued_is_broken_unless_only_the_path_counts() -> None:
    cacerts = ROOT.issue(made.CACERTS)
    dump = mesh.dump(made.pem(cacerts.issue(made.ISTIOD_LEAF), cacerts), {TRUST_DOMAIN: made.root().pem})
    codes = {one.code for one in offline.judge_dump("dump.json", dump, EXPECTED).findings}
    assert {"MPK-342", "MPK-341"} <= codes
    assert offline.judge_dump("dump.json", dump, replace(EXPECTED, trust_domain="")).result == "proven"


@pytest.mark.parametrize("dump", [b"", b"{", b"[]", b"{}", b"null", b'"x"', b"\xff", b'{"configs": [{}]}', b"[" * 9000])
def test_what_is_no_dump_of_secrets_is_refused(dump: bytes) -> None:
    with pytest.raises(UsageError) as refused:
        offline.judge_dump("dump.json", dump, EXPECTED)
    assert refused.value.code == "MPK-362"


def test_a_proven_file_with_too_little_time_left_is_broken() -> None:
    verdict = offline.judge_chain("chain.pem", CHAIN, EXPECTED)
    assert offline.demanded(verdict, Demands(min_validity=min_validity("1h"))) == verdict
    short = offline.demanded(verdict, Demands(min_validity=min_validity("2h")))
    assert (short.result, [one.code for one in short.findings if one.severity == "fail"]) == ("broken", ["MPK-346"])
    late = offline.judge_chain("chain.pem", CHAIN, replace(EXPECTED, at=AT + timedelta(hours=2)))
    assert offline.demanded(late, Demands(min_validity=min_validity("2h"))) == late


def test_warnings_of_a_file_fail_where_that_is_demanded() -> None:
    pem = made.pem(CA.issue(SVID.but(extended=None)), CA)
    verdict = offline.judge_chain("chain.pem", pem, EXPECTED)
    assert (verdict.exit_code(), verdict.exit_code("warn")) == (OK, BROKEN)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 11)
    for path in (tmp_path / "missing", tmp_path, large, Path("\0")):
        with pytest.raises(UsageError) as refused:
            terms.content(path, 10)
        assert (refused.value.code, refused.value.where) == ("MPK-360", str(path))
    assert terms.content(large, 11) == b"x" * 11


def test_a_dash_is_standard_input() -> None:
    kept, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(CHAIN))
    try:
        assert terms.content(Path("-"), 95_000) == CHAIN
    finally:
        sys.stdin = kept


@pytest.mark.parametrize("pem", [b"", b"x", LEAF.key_pem, BLOCK.format("!").encode(), V1.encode(), CHAIN[:-9]])
def test_anchors_that_are_not_all_whole_are_refused(tmp_path: Path, pem: bytes) -> None:
    path = tmp_path / "root.pem"
    path.write_bytes(ROOT.pem + pem if pem.startswith(b"-") else pem)
    with pytest.raises(UsageError) as refused:
        terms.anchors(path)
    assert refused.value.code == "MPK-361"


@pytest.mark.parametrize(
    ("named", "uris", "found"),
    [
        ("", [("spiffe://example.org",)], "example.org"),
        ("", [("spiffe://example.org",), ("spiffe://example.org",)], "example.org"),
        ("other.org", [("spiffe://example.org",)], "other.org"),
        ("spiffe://other.org", [()], "other.org"),
        ("", [()], "MPK-363"),
        ("", [("spiffe://a.org",), ("spiffe://b.org",)], "MPK-363"),
        ("", [("spiffe://a.org", "spiffe://b.org")], "MPK-363"),
        ("", [("spiffe://a.org/path",)], "MPK-363"),
        ("", [("https://a.org",)], "MPK-363"),
        ("Example.org", [()], "MPK-369"),
        ("a.org/path", [()], "MPK-369"),
        ("\x1b", [()], "MPK-369"),
    ],
)
def test_the_trust_domain_is_the_one_named_or_the_one_that_all_anchors_bear(
    named: str, uris: list[tuple[str, ...]], found: str
) -> None:
    anchors = tuple(made.root(made.ROOT.but(uris=one)).certificate for one in uris)
    try:
        assert terms.trust_domain(named, anchors) == found
    except UsageError as error:
        assert error.code == found  # noqa: PT017 - one table for both outcomes


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-24T12:00:00Z", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("2026-11-24t12:00:00z", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("2026-11-24 12:00:00+01:30", datetime(2026, 11, 24, 10, 30, tzinfo=UTC)),
        ("2026-11-24T12:00:00.25Z", datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_with_its_offset(text: str, at: datetime) -> None:
    assert terms.moment(text) == at


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2026-11-24", "2026-11-24T12:00:00", "20261124T120000Z", "2026-11-24T12:00Z"),
        *("2026-13-01T00:00:00Z", "2026-11-24T25:00:00Z", "2026-11-24T12:00:60Z"),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
    ],
)
def test_what_is_no_moment_of_rfc_3339_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        terms.moment(text)
    assert refused.value.code == "MPK-366"


def test_usages_are_names_or_oids() -> None:
    assert terms.usages("clientAuth, serverAuth,1.3.6.1.5.5.7.3.1") == {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"}
    assert terms.usages("") == frozenset()
    for wrong in ("client", "clientAuth;serverAuth", "1", "3.1.2", "1.02", "\x1b"):
        with pytest.raises(UsageError) as refused:
            terms.usages(wrong)
        assert refused.value.code == "MPK-367"


def test_a_leaf_that_is_not_for_what_it_is_needed_for_is_broken() -> None:
    wanted = replace(EXPECTED, usages=terms.usages("codeSigning"))
    assert "MPK-324" in {one.code for one in offline.judge_chain("x", CHAIN, wanted).findings}


def test_a_dump_that_istioctl_prints_is_read_too() -> None:
    content = json.loads(mesh.dump(CHAIN, {TRUST_DOMAIN: ROOT.pem}))["configs"][1]
    shown = {"dynamicActiveSecrets": content["dynamic_active_secrets"]}
    assert offline.judge_dump("x", json.dumps(shown).encode(), EXPECTED).result == "proven"
