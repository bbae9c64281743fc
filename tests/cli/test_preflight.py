"""What `meshpki preflight` says of an outcome, as text and as JSON."""

import json
from dataclasses import replace

from meshpki.cli.preflight_forms import as_json, text
from meshpki.preflight import CHECKS, examine
from meshpki.settings import defaults
from tests.preflight.test_checks import GOOD, OURS, workload

SKEWED = replace(
    GOOD,
    skews=("Node a's clock is 90 s behind of the API server's",),
    missing_rights=("create namespaces", "patch secrets"),
    deployments=(workload("Deployment", "cert-manager", "cert-manager", **OURS),),
)


def test_every_check_is_told_whether_it_holds_is_ignored_or_refuses() -> None:
    told = json.loads(as_json(examine(SKEWED, defaults(), ("clock",))))
    assert [one["name"] for one in told["checks"]] == [one.name for one in CHECKS]
    results = {one["name"]: one["result"] for one in told["checks"]}
    assert {name for name, result in results.items() if result != "ok"} == {"clock", "rights"}
    assert (results["clock"], results["rights"]) == ("ignored", "refused")
    assert told["there"] == [{"object": "Deployment cert-manager/cert-manager", "version": "-", "owner": "meshpki"}]


def test_the_text_names_what_is_the_matter_and_what_to_do() -> None:
    told = text(examine(SKEWED, defaults()))
    assert "missing rights: create namespaces, patch secrets" in told
    assert "have them agree (NTP)" in told
    assert "--ignore clock" in told
    assert "Deployment cert-manager/cert-manager" in told
    well = text(examine(GOOD, defaults()))
    assert {line.split()[1] for line in well.splitlines()[1:]} == {"ok"}
