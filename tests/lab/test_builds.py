import os
from dataclasses import replace
from pathlib import Path

import pytest

from meshpki.lab.builds import MODULES, SHOWN_LINES, Build, arguments, environment, failure, key, newest_directive
from meshpki.lab.recipes import RECIPES, Carried, Recipe

RECIPE = Recipe("etcd", "etcd", ("go.etcd.io/etcd/server/v3",), "etcd", (("main.version", "v3"),))
TOOLCHAIN = "go version go1.26.0 linux/amd64"
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
        *("go", "build", "-trimpath", "-buildvcs=false"),
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
    assert {path.name for path in MODULES.iterdir()} == {recipe.module for recipe in RECIPES}


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
