"""Everything the native lab is made of, built or kept: binaries, image archives, upstream artefacts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meshpki.lab.progress import Report


@dataclass(frozen=True, slots=True)
class Parts:
    """Paths of what was prepared; `pins` are the artefacts' SHA-256 digests (hex) by file name.

    `binaries` holds the host's programs by name: kubeadm, kubelet, kubectl, istioctl, helm. `images` are
    docker-archives, one image each, for `ctr images import`.
    """

    binaries: Mapping[str, Path]
    images: tuple[Path, ...]
    artifacts: Path
    pins: Mapping[str, str]


def prepare(cache: Path, report: Report) -> Parts:
    """Build what `cache` does not hold yet and say where everything is."""
    raise NotImplementedError((cache, report))
