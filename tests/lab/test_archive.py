import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from meshpki.lab.archive import Config, Entry, File, Folder, Link, Text, write, write_layer

CONFIG = Config(("/bin/tool", "run"), user="1000", environment=("A=1",), folder="/srv")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "tool"
    path.write_bytes(b"#!/bin/true\n")
    return path


def layer_of(*entries: Entry) -> dict[str, tarfile.TarInfo]:
    spool = io.BytesIO()
    write_layer(spool, entries)
    spool.seek(0)
    with tarfile.open(fileobj=spool) as layer:
        return {member.name: member for member in layer}


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        return {one.name: found.read() for one in opened if (found := opened.extractfile(one))}


def test_the_same_content_makes_the_same_bytes_whenever_and_in_whatever_order(tmp_path: Path, program: Path) -> None:
    entries = (File("/bin/tool", program), Text("/etc/passwd", "root:x:0:0\n"), Link("/var/run", "/run"))
    write(tmp_path / "one.tar", "example.org/tool:v1", CONFIG, entries)
    program.touch()
    write(tmp_path / "two.tar", "example.org/tool:v1", CONFIG, reversed(entries))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_another_content_makes_other_bytes(tmp_path: Path) -> None:
    write(tmp_path / "one.tar", "tool:v1", CONFIG, [Text("/a", "1")])
    write(tmp_path / "two.tar", "tool:v1", CONFIG, [Text("/a", "2")])
    assert (tmp_path / "one.tar").read_bytes() != (tmp_path / "two.tar").read_bytes()


def test_every_folder_comes_before_what_is_in_it(program: Path) -> None:
    order = list(layer_of(File("/opt/spire/bin/tool", program), Text("/etc/ssl/a.conf", "")))
    assert order == ["etc", "etc/ssl", "etc/ssl/a.conf", "opt", "opt/spire", "opt/spire/bin", "opt/spire/bin/tool"]


def test_a_folder_asked_for_keeps_its_mode_and_owner_though_something_lies_in_it() -> None:
    layer = layer_of(Folder("/tmp", 0o1777), Folder("/var/lib/spire", owner=1000), Text("/var/lib/spire/a", ""))  # noqa: S108 - the image's, not this machine's
    assert layer["tmp"].mode == 0o1777
    spire = layer["var/lib/spire"]
    assert (spire.isdir(), spire.uid, spire.gid) == (True, 1000, 1000)
    assert (layer["var/lib"].isdir(), layer["var/lib"].uid, layer["var/lib"].mode) == (True, 0, 0o755)


def test_files_links_and_texts_become_what_they_say(program: Path) -> None:
    layer = layer_of(File("/bin/tool", program, 0o700), Link("/var/run", "/run"), Text("/etc/hosts", "näme\n"))
    assert (layer["bin/tool"].isreg(), layer["bin/tool"].mode) == (True, 0o700)
    assert layer["bin/tool"].size == program.stat().st_size
    assert (layer["var/run"].issym(), layer["var/run"].linkname) == (True, "/run")
    assert (layer["etc/hosts"].size, layer["etc/hosts"].mode) == (len("näme\n".encode()), 0o644)


def test_nothing_of_this_machine_is_in_a_header(program: Path) -> None:
    for member in layer_of(File("/bin/tool", program), Text("/a", ""), Link("/b", "/a")).values():
        assert (member.mtime, member.uname, member.gname, member.uid) == (0, "", "", 0)


def test_the_last_of_two_entries_of_one_path_counts() -> None:
    layer = layer_of(Text("/etc/hosts", "one"), Text("/etc/../etc/hosts", "other"))
    assert (list(layer), layer["etc/hosts"].size) == (["etc", "etc/hosts"], len("other"))


def test_manifest_config_and_layer_name_each_other_by_their_digests(tmp_path: Path) -> None:
    target = tmp_path / "image.tar"
    write(target, "registry.k8s.io/pause:3.10.1", CONFIG, [Text("/a", "1")])
    found = members(target)
    (image,) = json.loads(found["manifest.json"])
    assert image["RepoTags"] == ["registry.k8s.io/pause:3.10.1"]
    assert image["Config"] == f"{hashlib.sha256(found[image['Config']]).hexdigest()}.json"
    (layer,) = image["Layers"]
    document = json.loads(found[image["Config"]])
    assert document["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(found[layer]).hexdigest()}"]


def test_the_config_says_how_the_container_starts() -> None:
    document = CONFIG.document("0" * 64)
    assert (document["architecture"], document["os"]) == ("amd64", "linux")
    process = document["config"]
    assert isinstance(process, dict)
    assert (process["Entrypoint"], process["User"]) == (["/bin/tool", "run"], "1000")
    assert process["WorkingDir"] == "/srv"
    assert process["Env"][0].startswith("PATH=")
    assert process["Env"][1:] == ["A=1"]


def test_no_scratch_file_stays_beside_the_archive(tmp_path: Path) -> None:
    write(tmp_path / "image.tar", "a:v1", CONFIG, [Text("/a", "1")])
    assert [path.name for path in tmp_path.iterdir()] == ["image.tar"]
