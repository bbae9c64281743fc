"""Release files of upstream, pinned by version, URL and SHA-256: from a directory, the cache or a download.

They are checked before the first write to any cluster; a file that differs from its pin is never used.
"""

import hashlib
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from importlib import resources
from pathlib import Path

import platformdirs

from meshpki import downloads
from meshpki.cluster.silence import why
from meshpki.downloads import HEARTBEAT, DownloadError, Told, unheard
from meshpki.errors import PreconditionError
from meshpki.settings import Settings

_LIMIT = 256 * 1024 * 1024

_POLICY_CRD = "approver-policy-crd"
_CRDS = ("clusterfederatedtrustdomains", "clusterspiffeids", "clusterstaticentries")


@dataclass(frozen=True)
class Artifact:
    """One release file: the name it is kept under, its version, where upstream publishes it, its pin (hex or empty)."""

    name: str
    version: str
    url: str
    sha256: str


class State(StrEnum):
    """How a file that lies somewhere compares with its pin."""

    AS_PINNED = "as pinned"
    DIFFERS = "differs"
    MISSING = "missing"
    UNPINNED = "no pin"


@dataclass(frozen=True)
class Releases:
    """The files of every component, each checked against its pin."""

    cert_manager: Path
    istioctl: Path
    spire_crds: tuple[Path, ...]
    policy_crds: tuple[Path, ...] = ()
    istioctl_sha256: str = ""


# no release file at all: steps made with it know only what meshpki itself writes
NONE = Releases(Path(os.devnull), Path(os.devnull), ())


def wanted(settings: Settings) -> tuple[Artifact, ...]:
    """Every file that an installation with these settings needs; the user's pins go before ours."""
    pins = {**_published_pins(), **settings.artifacts.pins}
    return tuple(Artifact(name, version, url, pins.get(name, "")) for name, version, url in _published(settings))


def _published(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Name, version and URL of each file: cert-manager's first, then istioctl's, then the CRDs."""
    versions, github = settings.versions, "https://github.com"
    cert_manager, istio, approver = versions.cert_manager, versions.istio, versions.approver_policy
    manager = f"v{versions.spire_controller_manager}"
    released = f"{github}/cert-manager/cert-manager/releases/download/{cert_manager}"
    yield f"cert-manager-{cert_manager}.yaml", cert_manager, f"{released}/cert-manager.yaml"
    archive = f"istioctl-{istio}-linux-amd64.tar.gz"
    yield archive, istio, f"{github}/istio/istio/releases/download/{istio}/{archive}"
    crds = f"{github}/spiffe/spire-controller-manager/raw/{manager}/config/crd/bases"
    for kind in _CRDS:
        yield f"spire-crd-{kind}-{manager}.yaml", manager, f"{crds}/spire.spiffe.io_{kind}.yaml"
    if settings.approval.policy:
        policies = f"{github}/cert-manager/approver-policy/raw/{approver}/deploy/crds"
        crd = "policy.cert-manager.io_certificaterequestpolicies.yaml"
        yield f"{_POLICY_CRD}-{approver}.yaml", approver, f"{policies}/{crd}"


def _published_pins() -> dict[str, str]:
    text = resources.files("meshpki").joinpath("pins.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["sha256"])


def obtain(
    settings: Settings,
    directory: Path | None = None,
    *,
    download: bool = True,
    told: Told = unheard,
    every: timedelta = HEARTBEAT,
) -> Releases:
    """The files, each checked; `directory` goes before the settings' own, and with either nothing is downloaded.

    That each has a pin is seen before any is looked for. Without `download` what is not in the cache is missing; `told`
    hears of each download before it begins, and how far it is at `every` beat.

    Raises PreconditionError: MPK-050 missing, 051 digest differs, 052 no pin, 053 download failed.
    """
    chosen = _chosen(settings, directory)
    check_pins(settings)
    found = [_checked(one, _place(one, chosen, settings, told, every, download=download)) for one in wanted(settings)]
    policies = tuple(path for path in found if path.name.startswith(_POLICY_CRD))
    spire = tuple(path for path in found[2:] if path not in policies)
    return Releases(found[0], found[1], spire, policies, istioctl_sha256=wanted(settings)[1].sha256)


@dataclass(frozen=True)
class Kept:
    """One release file as it lies on this machine: its path and SHA-256 (hex), both empty where it is not there."""

    artifact: Artifact
    path: Path | None = None
    digest: str = ""

    @property
    def state(self) -> State:
        """How it compares with its pin."""
        if self.path is None:
            return State.MISSING
        if not self.artifact.sha256:
            return State.UNPINNED
        return State.AS_PINNED if self.digest == self.artifact.sha256 else State.DIFFERS


def kept(settings: Settings, directory: Path | None = None) -> tuple[Kept, ...]:
    """Every file as it lies in a directory, else in the settings' own or the cache; nothing is refused."""
    chosen = _chosen(settings, directory)
    return tuple(_kept(one, chosen / one.name if chosen else _cached(one)) for one in wanted(settings))


def fetch(settings: Settings, directory: Path, told: Told = unheard) -> tuple[Kept, ...]:
    """Bring every pinned file into a directory, whole or not at all; one that lies there as pinned stays untouched.

    Raises PreconditionError as `obtain`; a file without a pin is refused before anything is downloaded (MPK-052).
    """
    check_pins(settings)
    directory.mkdir(parents=True, exist_ok=True)
    for one in kept(settings, directory):
        if one.state is not State.AS_PINNED:
            _copy(_checked(one.artifact, _place(one.artifact, None, settings, told)), directory)
    return kept(settings, directory)


def _kept(artifact: Artifact, path: Path) -> Kept:
    return Kept(artifact, path, _digest(path)) if path.is_file() else Kept(artifact)


def _copy(path: Path, directory: Path) -> None:
    with tempfile.TemporaryDirectory(dir=directory, prefix=".meshpki-") as folder:
        part = Path(folder, path.name)
        shutil.copyfile(path, part)
        part.replace(directory / path.name)


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _cached(artifact: Artifact) -> Path:
    return Path(platformdirs.user_cache_dir("meshpki")) / "artifacts" / artifact.sha256 / artifact.name


def check_pins(settings: Settings) -> None:
    """Raise PreconditionError (MPK-052) where a file that these settings need has no pin; nothing is looked at."""
    _pinned(*wanted(settings))


def _pinned(*artifacts: Artifact) -> None:
    bare = [one for one in artifacts if not one.sha256]
    if bare:
        names, pins = ", ".join(one.name for one in bare), ", ".join(f"{one.name}: <hex>" for one in bare)
        what = f"{names} has no pin" if len(bare) == 1 else f"these have no pin: {names}"
        remedy = f"give the SHA-256 that you trust in the settings: `artifacts: {{pins: {{{pins}}}}}`"
        raise PreconditionError("MPK-052", what, where=bare[0].url, remedy=remedy)


def with_images(settings: Settings, directory: Path | None = None, told: Told = unheard) -> Releases:
    """The one file that names images, checked; steps made with it lack CRDs and istioctl. Errors as `obtain`."""
    first, chosen = wanted(settings)[0], _chosen(settings, directory)
    return replace(NONE, cert_manager=_checked(first, _place(first, chosen, settings, told)))


def _chosen(settings: Settings, directory: Path | None) -> Path | None:
    """The directory that is named, else the settings' own, else none."""
    return directory or (Path(settings.artifacts.directory) if settings.artifacts.directory else None)


def _place(
    artifact: Artifact,
    directory: Path | None,
    settings: Settings,
    told: Told,
    every: timedelta = HEARTBEAT,
    *,
    download: bool = True,
) -> Path:
    _pinned(artifact)
    if directory is not None:
        path = directory / artifact.name
        if not path.is_file():
            remedy = f"put it there; upstream publishes it at {artifact.url}"
            raise PreconditionError(
                "MPK-050", f"{artifact.name} is not in the directory", where=str(path), remedy=remedy
            )
        return path
    cached = _cached(artifact)
    if not cached.is_file():
        if not download:
            raise PreconditionError("MPK-050", f"{artifact.name} is not in the cache", where=str(cached))
        told(f"downloading {artifact.url}")
        _download(artifact, cached, settings, told, every)
    return cached


def _checked(artifact: Artifact, path: Path) -> Path:
    digest = _digest(path)
    if digest != artifact.sha256:
        what = f"{artifact.name} has SHA-256 {digest}, but {artifact.sha256} is pinned"
        raise PreconditionError(
            "MPK-051", what, where=str(path), remedy="take the file from upstream again, or correct the pin"
        )
    return path


def _download(artifact: Artifact, target: Path, settings: Settings, told: Told, every: timedelta) -> None:
    """Into the cache, whole and as pinned or not at all: what a captive portal answers is never kept."""
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            part = Path(folder, artifact.name)
            downloads.download(artifact.url, part, settings.proxy, _LIMIT, told=told, every=every)
            _checked(artifact, part).replace(target)
    except (DownloadError, OSError) as error:
        what = f"{artifact.name} could not be downloaded: {error if isinstance(error, DownloadError) else why(error)}"
        remedy = "set proxy.https in the settings, or bring the file yourself with --artifact-dir"
        raise PreconditionError("MPK-053", what, where=artifact.url, remedy=remedy) from error
