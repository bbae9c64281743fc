import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from cryptography.x509.oid import NameOID
from jsonschema import Draft202012Validator
from typer.testing import CliRunner, Result

from meshpki.cli import inspect_forms
from meshpki.cli.app import app
from meshpki.cli.inspect_json import as_json
from meshpki.errors import UsageError
from meshpki.inspection.model import Inspection, Part, Role
from meshpki.pki.certificate import read_chain
from meshpki.pki.contents import Contents, read_contents
from tests.support import certificates as made
from tests.support.certificates import AT, HOUR

ROOT, CA = made.mesh_root(), made.mesh_spire_ca()
LEAF = CA.issue(made.SVID)
CHAIN = made.pem(LEAF, CA)
HOSTILE = ROOT.issue(
    made.SVID.but(
        subject=((NameOID.COMMON_NAME, "a\x1b[31m\u202e</td>"),),
        uris=("spiffe://x/\x07",),
        dns=("a\nb",),
        key_usages=None,
    )
)
ODD = ROOT.issue(made.SPIRE_CA.but(path_length=0, extended=(made.SERVER,), aki=b"other", not_before=AT + HOUR))
SCHEMA = json.loads(files("meshpki").joinpath("schemas/inspection.json").read_text(encoding="utf-8"))


def run(*argv: str, given: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["inspect", *argv], input=given)


def inspection(*parts: Part) -> Inspection:
    return Inspection("file chain.pem", AT, parts)


def part(role: Role, *issued: made.Issued, **other: tuple[str, ...]) -> Part:
    contents = read_contents(made.pem(*issued)) if issued else Contents()
    return Part("tls.crt", role, Contents(contents.certificates, **other))


INSPECTIONS = (
    inspection(part(Role.CHAIN, LEAF, CA), part(Role.BUNDLE, ROOT)),
    inspection(part(Role.CHAIN, HOSTILE, others=("PRIVATE KEY\x1b",), damaged=("block 2 is cut off",))),
    inspection(part(Role.BUNDLE, ODD, ROOT, made.root())),
    inspection(part(Role.CHAIN)),
)


@pytest.mark.parametrize("found", INSPECTIONS, ids=["a pod's", "hostile", "odd", "empty"])
def test_the_json_holds_to_its_schema(found: Inspection) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    errors = list(Draft202012Validator(SCHEMA).iter_errors(json.loads(as_json(found))))
    assert errors == []


def test_the_schema_refuses_what_is_not_in_it() -> None:
    content = json.loads(as_json(INSPECTIONS[0]))
    assert not Draft202012Validator(SCHEMA).is_valid({**content, "more": 1})
    assert not Draft202012Validator(SCHEMA).is_valid({**content, "parts": []})


@pytest.mark.parametrize("write", [inspect_forms.text, inspect_forms.short])
def test_hostile_names_steer_no_terminal(write: Callable[[Inspection], str]) -> None:
    text = write(INSPECTIONS[1])
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text) is None
    assert "PRIVATE KEY\\u{1b}" in text
    assert "spiffe://x/\\u{7}" in text


def test_every_fact_of_a_certificate_is_told() -> None:
    text = inspect_forms.text(INSPECTIONS[0])
    leaf, ca = LEAF.certificate, CA.certificate
    for told in (
        "tls.crt: chain of 2 certificates",
        f"1  leaf  {leaf.uris[0]}",
        f"serial      {leaf.serial:x}",
        f"SHA-256     {leaf.sha256}",
        "valid       2026-11-24T11:59:50Z to 2026-11-24T13:00:00Z, 60m left",
        "key         EC secp256r1, signed with sha256",
        "(critical); for TLS server, TLS client",
        "link        signed by certificate 2",
        "2  CA  SPIRE CA",
        "yes, any number of CAs below it (critical)",
        f"subject {ca.ski}, authority {ca.aki}",
        "link        signed by an anchor of its bundle",
        "link        self-signed",
    ):
        assert told in text


def test_what_is_odd_is_told_too() -> None:
    text = inspect_forms.text(INSPECTIONS[2])
    for told in (
        "not valid for another 60m",
        "at most 0 CAs below it",
        "for TLS server\n",
        "signed by certificate 2, but its authority key id is not that one's",
    ):
        assert told in text
    assert "no key usage" in inspect_forms.text(INSPECTIONS[1])


def test_short_has_one_line_a_certificate() -> None:
    lines = inspect_forms.short(INSPECTIONS[0]).splitlines()
    assert len(lines) == 1 + 3 + 2
    assert lines[2].startswith("  1  leaf  spiffe://example.org/ns/bookinfo")


def test_pem_is_the_chain_and_where_there_is_none_the_bundle(tmp_path: Path) -> None:
    assert inspect_forms.pem(INSPECTIONS[0]).encode() == CHAIN
    assert [one.sha256 for one in read_chain(inspect_forms.pem(INSPECTIONS[2]).encode())][1] == ROOT.certificate.sha256


@pytest.mark.parametrize("form", ["text", "short", "json", "pem"])
def test_a_key_in_a_file_is_never_shown(tmp_path: Path, form: str) -> None:
    path = tmp_path / "both.pem"
    path.write_bytes(made.pem(LEAF) + LEAF.key_pem)
    result = run(str(path), "-o", form)
    assert result.exit_code == 0
    body = LEAF.key_pem.decode().splitlines()[1]
    assert body not in result.output
    assert form == "pem" or "PRIVATE KEY" in result.output


def test_standard_input_is_read() -> None:
    result = run("-", "-o", "short", given=CHAIN)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "standard input")


def test_a_damaged_block_is_shown_with_the_rest_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "cut.pem"
    path.write_bytes(CHAIN[:-30])
    result = run(str(path), "-o", "json")
    assert len(json.loads(result.stdout)["parts"][0]["certificates"]) == 1
    assert isinstance(result.exception, UsageError)
    assert result.exception.code == "MPK-380"


def test_a_file_whose_name_could_be_a_pods_says_what_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reviews").write_bytes(CHAIN)
    monkeypatch.chdir(tmp_path)
    result = run("reviews", "-o", "short")
    assert "reading the file reviews; -n NAMESPACE would mean pod/reviews" in result.stderr


def test_help_says_what_becomes_of_a_secret() -> None:
    text = run("--help").stdout
    assert "keeps its certificates alone and drops the rest at once" in text
    assert "Exit codes: 0 shown, 2 no certificate" in text


@pytest.mark.parametrize(
    ("command", "kind"),
    [("status", "StatusReport"), ("certs", "CertificateList"), ("inspect", "Inspection")],
)
def test_each_document_gives_its_schema_and_asks_no_cluster(command: str, kind: str) -> None:
    result = CliRunner().invoke(app, [command, "--schema"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["properties"]["kind"] == {"const": kind}
