"""Istio by `istioctl install`, and the proof that istiod serves our chain and the gateway holds a SPIRE identity."""

import base64
import threading
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cache
from http import HTTPStatus

from meshpki.cluster.client import Cluster, ClusterError, NoAccessError, Reader
from meshpki.cluster.manifest import Object, Query, only
from meshpki.cluster.overlay import overlaid
from meshpki.cluster.render import load, text
from meshpki.components.identity import data_since, unproven_pods
from meshpki.components.images import hub
from meshpki.components.istio_objects import MANAGER, pruned, stands
from meshpki.components.istioctl import Istioctl, claim, mark, marked, record, recorded, was_run
from meshpki.components.rollout import deployment, judge_rollout, pods_of
from meshpki.components.serving import Listener, pod_ref, unproven
from meshpki.components.spire import CSI_DRIVER
from meshpki.components.trust import Pin, issued, istiod_certificate, pinned
from meshpki.errors import MeshpkiError
from meshpki.pki.bundle import read_bundle
from meshpki.settings import Settings
from meshpki.workflow.apply import same
from meshpki.workflow.step import Applies, Failed, Gate, Program, Readiness, Ready, Step, Waiting

ISTIOD_PORTS = (15012, 15017)
GATEWAY = "istio-ingressgateway"
# What says no for a while: istiod until it has read its new templates, a new namespace until it has its account.
_FOR_NOW = ("sidecar-injector.istio.io", "error looking up service account")
# What istiod serves changes without any object changing.
_LOOK = timedelta(seconds=1)
WEBHOOKS = (
    Query("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    Query("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
)


def istio(settings: Settings, istioctl: Istioctl) -> Step:
    """The step of istiod and the ingress gateway. It runs beside SPIRE: only the gateway's gate waits for it."""
    names, namespace = settings.namespaces, settings.namespaces.istio
    return Step(
        name="istio",
        summary=f"Istio {settings.versions.istio}",
        needs=("istiod-ca",),
        programs=(_installer(operator(settings), istioctl),),
        gates=(
            Gate(
                name="istiod",
                proves="every istiod serves on 15012 and 15017 a chain through cacerts to the pinned root",
                check=lambda reader: judge_istiod(reader, settings),
                hint=f"look at `kubectl -n {namespace} logs deploy/istiod`",
                code="MPK-217",
                watches=(only(deployment(namespace, "istiod")),),
                every=_LOOK,
            ),
            Gate(
                name="injection",
                proves="the webhooks' caBundle is the pinned root, and a pod is injected with the spire template",
                check=lambda reader: judge_injection(reader, names.spire_system),
                hint=f"look at `kubectl -n {namespace} logs deploy/istiod` and the webhook configurations",
                code="MPK-217",
                watches=WEBHOOKS,
                every=_LOOK,
            ),
            Gate(
                name="gateway",
                proves="the ingress gateway's Envoy holds its SVID, under the pinned root",
                check=lambda reader: _gateway(reader, settings),
                hint=f"look at `kubectl -n {namespace} logs deploy/{GATEWAY}` and at step spire",
                code="MPK-218",
                watches=(only(deployment(namespace, GATEWAY)),),
                every=_LOOK,
                needs=("spire",),
            ),
        ),
    )


def _installer(wish: Object, istioctl: Istioctl) -> Program:
    """`istioctl install` of this IstioOperator; nothing to do where it was, or where others applied the same."""

    @cache
    def manifests() -> tuple[Object, ...]:
        return istioctl.manifests(wish)

    def settled(reader: Reader) -> bool:
        if recorded(reader, wish):
            return True
        return marked(reader, wish) and all(stands(reader, one, same) for one in manifests())

    made = threading.Event()

    def install(cluster: Cluster, stop: threading.Event) -> None:
        """An API server that is busy while the record is written costs no second run of istioctl."""
        if not made.is_set():
            claim(cluster)
            istioctl.install(wish, readiness_seconds=1800, stop=stop)
            if stop.is_set():
                return
            made.set()
        record(cluster, wish)
        made.clear()

    return Program(
        name="istioctl install",
        settled=settled,
        run=install,
        does="applies Istio's own manifests, and removes what it made before and needs no longer",
        applies=Applies(manifests, MANAGER, mark(wish), lambda reader: pruned(reader, manifests(), wish)),
        unfit=lambda reader: "" if was_run(reader, wish) else istioctl.unfit(),
        resumes=True,
        mends=True,
    )


def operator(settings: Settings) -> Object:
    """The IstioOperator: our template, then the user's overlay of its spec, merged last."""
    production = settings.preset == "production"
    names = settings.namespaces
    content = text(
        "istio/part-operator.yaml",
        namespace=names.istio,
        hub=hub(settings),
        version=settings.versions.istio,
        trust_domain=settings.trust_domain,
        cpu=settings.resources.cpu,
        memory=settings.resources.memory,
        replicas=max(settings.istio.replicas, 2) if production else settings.istio.replicas,
        gateway_replicas=2 if production else 1,
        injection_template=text("istio/part-injection.yaml"),
    )
    wish = load(content)[0]
    return {**wish, "spec": overlaid(wish["spec"], settings.istio.operator)}


def proxy_images(settings: Settings) -> tuple[str, ...]:
    """The images that istioctl's manifests name, and every sidecar: by the overlay's hub and tag where it has any."""
    spec = operator(settings)["spec"]
    return tuple(f"{spec['hub']}/{name}:{spec['tag']}" for name in ("pilot", "proxyv2"))


def judge_istiod(reader: Reader, settings: Settings) -> Readiness:
    """Whether every replica is up and serves, on both ports, a certificate that cacerts signed."""
    ref = deployment(settings.namespaces.istio, "istiod")
    match judge_rollout(reader, ref):
        case (Waiting() | Failed()) as shut:
            return shut
        case _:
            pass
    pin, (_, cacerts) = pinned(reader), issued(reader, istiod_certificate(settings))
    if pin is None or not cacerts:
        return Waiting("there is no pinned root, or no cacerts")
    name = f"istiod.{ref.namespace}.svc"
    pods = pods_of(reader, ref)
    if not pods:
        return Waiting("there is no pod of istiod")
    for pod in pods:
        for port in ISTIOD_PORTS:
            why = unproven(reader, Listener(pod_ref(pod), port, name), pin, through=cacerts[0].sha256)
            if why:
                return Waiting(why)
    return Ready(f"{len(pods)} istiod, 15012 and 15017 through cacerts to the pinned root")


def istiods(reader: Reader, settings: Settings) -> list[Object]:
    """The living pods of istiod."""
    return pods_of(reader, deployment(settings.namespaces.istio, "istiod"))


def judge_injection(reader: Reader, namespace: str) -> Readiness:
    """Whether Istio's webhooks trust the pinned root alone, and a dry-run pod comes back with the spire volume.

    The pod is tried in `namespace`, which lets every pod in, as one that gets its sidecar needs.
    """
    pin = pinned(reader)
    hooks = [hook for query in WEBHOOKS for item in reader.list(query) for hook in istio_hooks(item)]
    if pin is None or not hooks:
        return Waiting("no root is pinned yet" if pin is None else "there is no webhook of istiod yet")
    shut = _distrusting(hooks, pin) or _uninjected(reader, namespace)
    return shut or Ready(f"{len(hooks)} webhooks trust the pinned root, a pod is injected")


def _distrusting(hooks: Iterable[Object], pin: Pin) -> Waiting | None:
    """The first webhook whose callers would trust another root than the pinned one."""
    for hook in hooks:
        if _trusts(hook) != pin.fingerprints:
            return Waiting(f"webhook {hook['name']}: its caBundle is not the pinned root")
    return None


def _uninjected(reader: Reader, namespace: str) -> Waiting | Failed | None:
    """Why a new pod would not come with SPIRE's socket; None where it would."""
    try:
        pod = reader.dry_run(_probe(namespace))
    except NoAccessError:
        raise
    except ClusterError as error:
        told = f"a pod is not injected in namespace {namespace}: {error.what}"
        return Failed(told) if _denied_by_others(error) else Waiting(told)
    drivers = [volume.get("csi", {}).get("driver") for volume in pod["spec"].get("volumes", [])]
    if CSI_DRIVER not in drivers:
        return Waiting(f"a pod of namespace {namespace} comes back without the spire template")
    return None


def _denied_by_others(error: ClusterError) -> bool:
    """Whether an admission rule says no for good."""
    passing = error.transient or error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
    return not passing and not any(words in error.what for words in _FOR_NOW)


def istio_hooks(configuration: Object) -> list[Object]:
    """The webhooks of a configuration that is Istio's own, none of anybody else's."""
    labels = configuration["metadata"].get("labels", {})
    return list(configuration.get("webhooks", [])) if "istio.io/rev" in labels or labels.get("app") == "istiod" else []


def _trusts(hook: Mapping[str, object]) -> frozenset[str]:
    config = hook.get("clientConfig")
    encoded = config.get("caBundle", "") if isinstance(config, dict) else ""
    try:
        return read_bundle(base64.b64decode(encoded)).fingerprints
    except (MeshpkiError, ValueError):
        return frozenset()


def _probe(namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "meshpki-probe",
            "namespace": namespace,
            "labels": {"sidecar.istio.io/inject": "true"},
            "annotations": {"inject.istio.io/templates": "sidecar,spire"},
        },
        "spec": {"containers": [{"name": "probe", "image": "meshpki.invalid/probe:none"}]},
    }


def _gateway(reader: Reader, settings: Settings) -> Readiness:
    ref = deployment(settings.namespaces.istio, GATEWAY)
    match judge_rollout(reader, ref):
        case (Waiting() | Failed()) as shut:
            return shut
        case _:
            return unproven_pods(reader, settings, pods_of(reader, ref), data_since(reader, settings))
