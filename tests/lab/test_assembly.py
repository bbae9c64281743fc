import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from meshpki.lab.archive import Config, File, Text
from meshpki.lab.assembly import Assembly, assemble, contents, key
from meshpki.lab.images import BASE, Built, Image
from meshpki.lab.programs import CERTIFICATES

pytestmark = pytest.mark.skipif(not CERTIFICATES.exists(), reason="no ca-certificates")

IMAGE = Image("registry.k8s.io/pause:3.10.1", Config(("/pause",)), (Built("pause", "/pause"),))


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Path]:
    path = tmp_path / "builds" / "pause"
    path.parent.mkdir()
    path.write_bytes(b"binary")
    return {"pause": path, "etcd": tmp_path / "etcd"}


def test_an_image_holds_what_was_built_beside_what_every_image_has(parts: dict[str, Path]) -> None:
    found = contents(replace(IMAGE, entries=(Text("/etc/motd", ""),)), parts)
    assert set(BASE) <= set(found)
    assert File("/pause", parts["pause"]) in found
    assert found[-1] == Text("/etc/motd", "")


@pytest.mark.parametrize(
    "other",
    [
        replace(IMAGE, name="registry.k8s.io/pause:3.10.2"),
        replace(IMAGE, config=Config(("/pause",), user="65535")),
        replace(IMAGE, entries=(Text("/etc/motd", ""),)),
        replace(IMAGE, programs=(str(CERTIFICATES),)),
        replace(IMAGE, built=(Built("pause", "/bin/pause"),)),
    ],
)
def test_an_image_is_made_anew_when_its_recipe_changes(parts: dict[str, Path], other: Image) -> None:
    assert key(other, parts) != key(IMAGE, parts)


def test_an_image_is_made_anew_when_its_own_parts_were_built_anew_and_only_then(parts: dict[str, Path]) -> None:
    assert key(IMAGE, {**parts, "pause": Path("/newer/pause")}) != key(IMAGE, parts)
    assert key(IMAGE, {**parts, "etcd": Path("/newer/etcd")}) == key(IMAGE, parts)


def test_an_assembled_image_is_an_archive_under_upstreams_name(tmp_path: Path, parts: dict[str, Path]) -> None:
    wanted = Assembly(IMAGE, tmp_path / "images" / "0123" / "pause.tar")
    assert not wanted.done
    assemble(wanted, parts)
    assert wanted.done
    with tarfile.open(wanted.archive) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        assert json.load(manifest)[0]["RepoTags"] == [IMAGE.name]
