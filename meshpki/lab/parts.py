"""Everything the native lab is made of, built or kept: binaries, image archives, upstream artefacts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from meshpki.lab import approver_policy, artifacts, assembly, builds, envoy
from meshpki.lab.builds import Build
from meshpki.lab.progress import Progress, Report
from meshpki.lab.store import require_space, sole_builder
from meshpki.lab.story import timed

# modules 5.2 and what is kept 2.7, measured; Go's build cache, put at 8
GIGABYTES_AT_FIRST = 16
GIGABYTES_AGAIN = 6


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
    """Build what `cache` does not hold yet and say where everything is.

    Raises PreconditionError MPK-511, 512 or 514 for what this machine lacks, LabError where a build fails.
    """
    built = builds.plan(cache)
    with sole_builder(cache):
        if not all(one.done for one in built):
            require_space(cache, GIGABYTES_AGAIN if any(one.done for one in built) else GIGABYTES_AT_FIRST)
        for one in built:
            log = cache / "log" / f"{one.recipe.name}.log"
            _make(report, f"build {one.recipe.name}", done=one.done, make=partial(builds.build, one, log), log=log)
        binary = envoy.place(cache)
        _make(report, "fetch envoy", done=binary.is_file(), make=partial(envoy.fetch, binary))
        files = _files(built, binary)
        crd = approver_policy.crd(cache)
        _make(report, "fetch CRD of approver-policy", done=crd.is_file(), make=partial(approver_policy.fetch_crd, crd))
        for image in assembly.plan(cache, files):
            _make(report, f"image {image.image.name}", done=image.done, make=partial(assembly.assemble, image, files))
        sources = _sources(built, files, crd)
        directory = artifacts.place(cache, sources)
        _make(report, "release files", done=directory.is_dir(), make=partial(artifacts.make, directory, sources))
    archives = tuple(image.archive for image in assembly.plan(cache, files))
    return Parts(files, archives, directory, artifacts.pins(directory))


def approver(cache: Path, report: Report) -> Path:
    """The docker-archive of approver-policy, which is built where it is not kept yet; raises as `prepare`."""
    one = builds.place(cache, approver_policy.RECIPE, builds.go_version())
    with sole_builder(cache):
        if not one.done:
            require_space(cache, GIGABYTES_AGAIN)
        log = cache / "log" / f"{one.recipe.name}.log"
        _make(report, f"build {one.recipe.name}", done=one.done, make=partial(builds.build, one, log), log=log)
        files = one.binaries()
        image = assembly.place(cache, approver_policy.IMAGE, files)
        _make(report, f"image {image.image.name}", done=image.done, make=partial(assembly.assemble, image, files))
    return image.archive


def _make(report: Report, what: str, *, done: bool, make: Callable[[], None], log: Path | None = None) -> None:
    if done:
        report(Progress(what, "kept"))
        return
    with timed(report, what, log):
        make()


def _files(built: Iterable[Build], binary: Path) -> dict[str, Path]:
    """Everything that was built or fetched, by the name that images know it by."""
    found = {name: path for one in built for name, path in one.binaries().items()}
    istio = next(one for one in built if one.recipe.name == "istio")
    return {**found, "envoy": binary, "envoy_bootstrap.json": istio.file("envoy_bootstrap.json")}


def _sources(built: Iterable[Build], files: Mapping[str, Path], crd: Path) -> artifacts.Sources:
    by_name = {one.recipe.name: one for one in built}
    cert_manager, spire = by_name["cert-manager"], by_name["spire-controller-manager"]
    return artifacts.Sources(
        helm=files["helm"],
        istioctl=files["istioctl"],
        chart=cert_manager.file("cert-manager"),
        namespace=cert_manager.file("namespace.yaml"),
        license=cert_manager.file("boilerplate-yaml.txt"),
        crds=spire.file("bases"),
        policy_crd=crd,
    )
