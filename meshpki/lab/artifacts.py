"""Upstream's release artefacts, made from the pinned modules: what a user's --artifact-dir holds."""

import gzip
import hashlib
import io
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from meshpki.lab import child
from meshpki.lab.archive import add
from meshpki.lab.store import fingerprint, keep
from meshpki.lab.versions import APPROVER_POLICY, CERT_MANAGER, ISTIO, SPIRE_CONTROLLER_MANAGER

CRDS = ("clusterfederatedtrustdomains", "clusterspiffeids", "clusterstaticentries")
LICENSE_YEAR = "2022"  # make/licenses.mk
_DOCUMENT_END = re.compile(r"\n---")
_RECIPE = 2  # count up when the way a file is made changes


@dataclass(frozen=True, slots=True)
class Sources:
    """What the artefacts are made of: two binaries, and folders and files of upstream's modules."""

    helm: Path
    istioctl: Path
    chart: Path
    namespace: Path
    license: Path
    crds: Path
    policy_crd: Path


def place(cache: Path, sources: Sources) -> Path:
    """Where the directory is or will be."""
    paths = (sources.helm, sources.istioctl, sources.chart, sources.crds, sources.policy_crd)
    return cache / "artifacts" / fingerprint([str(_RECIPE), *map(str, paths)])


def make(target: Path, sources: Sources) -> None:
    """Fill the artefact directory; raises LabError MPK-520 where helm fails."""
    keep(target, lambda work: _make(work, sources))


def _make(work: Path, sources: Sources) -> None:
    name = f"cert-manager-{CERT_MANAGER}.yaml"
    (work / name).write_text(release_manifest(sources))
    with (work / f"istioctl-{ISTIO}-linux-amd64.tar.gz").open("wb") as archive:
        archive.write(tarball("istioctl", sources.istioctl.read_bytes()))
    for plural in CRDS:
        copy = work / f"spire-crd-{plural}-v{SPIRE_CONTROLLER_MANAGER}.yaml"
        shutil.copyfile(sources.crds / f"spire.spiffe.io_{plural}.yaml", copy)
    shutil.copyfile(sources.policy_crd, work / f"approver-policy-crd-{APPROVER_POLICY}.yaml")


def pins(directory: Path) -> Mapping[str, str]:
    """The SHA-256 (hex) of every artefact, by file name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}


def release_manifest(sources: Sources) -> str:
    """cert-manager.yaml as make/manifests.mk and hack/concat-yaml.sh make it for a release."""
    crds = custom_resource_definitions(template(sources, "crds.enabled=true"))
    parts = (sources.namespace.read_text(), crds, template(sources))
    return sources.license.read_text().replace("YEAR", LICENSE_YEAR) + "\n---\n".join(parts)


def template(sources: Sources, *values: str) -> str:
    """The chart rendered as for a release, without the separator that helm writes first."""
    settings = (*values, "creator=static", "startupapicheck.enabled=false")
    fixed = ("--kube-version=1.29.0", "--api-versions=", "--namespace=cert-manager")
    with chart(sources) as folder:
        values = tuple(f"--set={one}" for one in settings)
        said = child.run((str(sources.helm), "template", *fixed, *values, "cert-manager", str(folder)))
    return said.removeprefix("---\n")


@contextmanager
def chart(sources: Sources) -> Iterator[Path]:
    """The chart with the release's version in it, as `helm package` writes it."""
    with tempfile.TemporaryDirectory(prefix="meshpki-") as scratch:
        folder = Path(scratch, "cert-manager")
        shutil.copytree(sources.chart, folder)
        description = folder / "Chart.yaml"
        description.write_text(description.read_text().replace("v0.0.0", CERT_MANAGER))
        yield folder


def custom_resource_definitions(rendered: str) -> str:
    """The CRDs among rendered documents, as hack/extractcrd prints them."""
    documents = (document.removeprefix("---").strip() for document in _DOCUMENT_END.split(rendered))
    return "---\n".join(f"{one}\n" for one in documents if "\nkind: CustomResourceDefinition\n" in f"\n{one}\n")


def tarball(name: str, content: bytes) -> bytes:
    """A tar.gz with one executable: the same bytes for the same content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        add(archive, name, io.BytesIO(content), len(content), 0o755)
    return gzip.compress(packed.getvalue(), compresslevel=1, mtime=0)
