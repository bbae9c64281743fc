"""A root of one's own: what real cert-manager says of CAs of every kind, and a whole mesh below one."""

import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from meshpki.cluster.kubernetes import KubernetesCluster
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.components import root_probe
from meshpki.components.existing_root import differs, secret_is_there
from meshpki.errors import StepError
from meshpki.lab.home import Home
from meshpki.lab.kubeadm import AUDIT_LOG
from meshpki.pki.request import throw_away
from meshpki.settings import Settings
from tests.conftest import Command
from tests.e2e.conftest import Audit, Mesh
from tests.e2e.shell import EXAMPLES, Shell, own_lab
from tests.support import certificates as made
from tests.support.certificates import Issued
from tests.support.existing import CORPORATE, ISSUING, wish

pytestmark = pytest.mark.lab

EXAMPLE = EXAMPLES / "02-existing-root"
OURS = ("meshpki/", "istioctl/")
# The Lease, and the two objects of the probe.
BEFORE_IT_IS_KEPT = re.compile(r"/leases(/meshpki)?(\?|$)|/(clusterissuers|certificaterequests)/meshpki-root-probe")
TOP, RSA_TOP = made.root(CORPORATE), made.root(CORPORATE.but(key="RSA-2048"))
CA, RSA_CA, OTHER = TOP.issue(ISSUING), RSA_TOP.issue(ISSUING.but(key="RSA-3072")), made.root(CORPORATE).issue(ISSUING)
LOW = CA.issue(ISSUING.but(subject=((NameOID.COMMON_NAME, "Lower CA"),), path_length=1))
FENCED = TOP.issue(ISSUING.but(constraints=x509.NameConstraints([x509.DNSName("corp.example")], None)))
SERVER = TOP.issue(ISSUING.but(ca=False, key_usages=("digital_signature",)))


@dataclass(frozen=True)
class Case:
    """What the Secret holds (certificates, then the key), beside the chain that the user gives; and the code."""

    name: str
    held: tuple[Issued, ...]
    given: tuple[Issued, ...]
    code: str = ""
    key: Issued | None = None
    ca: Issued | None = None


CASES = (
    Case("an EC intermediate with its root", (CA, TOP), (CA, TOP)),
    Case("an RSA intermediate with its root", (RSA_CA, RSA_TOP), (RSA_CA, RSA_TOP)),
    Case("an intermediate with its root in ca.crt", (CA,), (CA, TOP), ca=TOP),
    Case("a root alone", (TOP,), (TOP,)),
    Case("an RSA root alone", (RSA_TOP,), (RSA_TOP,)),
    Case("two intermediates", (LOW, CA, TOP), (LOW, CA, TOP)),
    Case("an intermediate without its root", (CA,), (CA, TOP), "MPK-282"),
    Case("a lower one of which the middle is missing", (LOW,), (LOW, CA, TOP), "MPK-282"),
    Case("another CA", (OTHER, *OTHER.chain), (CA, TOP), "MPK-281"),
    Case("the root where its intermediate is given", (TOP,), (CA, TOP), "MPK-281"),
    Case("another's key", (CA, TOP), (CA, TOP), "MPK-280", key=OTHER),
    Case("a server's certificate", (SERVER, TOP), (SERVER, TOP), "MPK-272"),
    Case("a CA that is fenced in", (FENCED, TOP), (FENCED, TOP), "MPK-278"),
)


@pytest.fixture
def placed(mesh: Mesh, lab_cluster: KubernetesCluster) -> Iterator[KubernetesCluster]:
    """A Secret for each case, by its number."""
    secrets = [_secret(number, case) for number, case in enumerate(CASES)]
    mesh.kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": secrets}))
    yield lab_cluster
    mesh.kubectl("-n", "cert-manager", "delete", "secret", "-l", "case")


def _secret(number: int, case: Case) -> Object:
    data = {"tls.crt": made.pem(*case.held), "tls.key": (case.key or case.held[0]).key_pem}
    data |= {"ca.crt": case.ca.pem} if case.ca else {}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": f"case-{number}", "namespace": "cert-manager", "labels": {"case": str(number)}},
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def settings(name: str) -> Settings:
    given = wish(CA, TOP)
    return replace(given, root=replace(given.root, existing=replace(given.root.existing, secret_name=name)))


def probed(cluster: KubernetesCluster, number: int, case: Case) -> str:
    """The code that the probe ends with; empty where it proves the given chain."""
    secret = Ref("v1", "Secret", "cert-manager", f"case-{number}")
    request = throw_away(root_probe.NAME, "spiffe://example.org", "istiod.istio-system.svc")
    try:
        answer = root_probe.ask(cluster, secret, request, threading.Event())
    except StepError as error:
        return error.code
    assert answer is not None
    found = differs(answer, made.read(*case.given), request, datetime.now(UTC))
    return found.code if found else ""


def leftovers(cluster: KubernetesCluster) -> list[str]:
    kinds = ("ClusterIssuer", "CertificateRequest")
    found: list[Object] = [one for kind in kinds for one in cluster.list(Query("cert-manager.io/v1", kind))]
    return [one["metadata"]["name"] for one in found if one["metadata"]["name"] == root_probe.NAME]


def test_the_probe_tells_every_kind_of_secret_apart_and_leaves_nothing(placed: KubernetesCluster, audit: Audit) -> None:
    assert secret_is_there(placed, settings("case-0"))
    assert not secret_is_there(placed, settings("cert-manager-webhook-ca"))  # of another type
    assert not secret_is_there(placed, settings("nobody"))
    seen = {case.name: probed(placed, number, case) for number, case in enumerate(CASES)}
    assert leftovers(placed) == []
    assert seen == {case.name: case.code for case in CASES}
    assert [path for path in audit.secrets_read("meshpki") if "type%3Dkubernetes.io" not in path] == []


def test_an_unfit_chain_and_a_mesh_under_another_root_are_refused_before_the_first_write(
    mesh: Mesh, meshpki: Command, audit: Audit, tmp_path: Path
) -> None:
    short = TOP.issue(ISSUING.but(path_length=0, not_after=datetime.now(UTC) + timedelta(days=9)))
    (tmp_path / "ca.pem").write_bytes(made.pem(short, TOP))
    own = tmp_path / "mesh.yaml"
    own.write_text(EXAMPLE.joinpath("meshpki.yaml").read_text().replace("./corporate-ca.pem", "ca.pem"))
    refused = meshpki("up", *mesh.where(), "-f", str(own), "--yes")
    assert refused.returncode == 4
    assert {"MPK-274", "MPK-276", "MPK-279", "MPK-286"} <= set(re.findall(r"MPK-\d+", refused.stderr))
    (tmp_path / "ca.pem").write_bytes(made.pem(CA, TOP) + CA.key_pem)
    key = meshpki("up", *mesh.where(), "-f", str(own), "--yes")
    assert (key.returncode, "MPK-270" in key.stderr) == (2, True)
    assert audit.persisted("meshpki") == []


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with own_lab("exi", EXAMPLE.name, tmp_path) as shell:
        yield shell


@pytest.mark.acceptance
def test_the_example_brings_a_mesh_up_below_an_own_ca_and_its_owner_renews_it(shell: Shell) -> None:
    began = time.monotonic()
    shell.readme(0)
    brought = shell.readme(1)
    told = [f"up {time.monotonic() - began:.0f} s"]
    assert "8 of 8 pods proven, 0 broken, 0 unknown" in brought
    assert "leaf > SPIRE CA > Example Mesh CA > Example Corporate Root" in brought
    assert "MPK-" not in shell.run(f"meshpki verify --context {shell.context} --authorities --strict -o wide")
    again = shell.run(shell.here("meshpki up --context NAME -f meshpki.yaml"))
    assert "0 created, 0 configured" in again
    assert "MPK-284" in shell.run(f"meshpki rotate root --context {shell.context} --yes", code=4)
    assert "its owner" in shell.run(f"meshpki status --context {shell.context}")
    _renewed_by_its_owner(shell)
    began = time.monotonic()
    shell.readme(2)
    told.append(f"renewed by its owner {time.monotonic() - began:.0f} s")
    proven = shell.run(f"meshpki verify --context {shell.context} --authorities -o wide")
    assert "leaf > SPIRE CA > Example Next CA > Example Corporate Root" in proven
    assert "8 of 8 pods proven, 0 broken, 0 unknown" in proven
    _removed_and_back(shell)
    print(", ".join(told))  # noqa: T201 - figures of a drill


def _removed_and_back(shell: Shell) -> None:
    """The Secret and the namespace that its owner made outlive the mesh, root and CRDs purged or not."""
    secret = "kubectl -n cert-manager get secret corporate-ca"
    shell.run(f"meshpki down --context {shell.context} --yes")
    shell.run(secret)
    again = shell.run(shell.here("meshpki up --context NAME -f meshpki.yaml"))
    assert "8 of 8 pods proven, 0 broken, 0 unknown" in again
    shell.run(f"meshpki down --context {shell.context} --yes --purge-ca")
    shell.run(secret)


def _renewed_by_its_owner(shell: Shell) -> None:
    """A new key and name below the same root, in the Secret and the file; in the file alone it is refused.

    All of it is done by somebody who has the printed role alone.
    """
    for line in (
        "openssl req -new -newkey rsa:3072 -nodes -keyout next.key -out next.csr -subj '/O=Example/CN=Example Next CA'",
        "openssl x509 -req -in next.csr -CA root.pem -CAkey root.key -days 900 -extfile corporate-ca.ext -out next.pem",
        "cat next.pem root.pem > corporate-ca.pem",
    ):
        shell.run(line)
    wish = "kubectl -n kube-system get configmap meshpki -o jsonpath='{.data}'"
    kept = shell.run(wish)
    audit = Audit(Home(shell.folder.parent / "lab").node_root(f"{shell.context}-1") / AUDIT_LOG.lstrip("/"))
    up = _as_an_installer(shell, "meshpki up --context NAME -f meshpki.yaml")
    assert "MPK-281" in shell.run(up, code=1)
    assert {one for one in audit.persisted(*OURS) if not BEFORE_IT_IS_KEPT.search(one)} == set()
    assert shell.run(wish) == kept
    shell.run(f"meshpki status --context {shell.context}")
    make = "kubectl -n cert-manager create secret tls corporate-ca --cert=corporate-ca.pem --key=next.key"
    shell.run(f"{make} --dry-run=client -o yaml | kubectl apply -f -")
    brought = shell.run(up)
    assert "8 of 8 pods proven, 0 broken, 0 unknown" in brought


def _as_an_installer(shell: Shell, line: str) -> str:
    """The same line for somebody who has the role that is printed for these settings, and no right besides."""
    for grant in (
        "kubectl create serviceaccount installer",
        "meshpki rbac install --subject serviceaccount:default/installer -f meshpki.yaml > roles.yaml",
        "kubectl apply -f roles.yaml",
        "kubectl config view --raw --flatten > installer.config",
        "kubectl --kubeconfig installer.config config set-credentials one --token $(kubectl create token installer)",
        "kubectl --kubeconfig installer.config config set-context --current --user one",
    ):
        shell.run(shell.here(grant))
    return f"{shell.here(line)} --kubeconfig installer.config"
