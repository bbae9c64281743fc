"""approver-policy for the labs whose settings ask for it: its CRD is always at hand, its image is built on demand."""

import json
import subprocess
from pathlib import Path

from meshpki.errors import LabError
from meshpki.lab import builds
from meshpki.lab.archive import Config
from meshpki.lab.images import Built, Image
from meshpki.lab.recipes import Carried, Recipe
from meshpki.lab.store import fingerprint, keep
from meshpki.lab.versions import APPROVER_POLICY
from meshpki.leash import leashed

_MODULE = "github.com/cert-manager/approver-policy"
_FILE = "policy.cert-manager.io_certificaterequestpolicies.yaml"
_PATH = "/ko-app/cmd"  # as upstream's image, which ko makes of ./cmd

RECIPE = Recipe(
    "approver-policy",
    "approver-policy",
    (f"{_MODULE}/cmd",),
    "approver-policy",
    ((f"{_MODULE}/pkg/internal/version.AppVersion", APPROVER_POLICY),),
)
IMAGE = Image(
    f"quay.io/jetstack/cert-manager-approver-policy:{APPROVER_POLICY}",
    Config((_PATH,), user="65532:65532"),
    (Built("approver-policy", _PATH),),
)


def crd(cache: Path) -> Path:
    """Where the file of its CRD is or will be."""
    sums = (builds.MODULES / RECIPE.module / "go.sum").read_bytes()
    return cache / "files" / RECIPE.name / fingerprint([APPROVER_POLICY, sums]) / _FILE


def fetch_crd(target: Path) -> None:
    """Take the CRD out of its module, which alone is fetched for that; raises LabError MPK-510."""
    folder = downloaded()
    keep(target.parent, lambda work: builds.carry(Carried(_MODULE, f"deploy/crds/{_FILE}"), folder, work))


def downloaded() -> Path:
    """The module's folder in the module cache, fetched where it is not there yet; raises LabError MPK-510."""
    argv, folder = leashed(("go", "mod", "download", "-json", _MODULE)), builds.MODULES / RECIPE.module
    done = subprocess.run(argv, cwd=folder, env=builds.environment(), capture_output=True, check=False, text=True)
    if done.returncode:
        remedy = "modules come through GOPROXY (go env GOPROXY)"
        raise LabError("MPK-510", f"not to be had: {done.stderr.strip()}", where=_MODULE, remedy=remedy)
    return Path(json.loads(done.stdout)["Dir"])
