"""The path rules against x509-limbo's own cases at commit 8a2e6f4 (C2SP/x509-limbo), read from beside the checkout."""

import fnmatch
import gzip
import hashlib
import json
import time
import tomllib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from meshpki.pki.certificate import UnparsableError, read_chain
from meshpki.pki.chain import judge
from meshpki.pki.path import Expected
from meshpki.pki.svid import CLIENT_AUTH, SERVER_AUTH
from tests.conftest import REQUIRED

SHA256 = "4cf564deab2a9bff2edf26991f6eb8df3343a3666bfbbe45f709e2abae3aaa76"
PLACE = "shared/conformance"
USAGES = {"serverAuth": SERVER_AUTH, "clientAuth": CLIENT_AUTH}
DEPTH = 8
# Rejected, though limbo accepts them: the library counts self-issued certificates and knows no directory names, and a
# cross-signed root without AKI is refused in rfc5280::aki::cross-signed-root-missing-aki, whose shape is the same.
KNOWN_REJECTIONS = {"cve::cve-2024-0567", "pathlen::self-issued-certs-pathlen", "rfc5280::nc::permitted-dn-match"}


@dataclass(frozen=True)
class Outcome:
    """What a case asks for, what we say, and how long it took (seconds of processor time)."""

    accept: bool
    accepted: bool
    codes: tuple[str, ...]
    seconds: float


def vectors(beside: Path, *, required: bool) -> Path:
    """The file of cases; where it is not there the test is skipped, but fails where all is required, as in CI."""
    found = sorted((beside / PLACE).glob("x509-limbo-*.json.gz"))
    if found:
        return found[0]
    missing = f"no x509-limbo-*.json.gz in {PLACE} beside the checkout"
    if required:
        pytest.fail(missing)
    pytest.skip(missing)


@cache
def cases() -> list[dict[str, Any]]:
    content = gzip.decompress(vectors(Path(__file__).parents[3], required=REQUIRED).read_bytes())
    assert hashlib.sha256(content).hexdigest() == SHA256
    found: list[dict[str, Any]] = json.loads(content)["testcases"]
    return found


@cache
def listed(table: str) -> dict[str, str]:
    """Patterns of case ids in `left_out.toml`, and why each stands there."""
    text = Path(__file__).with_name("left_out.toml").read_text(encoding="utf-8")
    return {pattern: entry["why"] for entry in tomllib.loads(text)[table] for pattern in entry["ids"]}


def profile() -> dict[str, "Outcome"]:
    """The reference profile as far as it is known: its 39 cases to accept, and 93 to reject for its 92."""
    return {name: one for name, one in outcomes().items() if name not in listed("beyond")}


@cache
def outcomes() -> dict[str, Outcome]:
    judged = [case for case in cases() if not any(fnmatch.fnmatchcase(case["id"], one) for one in listed("left_out"))]
    return {case["id"]: outcome(case) for case in judged}


def outcome(case: dict[str, Any], trust_domain: str = "") -> Outcome:
    started = time.process_time()
    try:
        chain = [one for pem in (case["peer_certificate"], *case["untrusted_intermediates"]) for one in read(pem)]
        verdict = judge(chain, replace(expected(case), trust_domain=trust_domain))
    except UnparsableError as error:
        accepted, codes = False, (error.code,)
    else:
        accepted, codes = verdict.result == "proven", tuple(finding.code for finding in verdict.findings)
    return Outcome(case["expected_result"] == "SUCCESS", accepted, codes, time.process_time() - started)


def expected(case: dict[str, Any]) -> Expected:
    given, depth = case["validation_time"], case["max_chain_depth"]
    return Expected(
        anchors=tuple(one for pem in case["trusted_certs"] for one in read(pem)),
        at=datetime.fromisoformat(given) if given else datetime.now(UTC),
        max_depth=DEPTH if depth is None else depth,
        usages=frozenset(USAGES[usage] for usage in case["extended_key_usage"]),
        strict=True,
    )


def read(pem: str) -> tuple[Any, ...]:
    return read_chain(pem.encode())


@pytest.mark.parametrize(("required", "ends"), [(True, pytest.fail.Exception), (False, pytest.skip.Exception)])
def test_a_clone_without_the_cases_skips_them_and_ci_does_not(
    tmp_path: Path, *, required: bool, ends: type[BaseException]
) -> None:
    with pytest.raises(ends, match="beside the checkout"):
        vectors(tmp_path, required=required)


def test_nothing_that_must_be_rejected_is_accepted() -> None:
    must = {name: one for name, one in outcomes().items() if not one.accept}
    assert len(must) == 101
    assert [name for name, one in must.items() if one.accepted] == []


def test_the_mesh_profile_accepts_nothing_by_mistake_and_rejects_at_most_three() -> None:
    assert [name for name, one in profile().items() if one.accepted and not one.accept] == []
    assert sum(not one.accept for one in profile().values()) == 93
    accept = {name: one for name, one in profile().items() if one.accept}
    assert len(accept) == 39
    assert len([name for name, one in accept.items() if not one.accepted]) <= 3


AS_SVID = {
    "rfc5280::ca-as-leaf": "MPK-325",
    "rfc5280::ca-as-leaf-wrong-san": "MPK-325",
    "webpki::ca-as-leaf": "MPK-325",
    "webpki::ee-basicconstraints-ca": "MPK-325",
    "pathlen::validation-ignores-pathlen-in-leaf": "MPK-325",
    "webpki::san::no-san": "MPK-320",
}


@pytest.mark.parametrize("name", AS_SVID)
def test_a_leaf_that_the_path_rules_do_not_refuse_is_refused_as_an_svid(name: str) -> None:
    (case,) = [case for case in cases() if case["id"] == name]
    found = outcome(case, trust_domain="example.org")
    assert not found.accepted
    assert AS_SVID[name] in found.codes


def test_every_rejection_has_a_code() -> None:
    assert [name for name, one in outcomes().items() if not one.accepted and not one.codes] == []


def test_only_three_known_cases_of_those_to_be_accepted_are_rejected() -> None:
    must = {name: one for name, one in outcomes().items() if one.accept}
    assert len(must) == 40
    assert {name for name, one in must.items() if not one.accepted} == KNOWN_REJECTIONS


def test_no_case_hangs() -> None:
    assert [name for name, one in outcomes().items() if one.seconds > 1] == []


def test_a_serial_number_that_is_too_long_has_its_own_code() -> None:
    assert "MPK-315" in outcomes()["rfc5280::serial::too-long"].codes


@pytest.mark.parametrize("pattern", [*listed("left_out"), *listed("beyond")])
def test_every_reason_for_leaving_out_still_leaves_something_out(pattern: str) -> None:
    assert fnmatch.filter([case["id"] for case in cases()], pattern)
