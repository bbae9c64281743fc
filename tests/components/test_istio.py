"""Table of what the API server says to a pod by dry run -> whether the gate of injection opens, waits, or gives up."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from meshpki.cluster.client import ClusterError, NoAccessError
from meshpki.cluster.manifest import FIELD_MANAGER, Object
from meshpki.cluster.refusal import refused
from meshpki.components.istio import istio, judge_injection, operator, proxy_images
from meshpki.components.istioctl import RECORD, Istioctl, recorded
from meshpki.settings import read_text
from meshpki.workflow.event import StepDone
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.step import Failed, Ready, Step, Waiting
from meshpki.workflow.work import Limits
from tests.support.certificates import Issued, mesh_root, pem
from tests.support.cluster import FakeClock, InMemoryCluster, namespace
from tests.support.control_plane import webhook
from tests.support.mesh import pin

SPIRE_VOLUME = {"name": "workload-socket", "csi": {"driver": "csi.spiffe.io", "readOnly": True}}
QUOTA = 'pods "meshpki-probe" is forbidden: exceeded quota: compute'
SECURITY = 'pods "meshpki-probe" is forbidden: violates PodSecurity "restricted:latest"'
POLICY = 'admission webhook "validate.kyverno.svc-fail" denied the request: no'
OWN = 'admission webhook "object.sidecar-injector.istio.io" denied the request: template "spire" not found'
ACCOUNT = 'pods "meshpki-probe" is forbidden: error looking up service account spire-system/default: not found'
RIGHT = 'pods "meshpki-probe" is forbidden: User "me" cannot patch resource "pods" in API group ""'


@dataclass
class Injecting(InMemoryCluster):
    """A cluster whose webhooks add `volumes` to a pod, or which says `no` to it."""

    volumes: tuple[Object, ...] = (SPIRE_VOLUME,)
    no: ClusterError | None = None

    def dry_run(self, manifest: Object, manager: str = FIELD_MANAGER) -> Object:
        if self.no:
            raise self.no
        pod = super().dry_run(manifest, manager)
        return {**pod, "spec": {**pod["spec"], "volumes": [*self.volumes]}}


def injecting(root: Issued | None = None, *, no: ClusterError | None = None, spire: bool = True) -> Injecting:
    root = root or mesh_root()
    cluster = Injecting(no=no)
    cluster.put(pin(root), webhook(pem(root)), webhook(pem(root), name="istio-validator-istio-system"))
    if spire:
        cluster.put(namespace("spire-system"))
    return cluster


def said(status: int, message: str) -> ClusterError:
    return refused(status, json.dumps({"kind": "Status", "message": message}).encode(), "patch", "pods")


def test_a_pod_is_tried_where_every_pod_is_let_in_and_nowhere_else() -> None:
    cluster = injecting()
    assert isinstance(judge_injection(cluster, "spire-system"), Ready)
    assert [what for verb, what in cluster.requests if verb == "dry-run"] == ["Pod spire-system/meshpki-probe"]


def test_before_spires_namespace_is_there_the_gate_waits() -> None:
    assert isinstance(judge_injection(injecting(spire=False), "spire-system"), Waiting)


def test_a_pod_that_comes_back_as_it_went_is_waited_for() -> None:
    cluster = injecting()
    cluster.volumes = ()
    match judge_injection(cluster, "spire-system"):
        case Waiting(why):
            assert "without the spire template" in why
        case other:
            pytest.fail(str(other))


@pytest.mark.parametrize(("status", "message"), [(403, QUOTA), (403, SECURITY), (400, POLICY), (403, POLICY)])
def test_a_rule_that_denies_the_pod_ends_the_wait_in_its_own_words(status: int, message: str) -> None:
    match judge_injection(injecting(no=said(status, message)), "spire-system"):
        case Failed(why):
            assert message in why
        case other:
            pytest.fail(str(other))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, OWN),
        (403, ACCOUNT),
        (500, 'failed calling webhook "x"'),
        (429, "later"),
        (404, "namespaces not found"),
        (409, "again"),
    ],
)
def test_what_a_moment_may_mend_is_waited_for(status: int, message: str) -> None:
    assert isinstance(judge_injection(injecting(no=said(status, message)), "spire-system"), Waiting)


def test_a_right_that_is_missing_is_an_error_of_its_own() -> None:
    with pytest.raises(NoAccessError, match="cannot patch"):
        judge_injection(injecting(no=said(403, RIGHT)), "spire-system")


def test_the_images_of_istio_are_those_that_the_overlay_names() -> None:
    text = "apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\nistio: {operator: {tag: 1.29.1-distroless}}\n"
    assert proxy_images(read_text(text, "test")) == (
        "docker.io/istio/pilot:1.29.1-distroless",
        "docker.io/istio/proxyv2:1.29.1-distroless",
    )


@dataclass(frozen=True)
class Counted(Istioctl):
    """An istioctl that installs nothing and counts how often it is run; `after` happens at the end of each run."""

    runs: list[int] = field(default_factory=list)
    after: Callable[[], None] = lambda: None

    def install(self, operator: Object, readiness_seconds: int, stop: threading.Event) -> None:
        del operator, readiness_seconds, stop
        self.runs.append(1)
        self.after()


def test_an_api_server_that_is_busy_after_istioctl_costs_no_second_run_of_it() -> None:
    cluster = InMemoryCluster()
    cluster.put(namespace(RECORD.namespace))
    busy = ClusterError("MPK-102", "list refused: busy", status=429)
    istioctl = Counted(Path("none"), after=lambda: cluster.faults.extend((busy, busy)))
    settings = read_text("apiVersion: meshpki.dev/v1alpha1\nkind: Mesh\n", "test")
    installer = istio(settings, istioctl).programs[0]
    told = run(Plan((Step("istio", "istio", programs=(installer,)),)), cluster, FakeClock(), Limits())
    assert [event for event in told if isinstance(event, StepDone)]
    assert len(istioctl.runs) == 1
    assert recorded(cluster, operator(settings))
