import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from meshpki.errors import LabError, PreconditionError
from meshpki.lab import approver_policy
from meshpki.lab.builds import (
    MODULES,
    SHOWN_LINES,
    Build,
    arguments,
    build,
    carry,
    environment,
    failure,
    go_version,
    key,
    newest_directive,
    serves,
)
from meshpki.lab.recipes import RECIPES, Carried, Recipe

RECIPE = Recipe("etcd", "etcd", ("go.etcd.io/etcd/server/v3",), "etcd", (("main.version", "v3"),))
TOOLCHAIN = "go version go1.26.0 linux/amd64"
needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
SOURCES = {"go.mod": "module etcd\n", "go.sum": "a v1 h1:x=\n", "main.go": "package main\n"}


@pytest.fixture
def module(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", SOURCES)
def test_a_build_is_made_anew_when_a_file_of_its_module_changes(module: Path, name: str) -> None:
    before = key(RECIPE, module, TOOLCHAIN)
    (module / name).write_text(SOURCES[name] + "// more\n")
    assert key(RECIPE, module, TOOLCHAIN) != before


def test_a_build_is_made_anew_when_its_module_has_one_more_source(module: Path) -> None:
    before = key(RECIPE, module, TOOLCHAIN)
    (module / "more.go").write_text("package main\n")
    assert key(RECIPE, module, TOOLCHAIN) != before


@pytest.mark.parametrize(
    "other",
    [
        replace(RECIPE, packages=("go.etcd.io/etcd/etcdctl/v3",)),
        replace(RECIPE, output="etcd3"),
        replace(RECIPE, variables=(("main.version", "v4"),)),
        replace(RECIPE, static_cgo=True),
        replace(RECIPE, carried=(Carried("go.etcd.io/etcd", "LICENSE"),)),
    ],
)
def test_a_build_is_made_anew_when_its_recipe_changes(module: Path, other: Recipe) -> None:
    assert key(other, module, TOOLCHAIN) != key(RECIPE, module, TOOLCHAIN)


def test_a_build_is_made_anew_by_another_toolchain(module: Path) -> None:
    assert key(RECIPE, module, "go version go1.26.1 linux/amd64") != key(RECIPE, module, TOOLCHAIN)


def test_a_build_is_kept_when_only_other_files_change(module: Path) -> None:
    before = key(RECIPE, module, TOOLCHAIN)
    (module / "README.md").write_text("more")
    (module / "main.go").touch()
    assert key(RECIPE, module, TOOLCHAIN) == before


def test_go_is_asked_for_one_named_repeatable_binary() -> None:
    assert arguments(RECIPE, Path("/target/bin")) == (
        *("go", "build", "-v", "-trimpath", "-buildvcs=false"),
        *("-ldflags=-s -w -X=main.version=v3", "-o", "/target/bin/etcd", "go.etcd.io/etcd/server/v3"),
    )


def test_several_packages_are_written_into_the_folder_under_their_own_names() -> None:
    several = replace(RECIPE, packages=("a/one", "a/two"), output="")
    argv = arguments(several, Path("/target/bin"))
    assert argv[argv.index("-o") + 1 :] == ("/target/bin/", "a/one", "a/two")


def test_c_code_is_linked_statically_where_the_recipe_has_some() -> None:
    (flags,) = (one for one in arguments(replace(RECIPE, static_cgo=True), Path("/t")) if one.startswith("-ldflags"))
    assert flags.endswith(" -linkmode=external -extldflags=-static")
    assert environment(cgo=True)["CGO_ENABLED"] == "1"


def test_the_environment_is_the_users_own_with_what_makes_a_build_repeatable() -> None:
    found = environment()
    fixed = {"GOFLAGS": "-mod=readonly", "GOWORK": "off", "GOOS": "linux", "GOARCH": "amd64", "CGO_ENABLED": "0"}
    assert fixed.items() <= found.items()
    assert {name: found[name] for name in os.environ if name not in fixed} == {
        name: value for name, value in os.environ.items() if name not in fixed
    }


def test_a_failed_build_shows_the_end_of_its_log_and_where_the_rest_is(tmp_path: Path) -> None:
    log = tmp_path / "etcd.log"
    log.write_bytes(b"".join(b"line %d\n" % n for n in range(50)) + b"\xff undefined: x\n")
    error = failure("etcd", log, 2)
    said = error.what.splitlines()
    assert (error.code, error.where, said[0]) == ("MPK-510", "etcd", "go build ended with exit code 2")
    assert len(said) == 1 + SHOWN_LINES
    assert said[-1].endswith("undefined: x")
    assert str(log) in error.remedy


def test_what_go_compiles_after_an_error_does_not_push_it_out_of_sight(tmp_path: Path) -> None:
    log = tmp_path / "etcd.log"
    log.write_text("go: downloading a v1\n# a/b\nb.go:1:2: undefined: x\n" + "example.org/package\n" * 100)
    assert failure("etcd", log, 1).what.splitlines()[1:] == ["go: downloading a v1", "# a/b", "b.go:1:2: undefined: x"]


def test_a_build_is_done_once_its_folder_is_there(tmp_path: Path) -> None:
    build = Build(RECIPE, tmp_path / "0123")
    assert not build.done
    (build.root / "bin").mkdir(parents=True)
    (build.root / "bin" / "etcd").touch()
    assert build.done
    assert build.binaries() == {"etcd": build.root / "bin" / "etcd"}
    assert build.file("bases") == build.root / "files" / "bases"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_recipe_has_a_module_whose_requirements_are_pinned_by_digest(recipe: Recipe) -> None:
    folder = MODULES / recipe.module
    requires = "\nrequire" in (folder / "go.mod").read_text()
    assert requires == (folder / "go.sum").is_file()
    assert (folder / "main.go").is_file() == ("." in recipe.packages)


def test_every_module_is_built_by_a_recipe() -> None:
    assert {path.name for path in MODULES.iterdir()} == {recipe.module for recipe in (*RECIPES, approver_policy.RECIPE)}


def test_recipes_have_names_of_their_own() -> None:
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES)


def test_the_go_asked_for_serves_every_module() -> None:
    asked = [
        tuple(map(int, line.removeprefix("go ").split(".")))
        for module in MODULES.iterdir()
        for line in (module / "go.mod").read_text().splitlines()
        if line.startswith("go ")
    ]
    assert tuple(map(int, newest_directive().split("."))) == max(asked)
    assert len(asked) == len(list(MODULES.iterdir()))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("go version go1.26.6 linux/amd64", True),
        ("go version go1.26.10 linux/amd64", True),
        ("go version go1.27rc1 linux/amd64", True),
        ("go version devel go1.28-4fb1ba6 linux/amd64", True),
        ("go version go1.26.5 linux/amd64", False),
        ("go version go1.26rc2 linux/amd64", False),
        ("go version go1.19.8 linux/amd64", False),
        ("", False),
    ],
)
def test_a_toolchain_serves_when_it_is_as_new_as_the_release_asked_for(said: str, expected: bool) -> None:
    assert serves(said, "1.26.6") is expected


def test_debians_own_go_is_refused_with_the_version_that_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "go").write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(PreconditionError, match=rf"Go >= {newest_directive()}; here: go version go1\.19\.8") as refused:
        go_version()
    assert refused.value.code == "MPK-511"
    assert f"Go >= {newest_directive()}" in refused.value.remedy


def test_a_machine_without_go_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PreconditionError, match="go was not found"):
        go_version()


def test_a_carried_folder_keeps_its_name_and_shape_and_can_be_changed(tmp_path: Path) -> None:
    chart = tmp_path / "module" / "deploy" / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "templates" / "rbac.yaml").write_text("kind: Role")
    (chart / "templates" / "rbac.yaml").chmod(0o444)
    carry(Carried("example.org/module", "deploy/chart"), tmp_path / "module", tmp_path / "files")
    copy = tmp_path / "files" / "chart" / "templates" / "rbac.yaml"
    assert copy.read_text() == "kind: Role"
    assert copy.stat().st_mode & 0o200


def test_a_carried_file_lies_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "module" / "hack").mkdir(parents=True)
    (tmp_path / "module" / "hack" / "boilerplate.txt").write_text("licence")
    carry(Carried("example.org/module", "hack/boilerplate.txt"), tmp_path / "module", tmp_path / "files")
    assert (tmp_path / "files" / "boilerplate.txt").read_text() == "licence"


@needs_go
def test_a_built_binary_is_alone_in_its_place_and_runs(tmp_path: Path) -> None:
    wanted = Build(Recipe("bookinfo", "bookinfo", (".",), "bookinfo"), tmp_path / "bookinfo" / "key")
    build(wanted, tmp_path / "log" / "bookinfo.log")
    assert list(wanted.binaries()) == ["bookinfo"]
    assert [path.name for path in wanted.root.parent.iterdir()] == ["key"]
    said = subprocess.run([wanted.binaries()["bookinfo"]], capture_output=True, check=False, text=True)
    assert 'called as "bookinfo"; want productpage' in said.stderr


@needs_go
def test_a_build_that_fails_leaves_nothing_and_shows_what_go_said(tmp_path: Path) -> None:
    wanted = Build(Recipe("pause", "pause", ("example.org/nowhere",), "pause"), tmp_path / "pause" / "key")
    with pytest.raises(LabError, match=r"example\.org/nowhere") as failed:
        build(wanted, tmp_path / "pause.log")
    assert failed.value.code == "MPK-510"
    assert not wanted.done
    assert list(wanted.root.parent.iterdir()) == []


@needs_go
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_go_ends_with_the_process_that_builds_and_nothing_half_made_is_taken_for_done(
    tmp_path: Path, blow: signal.Signals
) -> None:
    # an empty build cache keeps go busy for a while with the standard library
    env = {**os.environ, "GOCACHE": str(tmp_path / "gocache")}
    program = (
        "from pathlib import Path; from meshpki.lab.builds import Build, build; from meshpki.lab.recipes import Recipe;"
        f"build(Build(Recipe('pause', 'pause', ('.',), 'pause'), Path({str(tmp_path)!r}, 'pause', 'key')),"
        f" Path({str(tmp_path)!r}, 'pause.log'))"
    )
    with subprocess.Popen([sys.executable, "-c", program], env=env, stderr=subprocess.DEVNULL) as builder:
        _until(lambda: b"go" in _programs_about(tmp_path))
        builder.send_signal(blow)
    _until(lambda: not _programs_about(tmp_path))
    assert not (tmp_path / "pause" / "key").exists()


def _programs_about(folder: Path) -> set[bytes]:
    """The first words of all command lines that mention `folder`: go's compilers work in it."""
    lines = [_command_line(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    return {words[0] for words in lines if str(folder).encode() in b" ".join(words)}


def _command_line(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\0")
    except OSError:  # it has ended since
        return [b""]


def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
