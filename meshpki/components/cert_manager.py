"""cert-manager from its own release file, and the proof that its webhook judges."""

from collections.abc import Sequence
from datetime import timedelta

from meshpki.cluster.client import ClusterError, Reader
from meshpki.cluster.manifest import Object, Query, Ref, only
from meshpki.cluster.readiness import holds
from meshpki.components.approval import WITHOUT_APPROVER
from meshpki.components.rollout import deployment, rollout
from meshpki.components.withdrawal import withdrawal
from meshpki.settings import Settings
from meshpki.workflow.step import Gate, Readiness, Ready, Step, Waiting

RELEASED_IN = "cert-manager"
DEPLOYMENTS = ("cert-manager", "cert-manager-cainjector", "cert-manager-webhook")
_DENIED = (400, 403, 422)

# cert-manager is built with Go >= 1.25, which makes SHA-256 key ids; SPIRE 1.15 looks its own CA up by SHA-1, and
# without this mints a new one at every restart. Seen: docs/decisions/0004.
SKI_IS_SHA1 = {"name": "GODEBUG", "value": "x509sha256skid=0"}


def cert_manager(settings: Settings, release: Sequence[Object]) -> Step:
    """The step of a release file's objects; `release` is what its YAML holds."""
    namespace, policed = settings.namespaces.cert_manager, settings.approval.policy
    arguments = (WITHOUT_APPROVER,) if policed else ()
    manifests = tuple(_adapted(_moved(manifest, namespace), arguments) for manifest in release)
    crds = [ref for ref in map(_crd, manifests) if ref is not None]
    return Step(
        name="cert-manager",
        summary=f"cert-manager {settings.versions.cert_manager}",
        manifests=manifests,
        gates=(
            _established(crds),
            rollout(
                "rollout",
                [deployment(namespace, name) for name in DEPLOYMENTS],
                "MPK-210",
                f"look at `kubectl -n {namespace} get pods` and their events",
            ),
            _webhook(namespace),
        ),
        programs=() if policed else (withdrawal(settings, after="webhook"),),
    )


def _crd(manifest: Object) -> Ref | None:
    if manifest["kind"] != "CustomResourceDefinition":
        return None
    return Ref(manifest["apiVersion"], manifest["kind"], "", manifest["metadata"]["name"])


def _moved(content: Object, namespace: str) -> Object:
    """The release file's objects in the namespace that the settings name; it is released for `cert-manager`."""
    if namespace == RELEASED_IN:
        return content
    moved: Object = _replaced(content, namespace)
    if content["kind"] == "Namespace":
        moved["metadata"]["name"] = namespace
    return moved


def _replaced(content: Object, namespace: str) -> Object:
    def value(key: str, found: object) -> object:
        match found:
            case dict():
                return _replaced(found, namespace)
            case list():
                return [value(key, item) for item in found]
            case str() if key == "namespace" and found == RELEASED_IN:
                return namespace
            case str() if key == "cert-manager.io/inject-ca-from-secret":
                return found.replace(f"{RELEASED_IN}/", f"{namespace}/", 1)
            case _:
                return found

    return {key: value(key, found) for key, found in content.items()}


def _adapted(manifest: Object, arguments: Sequence[str]) -> Object:
    """The controller with our environment and these arguments besides its own; anything else as it is."""
    if (manifest["kind"], manifest["metadata"]["name"]) != ("Deployment", "cert-manager"):
        return manifest
    pod = manifest["spec"]["template"]["spec"]
    containers = [
        {
            **item,
            "env": [*item.get("env", []), SKI_IS_SHA1],
            **({"args": [*item.get("args", []), *arguments]} if arguments else {}),
        }
        for item in pod["containers"]
    ]
    template = {**manifest["spec"]["template"], "spec": {**pod, "containers": containers}}
    return {**manifest, "spec": {**manifest["spec"], "template": template}}


def _established(crds: Sequence[Ref]) -> Gate:
    def check(reader: Reader) -> Readiness:
        missing = [ref.name for ref in crds if not holds(reader.get(ref) or {"metadata": {}}, "Established")]
        return Waiting(f"not established: {', '.join(missing)}") if missing else Ready(f"{len(crds)} CRDs")

    return Gate(
        name="crds",
        proves="cert-manager's kinds are served",
        check=check,
        hint="look at the conditions of `kubectl get crd`",
        code="MPK-210",
        watches=tuple(only(ref) for ref in crds),
    )


def _webhook(namespace: str) -> Gate:
    return Gate(
        name="webhook",
        proves="the webhook lets a valid Certificate through and refuses an invalid one",
        check=lambda reader: judge_webhook(reader, namespace),
        hint=f"look at `kubectl -n {namespace} logs deploy/cert-manager-webhook`",
        code="MPK-211",
        watches=(Query("discovery.k8s.io/v1", "EndpointSlice", namespace),),
        every=timedelta(seconds=0.5),
    )


def judge_webhook(reader: Reader, namespace: str) -> Readiness:
    """Two dry runs: a Certificate that has to pass, and one whose renewal lies before its life, which must not."""
    try:
        reader.dry_run(_certificate(namespace, renew_before="1h"))
    except ClusterError as error:
        return Waiting(f"a valid Certificate does not pass: {error.what}")
    try:
        reader.dry_run(_certificate(namespace, renew_before="3h"))
    except ClusterError as error:
        return Ready("webhook answered") if error.status in _DENIED else Waiting(error.what)
    return Waiting("an invalid Certificate passes: the webhook is not asked yet")


def _certificate(namespace: str, renew_before: str) -> Object:
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "meshpki-probe", "namespace": namespace},
        "spec": {
            "secretName": "meshpki-probe",
            "commonName": "meshpki-probe",
            "duration": "2h",
            "renewBefore": renew_before,
            "issuerRef": {"name": "meshpki-probe"},
        },
    }
