"""Any settings that are valid survive being written; any text is settings or refused in words."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from meshpki.settings import (
    Approval,
    Artifacts,
    Existing,
    Istio,
    IstiodCA,
    Namespaces,
    Problem,
    Proxy,
    Root,
    Settings,
    SettingsError,
    Spire,
    Storage,
    Versions,
    Workloads,
    read_text,
    to_yaml,
)
from meshpki.settings.istio_operator import SPEC_KEYS
from meshpki.settings.model import CAN_WAIT

HEADER = "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n"
TRAPS = ("no", "on", "null", "~", "1:30", "010", "1e3", "1.20", "0x1f", ".5", "2026-01-01", "=", "<<", "- a", "a: b")
SHA256 = st.text("0123456789abcdef", min_size=64, max_size=64)
LABEL = st.from_regex(r"(?!kube-)[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAME = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,30}[A-Za-z0-9])?", fullmatch=True) | st.sampled_from(
    ["no", "010", "1e3", "NULL", "true"]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(TRAPS)
NUMBERS = st.integers(-(10**17), 10**17) | st.floats(-1e6, 1e6).map(lambda number: round(number, 3))
DATA = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXT.filter(lambda key: key != "<<"), inner, max_size=3)
    ),
    max_leaves=8,
)
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\nAA==\n-----END CERTIFICATE-----\n"
EXISTING = st.just(Existing()) | st.builds(Existing, LABEL, st.sampled_from([PEM, PEM * 2]))
OPERATOR = st.dictionaries(st.sampled_from(["hub", "tag", "unvalidatedValues"]), DATA, max_size=3)


def seconds(least: int, most: int) -> st.SearchStrategy[timedelta]:
    return st.integers(least, most).map(lambda count: timedelta(seconds=count))


@st.composite
def durations(draw: st.DrawFn) -> tuple[Root, IstiodCA, Spire]:
    root = draw(seconds(3 * 3600, 9 * 10**9))
    intermediate = draw(seconds(3600, int(root.total_seconds()) - 1))
    renewal = draw(seconds(300, int(intermediate.total_seconds()) - 1))
    authority = draw(seconds(3600, int(root.total_seconds()) // 2))
    svid = draw(seconds(60, int(authority.total_seconds()) // 6))
    level = draw(st.sampled_from(["DEBUG", "INFO", "WARN", "ERROR"]))
    storage = Storage(draw(st.sampled_from(["1Gi", "5", "0.5Ti", "1.20"])), draw(st.just("") | LABEL))
    fingerprint = draw(st.just("") | SHA256)
    name = draw(NAME)
    return (
        Root(root, fingerprint, name, draw(EXISTING)),
        IstiodCA(intermediate, renewal),
        Spire(authority, svid, level, storage),
    )


@st.composite
def wishes(draw: st.DrawFn) -> Settings:
    root, istiod_ca, spire = draw(durations())
    return Settings(
        preset=draw(st.sampled_from(["default", "production"])),
        trust_domain=draw(st.from_regex(r"[a-z0-9._-]{1,40}", fullmatch=True) | st.sampled_from(["no", "1.20"])),
        cluster_name=draw(NAME),
        approval=Approval(draw(st.booleans())),
        root=root,
        istiod_ca=istiod_ca,
        spire=spire,
        istio=Istio(draw(st.integers(1, 100)), draw(st.sampled_from(["docker.io/istio", "h:5000/a"])), draw(OPERATOR)),
        workloads=Workloads(draw(st.booleans())),
        namespaces=Namespaces(*draw(st.lists(LABEL, min_size=5, max_size=5, unique=True))),
        versions=replace(Versions(), bookinfo=draw(st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]", fullmatch=True))),
        artifacts=Artifacts("/srv/a b", draw(st.dictionaries(NAME, SHA256, max_size=3))),
        proxy=Proxy("http://proxy:3128", "http://[::1]:3128", draw(st.sampled_from(["", "*", "10.0.0.0/8,.local"]))),
        ignore=tuple(draw(st.lists(st.sampled_from(CAN_WAIT), max_size=3))),
    )


@given(wishes())
def test_settings_that_are_written_are_read_back_the_same(settings: Settings) -> None:
    assert read_text(to_yaml(settings), "written") == settings


def told(text: str) -> None:
    """Read it; whatever is wrong must be said in whole problems."""
    for problem in problems(text):
        assert re.fullmatch(r"MPK-[0-9]{3}", problem.code)
        assert problem.where
        assert str(problem).isprintable()


def problems(text: str) -> tuple[Problem, ...]:
    try:
        read_text(text, "x")
    except SettingsError as error:
        return error.problems
    return ()


@given(st.text(max_size=200))
def test_any_text_is_settings_or_refused_in_words(text: str) -> None:
    told(text)


@given(st.text("abk:-[]{}#&*!|>'\"%@`,?\n\t 019.~<=", max_size=60))
def test_anything_like_yaml_below_the_header_is_settings_or_refused_in_words(text: str) -> None:
    told(HEADER + text)


KEYS = ["root", "duration", "istiodCA", "renewBefore", "spire", "svidTTL", "istio", "operator", "ignore", "pins"]
SHAPES: st.SearchStrategy[object] = st.recursive(
    st.sampled_from(["720h", "720", "3w", "1", "a", "~", "yes", "''", "A.B", *(f'"{trap}"' for trap in TRAPS)]),
    lambda inner: (
        st.dictionaries(st.sampled_from([*KEYS, *SPEC_KEYS, "artifacts", "versions"]), inner, max_size=4)
        | st.lists(inner, max_size=2)
    ),
    max_leaves=15,
)


def flow(shape: object) -> str:
    """The shape in YAML's flow style, scalars as they are."""
    match shape:
        case Mapping():
            return "{" + ", ".join(f"{key}: {flow(value)}" for key, value in shape.items()) + "}"
        case list():
            return "[" + ", ".join(map(flow, shape)) + "]"
        case _:
            return str(shape)


@given(st.dictionaries(st.sampled_from(["root", "istiodCA", "spire", "istio", "artifacts", "versions"]), SHAPES))
def test_known_keys_with_values_of_any_shape_are_settings_or_refused_in_words(sections: dict[str, object]) -> None:
    told(HEADER + "".join(f"{key}: {flow(shape)}\n" for key, shape in sections.items()))
