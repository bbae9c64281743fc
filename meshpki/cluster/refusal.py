"""Answers of the API server that are no success, told as errors with a remedy. Bodies and headers are never shown."""

import json
import re
from http import HTTPStatus

from meshpki.cluster.client import ClusterError, NoAccessError

# How Kubernetes' authorizers word it (apiserver pkg/endpoints/handlers/responsewriters/errors.go at 1.35).
_RIGHT_MISSING = re.compile(r' cannot ([a-z]+) (?:resource|path) "([^"]+)"')
ANOTHER = (
    "name a cluster with --context NAME (and --kubeconfig FILE),"
    " or run `meshpki up --lab`, then `export KUBECONFIG=$(meshpki lab kubeconfig)`"
)
_START = f"start that cluster and run the same command again, {ANOTHER}"
_RETRY = "the same command goes on from here once the API server answers again"


def unreachable(host: str, why: str, *, at_first: bool = False) -> ClusterError:
    """No answer at all from the API server; `at_first` where it has never given one, so may be the wrong one."""
    remedy = _START if at_first else _RETRY
    return NoAccessError("MPK-101", f"no answer from the API server: {why}", where=host, remedy=remedy)


def refused(status: int, body: bytes, verb: str, where: str) -> ClusterError:
    """The error for an HTTP answer of 400 and above: reason and message of the API's Status object, and what to do."""
    details = _status(body)
    reason, message = str(details.get("reason", "")), str(details.get("message", "")) or f"HTTP {status}"
    missing = _RIGHT_MISSING.search(message)
    # a list is a GET, too: the authorizer tells them apart
    kind, code, what, remedy = ClusterError, "MPK-102", f"{missing[1] if missing else verb} refused: {message}", ""
    match status:
        case HTTPStatus.CONFLICT if _fields(details):
            code, what = "MPK-113", f"{message}: {_fields(details)}"
            remedy = (
                "let that manager give the fields up; `meshpki up --force-conflicts` takes over those that up applies"
            )
        case HTTPStatus.FORBIDDEN if missing:
            kind, remedy = NoAccessError, f"the user of this kubeconfig needs the right to `{missing[1]}` {missing[2]}"
        case HTTPStatus.FORBIDDEN:
            remedy = "an admission rule of the cluster has to allow it"
        case HTTPStatus.UNAUTHORIZED:
            kind = NoAccessError
            remedy = "log in to the cluster again: the credentials of this kubeconfig are not accepted"
        case _:
            pass
    return kind(code, what, where=where, remedy=remedy, status=status, reason=reason)


def _fields(details: dict[str, object]) -> str:
    inner = details.get("details")
    causes = inner.get("causes", []) if isinstance(inner, dict) else []
    return "; ".join(
        f"{cause.get('field', '')} ({cause.get('message', '')})"
        for cause in causes
        if isinstance(cause, dict) and cause.get("reason") == "FieldManagerConflict"
    )


def _status(body: bytes) -> dict[str, object]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) and content.get("kind") == "Status" else {}
