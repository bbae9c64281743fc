"""The suite's own reading of the API server's audit log: what it cannot have read whole it says nothing of."""

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import Audit


def line(agent: str) -> str:
    event = {"auditID": agent, "verb": "list", "requestURI": "/api/v1/pods", "userAgent": agent, "stage": "x"}
    return f"{json.dumps(event)}\n"


def test_what_was_asked_from_a_moment_on_is_counted(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line("meshpki/1"))
    now, whole = Audit(log), Audit(log, since=0)
    with log.open("a") as content:
        content.write(line("meshpki/2"))
    assert (now.requests("meshpki/").total(), whole.requests("meshpki/").total()) == (1, 2)


def test_a_request_whose_token_was_refused_is_nobodys(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    about = {"resource": "pods", "namespace": "bookinfo"}
    answered = {"verb": "list", "objectRef": about, "responseStatus": {"code": 200}}
    known = {**answered, "user": {"username": "system:serviceaccount:meshpki-accounts:install"}}
    refused = {**answered, "user": {}, "responseStatus": {"code": 401}}
    log.write_text("".join(f"{json.dumps(event)}\n" for event in (refused, known)))
    assert [one.status for one in Audit(log, since=0).asked_by("install")] == [200]


def test_a_log_that_is_another_by_now_is_no_log_without_entries(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line("meshpki/1"))
    audit = Audit(log)
    log.rename(tmp_path / "audit-rotated.log")
    log.write_text(line("meshpki/2") * 3)
    with pytest.raises(AssertionError, match="begun anew"):
        audit.secrets_read("meshpki/")


def test_a_log_that_was_cut_is_no_log_without_entries(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line("meshpki/1") * 2)
    audit = Audit(log)
    log.write_text("")
    with pytest.raises(AssertionError, match="begun anew"):
        audit.persisted("meshpki/")
