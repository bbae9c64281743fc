"""spire-server's own command line: what it is asked, and what its answers are taken for."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from meshpki.cluster.manifest import Object, Ref
from meshpki.components import spire_authorities as spire
from meshpki.components.spire_authorities import Authority, Slots, Trusted
from meshpki.errors import StepError
from tests.support import certificates as made
from tests.support.cluster import InMemoryCluster

POD: Object = {"metadata": {"namespace": "spire-server", "name": "spire-server-0"}}
END = datetime(2026, 11, 25, 12, tzinfo=UTC)


def state(name: str, upstream: str = "aa11") -> Object:
    expires = str(int(END.timestamp()))
    return {"authority_id": name, "expires_at": expires, "upstream_authority_subject_key_id": upstream}


class Shell:
    """Answers with JSON, and remembers what was asked."""

    def __init__(self, answer: object) -> None:
        self.answer, self.asked = answer, list[Sequence[str]]()

    def __call__(self, pod: Ref, argv: Sequence[str]) -> str:
        assert pod == Ref("v1", "Pod", "spire-server", "spire-server-0")
        self.asked.append(argv)
        return self.answer if isinstance(self.answer, str) else json.dumps(self.answer)


def cluster(answer: object) -> tuple[InMemoryCluster, Shell]:
    shell = Shell(answer)
    return InMemoryCluster(shell=shell), shell


@pytest.mark.parametrize(
    ("answer", "slots"),
    [
        ({"active": state("a1")}, Slots(Authority("a1", "aa11", END))),
        (
            {"active": state("a1"), "prepared": state("b2", "bb22")},
            Slots(Authority("a1", "aa11", END), prepared=Authority("b2", "bb22", END)),
        ),
        (
            {"active": state("b2", "bb22"), "old": state("a1")},
            Slots(Authority("b2", "bb22", END), old=Authority("a1", "aa11", END)),
        ),
        ({}, Slots()),
    ],
)
def test_slots_are_read_and_an_empty_one_is_left_out(answer: Object, slots: Slots) -> None:
    reader, _ = cluster(answer)
    assert spire.slots(reader, POD) == slots


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "no json",
        "[]",
        "[" * 100_000,
        {"active": {"authority_id": "zz"}},
        {"active": state("not hex")},
        {"active": {**state("a1"), "expires_at": "soon"}},
        {"active": {**state("a1"), "expires_at": "9" * 40}},
        {"active": "a1"},
    ],
)
def test_an_answer_that_is_no_list_of_slots_is_refused_with_a_code(answer: object) -> None:
    reader, _ = cluster(answer)
    with pytest.raises(StepError, match="MPK-420"):
        spire.slots(reader, POD)


def test_prepare_and_activate_name_the_authority_that_came_of_it() -> None:
    there, _ = cluster({"prepared_authority": state("b2", "bb22")})
    assert spire.prepare(there, POD) == Authority("b2", "bb22", END)
    there, shell = cluster({"activated_authority": state("b2", "bb22")})
    assert spire.activate(there, POD, "b2") == Authority("b2", "bb22", END)
    assert [word for word in shell.asked[0] if word in ("-authorityID", "b2")] == ["-authorityID", "b2"]


def test_an_id_that_is_not_hex_is_never_put_into_a_command() -> None:
    there, shell = cluster({})
    with pytest.raises(StepError, match="MPK-420"):
        spire.taint(there, POD, "-help; true")
    assert shell.asked == []


def test_the_bundle_tells_roots_and_which_are_tainted() -> None:
    root, other = made.mesh_root(), made.root(made.ROOT)
    listed = [
        {"asn1": base64.b64encode(root.certificate.der).decode(), "tainted": True},
        {"asn1": base64.b64encode(other.certificate.der).decode()},
    ]
    reader, _ = cluster({"trust_domain": "example.org", "x509_authorities": listed})
    assert spire.trusted(reader, POD) == (Trusted(root.certificate, True), Trusted(other.certificate, False))


@pytest.mark.parametrize("answer", [{}, {"x509_authorities": [{}]}, {"x509_authorities": [{"asn1": "%"}]}])
def test_a_bundle_without_certificates_is_refused_with_a_code(answer: Object) -> None:
    reader, _ = cluster(answer)
    with pytest.raises(StepError, match="MPK-420"):
        spire.trusted(reader, POD)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("ghcr.io/spiffe/spire-server:1.15.3", ""),
        ("ghcr.io/spiffe/spire-server:1.11.0", ""),
        ("ghcr.io/spiffe/spire-server:1.10.4", "1.10"),
        ("host:5000/spire:v1.9", "1.9"),
        ("host:5000/spire:1.10.4@sha256:00", "1.10"),
        ("host:5000/spire:2", ""),
        ("host:5000/spire:nightly", ""),
        ("host:5000/spire@sha256:00112233", ""),
        ("", ""),
    ],
)
def test_a_server_without_the_command_is_known_by_the_tag_of_its_image(image: str, version: str) -> None:
    beside = {"name": "sidecar", "image": "x:1.0"}
    assert spire.too_old({"spec": {"containers": [beside, {"name": "spire-server", "image": image}]}}) == version
    assert spire.too_old({"spec": {"containers": [beside]}}) == ""
