import json
import re
from importlib.resources import files

import pytest
from cryptography.x509.oid import NameOID
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from meshpki.cli.app import app
from meshpki.cli.certs import Form, Order, tell
from meshpki.cli.certs_forms import as_json, table, wide
from meshpki.cluster.manifest import Ref
from meshpki.errors import PreconditionError, UsageError
from meshpki.pki.renewal import Renewal
from meshpki.verify.expiry import Held, Kind, inventory
from meshpki.verify.places import Place, PlaceKind, PlaceVerdict
from meshpki.verify.pods import MeshPod, Workload
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict, WorkloadVerdict
from tests.support import certificates as made
from tests.support.certificates import AT, HOUR, TRUST_DOMAIN
from tests.support.mesh import mesh

ROOT, CA = made.mesh_root(), made.mesh_spire_ca()
LEAF = CA.issue(made.SVID)
HOSTILE = CA.issue(
    made.SVID.but(subject=((NameOID.COMMON_NAME, "a\x1b[31m"),), uris=("spiffe://example.org/ns/\x07x",), not_after=AT)
)
OWNER = Workload("bookinfo", "Deployment", "reviews-v1")
POD = MeshPod(Ref("v1", "Pod", "bookinfo", "reviews"), "1", OWNER, "sa", "node", True, True, True, "")
SCHEMA = json.loads(files("meshpki").joinpath("schemas/certificate-list.json").read_text(encoding="utf-8"))


def report(*leaves: made.Issued, silent: int = 0) -> Report:
    seen = [PodVerdict(POD, "proven", path=made.read(leaf, CA)) for leaf in leaves]
    seen += [PodVerdict(POD, "unknown", reason="no answer")] * silent
    return Report(AT, TRUST_DOMAIN, (ROOT.certificate,), (WorkloadVerdict(OWNER, tuple(seen)),))


def held(found: Report) -> tuple[Held, ...]:
    return inventory(found, {})


GOOD, BAD, SILENT = report(LEAF), report(LEAF, HOSTILE, silent=1), report(silent=2)


@pytest.mark.parametrize("found", [GOOD, BAD, SILENT], ids=["good", "hostile", "silent"])
def test_the_json_holds_to_its_schema(found: Report) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    content = json.loads(as_json(held(found), found))
    assert list(Draft202012Validator(SCHEMA).iter_errors(content)) == []
    assert not Draft202012Validator(SCHEMA).is_valid({**content, "more": 1})


def test_authorities_stand_before_leaves_and_a_row_tells_when_and_by_what_it_is_renewed() -> None:
    lines = table(held(GOOD), GOOD).splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "AUTHORITIES", "NAME", "SPIRE CA", "meshpki-root-g1", "", "LEAVES", "NAME", LEAF.certificate.uris[0],
    ]  # fmt: skip
    assert "in 19h, spire-server" in lines[2]
    assert "nothing by itself: meshpki rotate root" in lines[3]
    assert lines[7].split()[1:4] == ["SVID", "SPIRE", "CA"]
    assert "in 29m, SPIRE agent" in lines[7]


@pytest.mark.parametrize(
    ("renewal", "said"),
    [
        (Renewal("x", AT + HOUR), "in 60m, x"),
        (Renewal("x", AT), "due, x"),
        (Renewal("x", AT - 8 * HOUR), "overdue, x"),
        (Renewal("x"), "x"),
        (None, "not known"),
    ],
)
def test_a_renewal_is_in_time_due_or_overdue(renewal: Renewal | None, said: str) -> None:
    row = table((Held(CA.certificate, Kind.SPIRE_CA, ("here",), renewal),), GOOD).splitlines()[2]
    assert re.split("  +", row)[5:7] == [said, "here"]


def test_hostile_names_steer_no_terminal_and_an_expired_leaf_says_so() -> None:
    for text in (table(held(BAD), BAD), wide(held(BAD), BAD)):
        assert not {"\x1b", "\x07"} & set(text)
        assert "spiffe://example.org/ns/\\u{7}x" in text
    assert "overdue, SPIRE agent" in table(held(BAD), BAD)


def test_wide_adds_serial_fingerprint_and_key() -> None:
    row = wide(held(GOOD), GOOD).splitlines()[-1].split()
    assert row[-4:] == [f"{LEAF.certificate.serial:x}", LEAF.certificate.sha256, "EC", "secp256r1"]


@pytest.mark.parametrize("form", list(Form))
def test_pods_that_showed_nothing_are_counted_beside_the_list(capsys: pytest.CaptureFixture[str], form: Form) -> None:
    tell(mesh(), BAD, {}, form, Order.LEFT)
    written = capsys.readouterr()
    assert "1 of 3 pods showed no certificate" in written.err
    assert "spiffe://" in written.out


def test_where_nothing_but_the_pin_could_be_seen_the_list_is_written_and_an_error_follows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(PreconditionError, match="none of 2 pods"):
        tell(mesh(), SILENT, {}, Form.TABLE, Order.LEFT)
    assert "meshpki-root-g1" in capsys.readouterr().out


def test_a_place_of_the_control_plane_is_enough_to_list(capsys: pytest.CaptureFixture[str]) -> None:
    place = PlaceVerdict(Place(PlaceKind.SPIRE_SERVER, Ref("v1", "Pod", "spire", "s")), "proven", made.read(LEAF, CA))
    alone = Report(AT, TRUST_DOMAIN, (ROOT.certificate,), (), (place,))
    tell(mesh(), alone, {}, Form.JSON, Order.NAME)
    assert [one["kind"] for one in json.loads(capsys.readouterr().out)["leaves"]] == ["spire-server"]


def test_the_list_can_be_sorted_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    early = CA.issue(made.SVID.but(uris=("spiffe://example.org/ns/a/sa/a",)))
    tell(mesh(), report(LEAF, early), {}, Form.JSON, Order.NAME)
    names = [one["name"] for one in json.loads(capsys.readouterr().out)["leaves"]]
    assert names == sorted(names)


def test_one_namespace_and_all_of_them_exclude_each_other() -> None:
    result = CliRunner().invoke(app, ["certs", "-n", "a", "-A"])
    assert isinstance(result.exception, UsageError)
    assert result.exception.code == "MPK-356"
