"""Table of the API server's answers -> our error: its code, exit code, remedy, and whether a later try may succeed."""

import json

import pytest

from meshpki.cluster.refusal import refused, unreachable


def status(reason: str, message: str, **details: object) -> bytes:
    return json.dumps({"kind": "Status", "reason": reason, "message": message, "details": details}).encode()


CONFLICT = {
    "causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "helm"', "field": ".spec.replicas"}]
}


@pytest.mark.parametrize(
    ("http", "body", "code", "exit_code", "told", "transient"),
    [
        (
            403,
            status("Forbidden", 'pods is forbidden: User "x" cannot list resource "pods"'),
            "MPK-102",
            4,
            "the right to `list` pods",
            False,
        ),
        (403, status("Forbidden", "violates PodSecurity"), "MPK-102", 1, "admission rule", False),
        (401, status("Unauthorized", "Unauthorized"), "MPK-102", 4, "log in", False),
        (409, status("Conflict", "Apply failed", **CONFLICT), "MPK-113", 1, "--force-conflicts", False),
        (422, status("Invalid", "spec.duration: too short"), "MPK-102", 1, "", False),
        (404, status("NotFound", "namespaces not found"), "MPK-102", 1, "", False),
        (500, status("InternalError", "failed calling webhook"), "MPK-102", 1, "", True),
        (429, b"slow down", "MPK-102", 1, "", True),
        (503, b"<html>proxy</html>", "MPK-102", 1, "", True),
    ],
)
def test_an_answer_becomes_an_error_that_says_what_to_do(
    http: int, body: bytes, code: str, exit_code: int, told: str, *, transient: bool
) -> None:
    error = refused(http, body, "patch", "/api/v1/pods")
    assert (error.code, error.exit_code, error.transient) == (code, exit_code, transient)
    assert told in error.remedy


def test_a_conflict_names_manager_and_field() -> None:
    error = refused(409, status("Conflict", "Apply failed", **CONFLICT), "patch", "x")
    assert "helm" in error.what
    assert ".spec.replicas" in error.what


def test_a_body_that_is_no_status_is_never_shown() -> None:
    assert "canary" not in str(refused(500, b"<html>canary</html>", "get", "x"))


def test_no_answer_at_all_may_come_later_and_is_a_precondition() -> None:
    error = unreachable("https://x", "MaxRetryError")
    assert error.transient
    assert error.exit_code == 4
