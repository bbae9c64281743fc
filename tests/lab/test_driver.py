from pathlib import Path

import pytest

from meshpki.errors import PreconditionError, UsageError
from meshpki.lab.driver import choose, pick
from meshpki.lab.home import locate
from meshpki.lab.lifecycle import remove_files


def not_asked() -> bool:
    raise AssertionError("Docker was asked")


@pytest.mark.parametrize(("answers", "driver"), [(True, "kind"), (False, "native")])
def test_a_docker_engine_that_answers_makes_the_lab_with_kind(*, answers: bool, driver: str) -> None:
    assert pick("auto", docker=lambda: answers) == driver


@pytest.mark.parametrize("name", ["kind", "native"])
def test_a_driver_that_was_named_is_taken_without_asking_docker(name: str) -> None:
    assert pick(name, docker=not_asked) == name


@pytest.mark.parametrize("made", ["kind", "native"])
def test_a_lab_keeps_the_driver_that_made_it_whatever_docker_says(made: str) -> None:
    assert pick("auto", made, docker=not_asked) == made
    assert pick(made, made, docker=not_asked) == made


@pytest.mark.parametrize(("name", "made"), [("kind", "native"), ("native", "kind")])
def test_another_driver_than_made_the_lab_is_refused(name: str, made: str) -> None:
    with pytest.raises(PreconditionError, match="MPK-516") as refused:
        pick(name, made, docker=not_asked)
    assert f"driver {made}" in refused.value.what


@pytest.mark.parametrize("made", ["kind", "native"])
def test_the_driver_is_chosen_by_what_lies_in_the_labs_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    monkeypatch.setenv("MESHPKI_LAB_HOME", str(tmp_path))
    place = locate()
    assert place.driver == ""
    (place.spec if made == "native" else place.kind_config).write_text("{}")
    assert place.driver == made
    assert choose("auto").name == made
    remove_files(place)
    assert place.driver == ""


@pytest.mark.parametrize("name", ["minikube", "", "Kind"])
def test_an_unknown_driver_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        pick(name, docker=not_asked)
    assert (refused.value.code, refused.value.where) == ("MPK-508", "--driver")
    assert refused.value.remedy == "native, kind or auto"
