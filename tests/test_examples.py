"""Every example can be read and planned, and its commands parse."""

from pathlib import Path

import pytest

from meshpki.artifacts import Releases
from meshpki.install import Target, steps
from meshpki.settings import read
from meshpki.workflow.plan import Plan
from tests.support import certificates as made
from tests.support.existing import corporate

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*/meshpki.yaml"))


def placed(example: Path, folder: Path) -> Path:
    """The example's settings in a folder with what its README has the user make: the public chain of a CA."""
    (folder / "corporate-ca.pem").write_bytes(made.pem(*corporate()))
    copy = folder / example.name
    copy.write_bytes(example.read_bytes())
    return copy


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_makes_a_plan(example: Path, tmp_path: Path) -> None:
    release = tmp_path / "cert-manager.yaml"
    release.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: cert-manager}\n")
    plan = Plan(steps(read([placed(example, tmp_path)]), Releases(release, tmp_path / "istioctl.tar.gz", ()), Target()))
    assert len(plan.steps) == 6
    assert example.with_name("README.md").is_file()
