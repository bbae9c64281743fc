"""Fields that change and values that are masked: tables of two states and what is said of them."""

import time

import pytest

from meshpki.cluster.manifest import APPLIED_ANNOTATION, Object
from meshpki.planning.difference import Field, Kind, differences
from meshpki.planning.masking import masked

DIFFERENCES: list[tuple[Object, Object, list[Field]]] = [
    ({"a": 1}, {"a": 1}, []),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, [Field("a.b", Kind.CHANGE, 1, 2)]),
    ({"a": 1}, {}, [Field("a", Kind.REMOVE, 1)]),
    ({}, {"a": {"b": 1}}, [Field("a", Kind.ADD, None, {"b": 1})]),
    ({"a": 1}, {"a": True}, [Field("a", Kind.CHANGE, 1, True)]),
    ({"a": [1, 2]}, {"a": [1, 3]}, [Field("a[1]", Kind.CHANGE, 2, 3)]),
    ({"a": [1, 2]}, {"a": [1]}, [Field("a", Kind.CHANGE, [1, 2], [1])]),
    (
        {"c": [{"name": "x", "image": "1"}, {"name": "y"}]},
        {"c": [{"name": "y"}, {"name": "x", "image": "2"}, {"name": "z"}]},
        [Field("c[x].image", Kind.CHANGE, "1", "2"), Field("c[z]", Kind.ADD, None, {"name": "z"})],
    ),
]


@pytest.mark.parametrize(("before", "after", "fields"), DIFFERENCES, ids=str)
def test_each_field_that_differs_is_told_by_its_path(before: Object, after: Object, fields: list[Field]) -> None:
    assert list(differences(before, after)) == fields


@pytest.mark.parametrize(("data", "paths"), [("1", ["metadata"]), ("2", ["data"])])
def test_the_digest_is_told_only_where_nothing_else_changes(data: str, paths: list[str]) -> None:
    def one(digest: str, value: str) -> Object:
        return {"metadata": {"annotations": {APPLIED_ANNOTATION: digest}}, "data": value}

    assert [field.path.partition(".")[0] for field in differences(one("a", "1"), one("b", data))] == paths


def secret(**data: str) -> Object:
    return {"kind": "Secret", "data": data}


def env(name: str, value: str) -> Object:
    return {"spec": {"env": [{"name": name, "value": value}]}}


KEY = "-----BEGIN EC PRIVATE KEY-----\ncanary\n-----END EC PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "content",
    [
        secret(a="canary"),
        env("DB_PASSWORD", "canary"),
        env("API_KEY", "canary"),
        {"clientSecret": "canary"},
        {"data": {"file": f"before\n{KEY}after"}},
        {"data": {"file": "-----BEGIN PRIVATE KEY-----\ncanary, cut short"}},
        {"data": {"file": "proxy: {https: 'https://user:canary@proxy.example'}"}},
        {"data": {"file": "a: 1\n  password: canary\n"}},
        {"data": {"file": "token = canary"}},
        {"data": {"file": '{\n  "apiKey": "canary"\n}'}},
        {"data": {"file": '{"a": "b", "password": "canary"}'}},
        {"data": {"file": "clientSecret: |\n  canary\n  canary\nb: 1\n"}},
        {"data": {"file": "password: some, canary"}},
    ],
    ids=str,
)
def test_a_secret_is_shown_on_neither_side(content: Object) -> None:
    other = eval(repr(content).replace("canary", "canary2"))  # noqa: S307 - our own literal
    for before, after in ((content, other), ({}, content), (content, {}), (content, content)):
        assert "canary" not in repr(masked(before, after))
    assert masked(content, content)[0] == masked(content, content)[1]


@pytest.mark.parametrize(
    "content",
    [
        {"spec": {"secretName": "cacerts", "automountServiceAccountToken": False}},
        {"spec": {"ca": {"secretName": "meshpki-root-g1"}}},
        {"data": {"root.pem": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"}},
        {"data": {"server.conf": 'NodeAttestor "k8s_psat" {\n  node_name_env = "NODE_ADDRESS"\n'}},
        env("WORKLOAD_IDENTITY_SOCKET_FILE", "spire-agent.sock"),
    ],
    ids=str,
)
def test_what_is_no_secret_is_shown_as_it_is(content: Object) -> None:
    assert masked(content, content) == (content, content)


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        (secret(a="1"), secret(a="2"), "data.a"),
        (env("TOKEN", "1"), env("TOKEN", "2"), "spec.env[TOKEN].value"),
        ({"u": "http://a:1@x"}, {"u": "http://a:2@x"}, "u"),
    ],
)
def test_that_a_secret_changes_is_told_though_not_how(before: Object, after: Object, path: str) -> None:
    (field,) = differences(*masked(before, after))
    assert field.path == path
    assert (str(field.before)[-9:], str(field.after)[-8:]) == (" (before)", " (after)")


@pytest.mark.parametrize(
    "text", ["." * 200_000, "://a:" * 50_000, "password" * 30_000, "secret: |\n" * 20_000, "- " * 99_999]
)
def test_no_text_of_a_cluster_takes_long_to_mask(text: str) -> None:
    began = time.process_time()
    masked({"data": {"file": text}}, {})
    assert time.process_time() - began < 2
