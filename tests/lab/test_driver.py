import pytest

from meshpki.errors import UsageError
from meshpki.lab.driver import pick


def not_asked() -> bool:
    raise AssertionError("Docker was asked")


@pytest.mark.parametrize(("answers", "driver"), [(True, "kind"), (False, "native")])
def test_a_docker_engine_that_answers_makes_the_lab_with_kind(*, answers: bool, driver: str) -> None:
    assert pick("auto", docker=lambda: answers) == driver


@pytest.mark.parametrize("name", ["kind", "native"])
def test_a_driver_that_was_named_is_taken_without_asking_docker(name: str) -> None:
    assert pick(name, docker=not_asked) == name


@pytest.mark.parametrize("name", ["minikube", "", "Kind"])
def test_an_unknown_driver_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        pick(name, docker=not_asked)
    assert (refused.value.code, refused.value.where) == ("MPK-508", "--driver")
    assert refused.value.remedy == "native, kind or auto"
