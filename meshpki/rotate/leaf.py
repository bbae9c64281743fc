"""A throw-away pod that has its certificate from istiod: the proof that the new CA signs, and that its leaf is good."""

import threading
from datetime import UTC, datetime, timedelta

from meshpki.cluster.client import Cluster, ClusterError, Reader
from meshpki.cluster.envoy import EnvoyError, secrets
from meshpki.cluster.manifest import Object, Ref, only, ours, owned
from meshpki.cluster.readiness import trouble
from meshpki.components.trust import issued, istiod_certificate, pinned
from meshpki.errors import PreconditionError
from meshpki.pki.certificate import UnparsableError, read_chain
from meshpki.pki.chain import proves
from meshpki.settings import Settings
from meshpki.workflow.apply import apply
from meshpki.workflow.step import Failed, Gate, Program, Readiness, Ready, Step, Waiting

NAMESPACE = Ref("v1", "Namespace", "", "meshpki-rotate")
POD = Ref("v1", "Pod", NAMESPACE.name, "leaf")
STEP = "leaf"
_LOOK = timedelta(seconds=1)
# What the Pod Security Standard of that name asks for; 1337 is the user of Istio's proxies.
_RESTRICTED: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 1337,
    "runAsGroup": 1337,
}
_POLL = 0.5
# The serial (hex) of the CA that the pod was born for.
_CA = "rotate.meshpki.dev/ca"


def place() -> Step:
    """The step that makes the namespace early, so that istiod's root lies there before the pod is born.

    What an earlier run left there is waited away: a namespace that is going takes no pod.
    """

    def settled(reader: Reader) -> bool:
        live = reader.get(NAMESPACE)
        return live is not None and ours(live) and "deletionTimestamp" not in live["metadata"]

    def run(cluster: Cluster, stop: threading.Event) -> None:
        free(cluster)
        while cluster.get(NAMESPACE) is not None and not stop.wait(_POLL):
            pass
        if not stop.is_set():
            apply(cluster, owned(_namespace(), STEP))

    summary = f"a namespace of its own, {NAMESPACE.name}, removed afterwards"
    return Step("place", summary, programs=(Program(f"make {NAMESPACE}", settled, run),))


def leaf(settings: Settings) -> Step:
    """The step that starts a pod without the spire template, and waits for its leaf from the newest `cacerts`."""

    def settled(reader: Reader) -> bool:
        return _born(reader, settings) is not None

    def run(cluster: Cluster, stop: threading.Event) -> None:
        if not settled(cluster):
            cluster.delete(POD)
        while not settled(cluster) and cluster.get(POD) is not None and not stop.wait(_POLL):
            pass
        serial = _serial(cluster, settings)
        if serial and not stop.is_set():
            apply(cluster, owned(_pod(serial, settings), STEP))

    return Step(
        name=STEP,
        summary="a new pod's certificate from istiod",
        needs=("place", "istiod"),
        programs=(Program("start a pod", settled, run),),
        gates=(
            Gate(
                name="signed",
                proves="a pod born now gets a leaf signed by the new cacerts, with a path to the pinned root",
                check=lambda reader: judge_leaf(reader, settings),
                hint=f"look at `kubectl -n {NAMESPACE.name} describe pods` and at istiod's log",
                code="MPK-408",
                watches=(only(POD),),
                every=_LOOK,
            ),
        ),
    )


def free(reader: Reader) -> None:
    """Raises PreconditionError (MPK-409) where somebody else has a namespace of this name."""
    live = reader.get(NAMESPACE)
    if live is not None and not ours(live) and "deletionTimestamp" not in live["metadata"]:
        what = "meshpki did not make it, and touches nothing that is not its own"
        raise PreconditionError("MPK-409", what, where=str(NAMESPACE), remedy="delete it where nothing needs it")


def remove(cluster: Cluster) -> None:
    """Take pod and namespace away, at the end of whatever happened, unless it is another's; raises ClusterError."""
    live = cluster.get(NAMESPACE)
    if live is not None and ours(live):
        cluster.delete(NAMESPACE)


def judge_leaf(reader: Reader, settings: Settings) -> Readiness:
    """Whether the Envoy of the throw-away pod presents a leaf that the newest `cacerts` signed."""
    live, pin = _born(reader, settings), pinned(reader)
    if live is None or pin is None:
        return Waiting("the pod is not there yet")
    _, cacerts = issued(reader, istiod_certificate(settings))
    try:
        chain = read_chain(secrets(reader, POD).chain_pem)
    except (ClusterError, EnvoyError, UnparsableError) as error:
        return _no_chain(live, error.what)
    if not cacerts or len(chain) == 1 or chain[1].sha256 != cacerts[0].sha256:
        found = f"{chain[1].serial:x}" if len(chain) > 1 else "nobody"
        return Failed(f"its leaf {chain[0].serial:x} is signed by {found}, not by the newest cacerts")
    why = proves(chain, pin.roots, datetime.now(UTC), pin.max_depth)
    return Failed(why) if why else Ready(f"leaf {chain[0].serial:x} of {', '.join(chain[0].uris)}")


def _no_chain(pod: Object, why: str) -> Readiness:
    reason, final = trouble([pod])
    told = "; ".join(filter(None, (reason, why)))
    return Failed(told) if final else Waiting(told)


def _born(reader: Reader, settings: Settings) -> Object | None:
    """The pod, where it was born for the newest CA and stays."""
    live, serial = reader.get(POD), _serial(reader, settings)
    if live is None or not serial or "deletionTimestamp" in live["metadata"]:
        return None
    return live if (live["metadata"].get("labels") or {}).get(_CA) == serial else None


def _serial(reader: Reader, settings: Settings) -> str:
    """The newest CA's; empty where none is issued."""
    _, chain = issued(reader, istiod_certificate(settings))
    return f"{chain[0].serial:x}" if chain else ""


def _namespace() -> Object:
    labels = {"istio-injection": "enabled", "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE.name, "labels": labels}}


def _pod(serial: str, settings: Settings) -> Object:
    """Istio's own gateway template: a proxy alone, which needs no other image and none of a sidecar's rights."""
    labels = {"sidecar.istio.io/inject": "true", "app": "meshpki-rotate", _CA: serial}
    resources = {"requests": {"cpu": settings.resources.cpu, "memory": settings.resources.memory}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": POD.name,
            "namespace": POD.namespace,
            "labels": labels,
            "annotations": {"inject.istio.io/templates": "gateway"},
        },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "istio-proxy",
                    "image": "auto",
                    "imagePullPolicy": "IfNotPresent",
                    "resources": resources,
                    "securityContext": _RESTRICTED,
                }
            ],
        },
    }
