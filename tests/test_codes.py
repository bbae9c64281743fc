"""The catalogue and the code speak of the same errors."""

import re
from pathlib import Path

import pytest

import meshpki
from meshpki.codes import Entry, catalogue

PACKAGE = Path(meshpki.__file__).parent
CODE = re.compile(r"MPK-[0-9]{3}")
IN_HEADING = re.compile(r"^\[(MPK-[0-9]{3})\]$", re.MULTILINE)


def named() -> dict[str, set[str]]:
    """Every code that a module names, with the modules."""
    found: dict[str, set[str]] = {}
    for module in PACKAGE.rglob("*.py"):
        for code in CODE.findall(module.read_text(encoding="utf-8")):
            found.setdefault(code, set()).add(str(module.relative_to(PACKAGE)))
    return found


def test_every_code_that_a_module_names_is_explained() -> None:
    known = catalogue()
    assert {code: modules for code, modules in named().items() if code not in known} == {}


def test_nothing_is_explained_that_no_module_names() -> None:
    assert set(catalogue()) - set(named()) == set()


def test_the_catalogue_is_in_the_order_of_its_codes() -> None:
    written = IN_HEADING.findall((PACKAGE / "codes.toml").read_text(encoding="utf-8"))
    assert written == sorted(set(written))


@pytest.mark.parametrize("entry", catalogue().values(), ids=lambda entry: entry.code)
def test_every_entry_is_prose_a_person_can_act_on(entry: Entry) -> None:
    assert CODE.fullmatch(entry.code)
    for text in (entry.title, entry.what, entry.why, entry.mend, entry.source):
        assert text == text.strip()
        assert text.isprintable()
    assert len(entry.title) <= 60
    assert not entry.title.endswith(".")
    assert min(map(len, (entry.what, entry.why, entry.mend))) > 10
