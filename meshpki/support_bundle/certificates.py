"""Every public certificate of the mesh, as verify sees them; whatever lies beside one is counted and left out."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from meshpki.cluster.client import Reader
from meshpki.cluster.envoy import Secrets
from meshpki.pki.certificate import Certificate, UnparsableError
from meshpki.pki.contents import read_contents
from meshpki.settings import Settings
from meshpki.settings.durations import moment
from meshpki.support_bundle.archive import Archive
from meshpki.verify import gather, survey
from meshpki.verify.observation import Kept, Observation, Served
from meshpki.verify.pods import MeshPod

WIDTH = 64


def add_control_plane(archive: Archive, reader: Reader, settings: Settings, at: datetime) -> None:
    """The pin, what istiod and spire-server serve, every bundle that is kept, and what CertificateRequests were given.

    `at` is this machine's clock just before (UTC).
    """
    seen = survey.observe(reader, settings, at, authorities=False)
    for name, text in sorted(_control_plane(seen)):
        archive.add(f"certificates/{name}.pem", text)
    for missing in seen.unseen:
        archive.lacks(missing.what, f"it needs {missing.needs}")
    places: list[Served | Kept] = [*seen.served, *seen.kept]
    for one in places:
        if one.error:
            archive.lacks(f"the certificates of {one.place}", str(one.error))


def _control_plane(seen: Observation) -> Iterator[tuple[str, str]]:
    if seen.pin:
        yield "pin", pem(seen.pin.roots)
    for served in seen.served:
        if served.chain:
            yield f"served/{served.place.ref.name}-{served.place.detail.removeprefix('port ')}", pem(served.chain)
    for kept in seen.kept:
        where = (kept.place.kind, kept.place.ref.namespace or kept.place.ref.name, kept.place.detail)
        yield f"kept/{'-'.join(filter(None, where))}", _public(kept)
    for signed in seen.signed or ():
        if signed.chain:
            yield f"requests/{signed.ref.namespace}/{signed.ref.name}", pem(signed.chain)


def add_envoys(archive: Archive, reader: Reader, pods: Iterable[MeshPod]) -> None:
    """The chain that each Envoy presents and the bundles that it trusts; its key stays where it is."""
    for pod, held in sorted(
        gather.secrets(reader, [*pods], WIDTH, lambda _done, _of: None), key=lambda one: one[0].ref
    ):
        if isinstance(held, Secrets):
            parts = [("presents", held.chain_pem), *((f"trusts {name}", one) for name, one in held.bundle_pem.items())]
            text = "".join(f"# {role}\n{public_pem(content)}" for role, content in parts)
            archive.add(f"certificates/envoys/{pod.ref.namespace}/{pod.ref.name}.pem", text)
        else:
            archive.lacks(f"the certificates of {pod.ref}", held.reason)


def pem(certificates: Iterable[Certificate]) -> str:
    """PEM blocks, each below its names and its end."""
    return "".join(map(_told, certificates))


def public_pem(content: bytes) -> str:
    """The certificates of PEM text alone, and in words what else lay among them."""
    try:
        found = read_contents(content)
    except UnparsableError as error:
        return f"# {error.what}\n"
    beside = [f"# left out: {one}\n" for one in (*found.others, *found.damaged)]
    return "".join([pem(found.certificates), *beside])


def _public(kept: Kept) -> str:
    return f"# {kept.error}\n" if kept.error else public_pem(kept.pem)


def _told(one: Certificate) -> str:
    names = f"# subject {one.subject!r} issuer {one.issuer!r} until {moment(one.not_after)}"
    return f"{names} sha256 {one.sha256}\n{one.pem.decode()}"
