"""How many Envoys `verify` asks at a time, counted by who is asked."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from meshpki.cli.app import app
from meshpki.errors import UsageError
from tests.support import certificates as made
from tests.support.apiserver import Reply, StandIn, running, valid
from tests.support.mesh import dump, pin, pod

PODS = [pod(f"app-1-5d9-{number:02}", account="app") for number in range(90)]


@pytest.fixture
def stand_in() -> StandIn:
    """Ninety pods, whose Envoys take a moment to answer."""
    root = made.root(valid(made.ROOT))
    ca = root.issue(valid(made.SPIRE_CA))
    leaf = ca.issue(valid(made.SVID.but(uris=(f"spiffe://{made.TRUST_DOMAIN}/ns/bookinfo/sa/app",))))
    reply = Reply(body=dump(made.pem(leaf, ca), {made.TRUST_DOMAIN: root.pem}))
    objects = {"/api/v1/pods": PODS, "/api/v1/namespaces/kube-system/configmaps": [pin(root)]}
    return StandIn(lambda _pod: reply, objects, 0.05)


@pytest.mark.parametrize(("argv", "most"), [((), 64), (("--width", "8"), 8), (("--width", "1"), 1)])
def test_never_more_streams_are_in_flight_than_were_allowed(
    stand_in: StandIn, tmp_path: Path, argv: tuple[str, ...], most: int
) -> None:
    with running(stand_in, tmp_path) as kubeconfig:
        said = CliRunner().invoke(app, ["verify", "--kubeconfig", str(kubeconfig), "-o", "short", *argv])
    assert "of 90 pods proven" in said.output
    assert len(stand_in.seen.opened) == len(PODS)
    assert most / 2 < stand_in.seen.most <= most


@pytest.mark.parametrize("width", ["0", "513", "many"])
def test_no_stream_at_all_and_far_too_many_are_refused(width: str) -> None:
    assert CliRunner().invoke(app, ["verify", "--width", width]).exit_code == 2


def test_a_file_is_asked_of_nobody() -> None:
    error = CliRunner().invoke(app, ["verify", "--file", "a", "--anchors", "b", "--width", "8"]).exception
    assert isinstance(error, UsageError)
    assert "--width is for a mesh" in error.what
