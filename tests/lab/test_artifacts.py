import gzip
import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from meshpki.lab.artifacts import Sources, chart, custom_resource_definitions, pins, place, tarball
from meshpki.lab.versions import CERT_MANAGER

RENDERED = """\
---
# Source: cert-manager/templates/serviceaccount.yaml
apiVersion: v1
kind: ServiceAccount
metadata:
  name: cert-manager
---
# Source: cert-manager/templates/crd-acme.cert-manager.io_orders.yaml
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: orders.acme.cert-manager.io
spec:
  names:
    kind: Order
---
# a document that only mentions one
apiVersion: v1
kind: ConfigMap
data:
  text: |
    kind: CustomResourceDefinition
---
kind: CustomResourceDefinition
metadata:
  name: issuers.cert-manager.io
"""


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    folder = tmp_path / "chart"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("name: cert-manager\nversion: v0.0.0\nappVersion: v0.0.0\n")
    (folder / "templates" / "a.yaml").write_text("kind: ConfigMap\n")
    paths = {name: tmp_path / name for name in ("helm", "istioctl", "namespace", "license", "crds", "policy_crd")}
    return Sources(chart=folder, **paths)


def test_only_custom_resource_definitions_are_kept_of_what_helm_renders() -> None:
    kept = list(yaml.safe_load_all(custom_resource_definitions(RENDERED)))
    assert [(one["kind"], one["metadata"]["name"]) for one in kept] == [
        ("CustomResourceDefinition", "orders.acme.cert-manager.io"),
        ("CustomResourceDefinition", "issuers.cert-manager.io"),
    ]


def test_nothing_is_kept_where_there_is_no_custom_resource_definition() -> None:
    assert custom_resource_definitions("---\napiVersion: v1\nkind: Secret\n") == ""


def test_a_tarball_holds_one_executable_and_has_the_same_bytes_for_the_same_content() -> None:
    packed = tarball("istioctl", b"binary")
    assert packed[4:8] == bytes(4)  # RFC 1952: MTIME
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as archive:
        (member,) = archive.getmembers()
        stream = archive.extractfile(member)
        content = stream.read() if stream else b""
    assert (member.name, member.mode, member.mtime, content) == ("istioctl", 0o755, 0, b"binary")


def test_a_tarball_of_another_content_has_other_bytes() -> None:
    assert tarball("istioctl", b"binary") != tarball("istioctl", b"Binary")


def test_the_pins_are_the_digests_of_all_files(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.tar.gz"):
        (tmp_path / name).write_text(name)
    assert list(pins(tmp_path).items()) == [
        (name, hashlib.sha256(name.encode()).hexdigest()) for name in ("a.tar.gz", "b.yaml")
    ]


def test_the_chart_carries_the_releases_version_and_the_module_stays_as_it_is(sources: Sources) -> None:
    with chart(sources) as folder:
        packaged = (folder / "Chart.yaml").read_text()
        assert (folder / "templates" / "a.yaml").is_file()
    assert packaged == f"name: cert-manager\nversion: {CERT_MANAGER}\nappVersion: {CERT_MANAGER}\n"
    assert "v0.0.0" in (sources.chart / "Chart.yaml").read_text()
    assert not folder.exists()


@pytest.mark.parametrize("changed", ["helm", "istioctl", "chart", "crds"])
def test_artefacts_made_of_other_parts_have_another_place(sources: Sources, tmp_path: Path, changed: str) -> None:
    other = replace(sources, **{changed: tmp_path / "elsewhere"})
    assert place(tmp_path, other) != place(tmp_path, sources)
    assert place(tmp_path, sources).parent == tmp_path / "artifacts"
