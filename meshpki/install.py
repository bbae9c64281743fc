"""Install: from the user's wish to a plan of steps, and the plan's run."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from meshpki.artifacts import Releases
from meshpki.cluster.client import Clock, Cluster, Reader
from meshpki.cluster.manifest import Object, Ref, owned
from meshpki.cluster.render import load
from meshpki.components.approval import approval
from meshpki.components.cert_manager import cert_manager
from meshpki.components.existing_root import existing_root, prove_renewed
from meshpki.components.images import images, mirrored
from meshpki.components.istio import istio, proxy_images
from meshpki.components.istioctl import Istioctl
from meshpki.components.istiod_ca import istiod_ca
from meshpki.components.root_ca import issued_roots, root_ca
from meshpki.components.spire import spire
from meshpki.components.trust import STATE_NAMESPACE, pinned
from meshpki.components.workloads import workloads
from meshpki.errors import PreconditionError
from meshpki.settings import Artifacts, Settings, to_yaml
from meshpki.workflow.apply import apply
from meshpki.workflow.event import Applied, Event
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Step
from meshpki.workflow.work import Limits

WISH = Ref("v1", "ConfigMap", STATE_NAMESPACE, "meshpki")


@dataclass(frozen=True)
class Target:
    """How a child process reaches the same cluster: the kubeconfig (None for the user's own) and the context."""

    kubeconfig: Path | None = None
    context: str = ""


@dataclass(frozen=True)
class Row:
    """One step as it is listed before anything is read."""

    name: str
    needs: tuple[str, ...]
    proves: str


OUTLINE = (
    Row("cert-manager", (), "cert-manager runs, and its webhook lets valid Certificates through and refuses others"),
    Row("root-ca", ("cert-manager",), "the trust anchor is issued, fit, and pinned by its SHA-256"),
    Row("istiod-ca", ("root-ca",), "istiod's intermediate CA is issued below the pinned root"),
    Row("spire", ("root-ca",), "SPIRE's CA lies under the pinned root, an agent is attested on every node"),
    Row("istio", ("istiod-ca",), "istiod serves our chain, the webhooks trust it, the gateway holds its SVID"),
    Row("workloads", ("spire", "istio/injection"), "Bookinfo answers through mTLS, every Envoy has its identity"),
)

# There where the settings ask for it, before the root is issued.
APPROVAL = Row("approval", ("cert-manager",), "with approval.policy: a CA that is not the mesh's own is denied")
_FIRST, *_REST = OUTLINE
EVERY = (_FIRST, APPROVAL, *_REST)


def steps(settings: Settings, releases: Releases, target: Target, generation: int = 1) -> tuple[Step, ...]:
    """The steps of an installation in their order; `generation` is that of the root the mesh lives under."""
    where, version = (target.kubeconfig, target.context), settings.versions.istio
    istioctl = Istioctl(releases.istioctl, *where, sha256=releases.istioctl_sha256, version=version)
    crds = tuple(crd for path in releases.spire_crds for crd in load(path.read_bytes()))
    planned = (
        cert_manager(settings, load(releases.cert_manager.read_bytes())),
        *_policed(settings, releases, existing_root(settings) if _brought(settings) else root_ca(settings, generation)),
        istiod_ca(settings),
        spire(settings, crds),
        istio(settings, istioctl),
    )
    every = (*planned, workloads(settings)) if settings.workloads.enabled else planned
    return tuple(mirrored(step, settings.images.mirror) for step in every)


def _brought(settings: Settings) -> bool:
    return bool(settings.root.existing.secret_name)


def _policed(settings: Settings, releases: Releases, root: Step) -> tuple[Step, ...]:
    """The root's step, and before it the one of approval policies where the settings ask for them."""
    if not settings.approval.policy:
        return (root,)
    crds = tuple(crd for path in releases.policy_crds for crd in load(path.read_bytes()))
    before = approval(settings, crds)
    return before, replace(root, needs=(*root.needs, before.name))


def pulled(settings: Settings, releases: Releases) -> dict[str, list[str]]:
    """Every image that an installation pulls, with the steps that name it; istioctl's manifests name the hub's two."""
    found: dict[str, list[str]] = {}
    for step in steps(settings, releases, Target()):
        named = images(step.objects)
        if step.name == "istio":
            named = proxy_images(settings)
        for image in named:
            found.setdefault(image, []).append(step.name)
    return dict(sorted(found.items()))


def generation(reader: Reader, settings: Settings) -> int:
    """The root's generation that the cluster is pinned to; 1 on a new one, and after a rotation it stays the newest.

    Without a pin it is the one that `root.fingerprint` names, where there is such a one: to be pinned again.
    """
    pin = pinned(reader)
    if pin is not None:
        return pin.generation
    wanted = settings.root.fingerprint
    known = issued_roots(reader, settings) if wanted and not _brought(settings) else {}
    return next((number for number, sha256 in known.items() if sha256 == wanted), 1)


def install(plan: Plan, settings: Settings, cluster: Cluster, clock: Clock, limits: Limits) -> Generator[Event]:
    """Keep the wish in the cluster, then run the plan; events and errors as `workflow.run.run`.

    Of a mesh below an existing CA a chain that is refused is not kept: the mesh goes on under the one before.
    """
    events = run(plan, cluster, clock, limits)  # refuses before anything is written
    prove_renewed(cluster, settings)
    wish = owned(wish_manifest(settings), "settings")
    yield Applied("settings", WISH, apply(cluster, wish))
    yield from events


def kept_wish(reader: Reader) -> str:
    """The settings that the last `up` kept in the cluster, as YAML; empty where there are none.

    Raises PreconditionError (MPK-376) where there is a ConfigMap for them, and they are not in it.
    """
    stored = reader.get(WISH)
    if stored is None:
        return ""
    kept = (stored.get("data") or {}).get("meshpki.yaml")
    if not kept:
        remedy = "see `meshpki explain MPK-376`"
        raise PreconditionError("MPK-376", "the settings are missing from it", where=str(WISH), remedy=remedy)
    return str(kept)


def wish_manifest(settings: Settings) -> Object:
    """The ConfigMap of the effective settings, without the folder of artefacts, which is this machine's alone."""
    shared = replace(settings, artifacts=Artifacts(pins=settings.artifacts.pins))
    return {
        "apiVersion": WISH.api_version,
        "kind": WISH.kind,
        "metadata": {"name": WISH.name, "namespace": WISH.namespace},
        "data": {"meshpki.yaml": to_yaml(shared)},
    }
