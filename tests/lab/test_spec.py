from dataclasses import replace
from pathlib import Path

import pytest

from meshpki.lab.home import Home
from meshpki.lab.parts import Parts
from meshpki.lab.spec import NODE_PROGRAMS, Spec, read, wanted, write
from meshpki.lab.topology import plan

SPEC = Spec("lab", 2, {"kubectl": "/cache/kubectl"}, ("/cache/a.tar", "/cache/b.tar"), "/cache/artifacts")


def test_a_spec_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    assert read(path) is None
    write(path, SPEC)
    assert read(path) == SPEC
    write(path, replace(SPEC, nodes=1))
    assert read(path) == replace(SPEC, nodes=1)
    assert list(tmp_path.iterdir()) == [path]


def test_a_spec_has_the_addresses_that_follow_from_its_name_and_size() -> None:
    assert SPEC.topology == plan("lab", 2)


def test_the_wanted_lab_has_the_nodes_programs_and_every_image(tmp_path: Path) -> None:
    binaries = {name: Path("/cache", name) for name in (*NODE_PROGRAMS, "helm", "etcd")}
    parts = Parts(binaries, (Path("/cache/a.tar"),), Path("/cache/artifacts"), {})
    made = wanted(Home(tmp_path, "lab"), 2, parts)
    assert (made.name, made.nodes, made.images, made.artifacts) == ("lab", 2, ("/cache/a.tar",), "/cache/artifacts")
    assert made.programs == {name: f"/cache/{name}" for name in NODE_PROGRAMS}


@pytest.mark.parametrize(
    "other", [replace(SPEC, images=("/cache/a.tar",)), replace(SPEC, programs={}), replace(SPEC, artifacts="/b")]
)
def test_a_lab_of_other_parts_is_another_lab(other: Spec) -> None:
    assert other != SPEC
