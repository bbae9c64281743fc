"""Bookinfo with two callers: one in the mesh, and one outside whose plaintext has to be refused."""

import http.client
from datetime import timedelta

from meshpki.cluster.client import ClusterError, Reader
from meshpki.cluster.manifest import Object, Query, only
from meshpki.cluster.render import render
from meshpki.components.identity import data_since, unproven_pods
from meshpki.components.istio import GATEWAY
from meshpki.components.rollout import deployment, living_pods, pods_of, rollout
from meshpki.components.serving import pod_ref
from meshpki.settings import Settings
from meshpki.workflow.step import Failed, Gate, Readiness, Ready, Step, Waiting

DEPLOYMENTS = (
    ("productpage", "v1"),
    ("details", "v1"),
    ("ratings", "v1"),
    ("reviews", "v1"),
    ("reviews", "v2"),
    ("reviews", "v3"),
)
CLIENT, OUTSIDER = "client", "outside"
_GATEWAY_PORT = 8080
_PAGE = "/productpage"
_PAGE_LIMIT = 1 << 20
# What Bookinfo's page says, with status 200, where details or reviews did not answer it.
_MISSING = b"currently unavailable"
# curl's exit codes of a peer that hangs up: 52 nothing was answered, 56 the connection was reset.
_HUNG_UP = ("52", "56")


def workloads(settings: Settings) -> Step:
    """The step of the sample; it starts once pods are injected, while the gateway may still wait for its identity."""
    namespace = settings.namespaces.bookinfo
    services = sorted({app for app, _ in DEPLOYMENTS})
    return Step(
        name="workloads",
        summary=f"Bookinfo {settings.versions.bookinfo} and a client",
        needs=("spire", "istio/injection"),
        manifests=render(
            "workloads",
            namespace=namespace,
            services=services,
            accounts=[*(f"bookinfo-{service}" for service in services), CLIENT, OUTSIDER],
            deployments=[{"app": app, "version": version} for app, version in DEPLOYMENTS],
            clients=[{"name": CLIENT, "meshed": True}, {"name": OUTSIDER, "meshed": False}],
            bookinfo_version=settings.versions.bookinfo,
            curl_version=settings.versions.curl,
            cpu=settings.resources.cpu,
            memory=settings.resources.memory,
        ),
        gates=_gates(settings),
    )


def _gates(settings: Settings) -> tuple[Gate, ...]:
    namespace, gateway = settings.namespaces.bookinfo, deployment(settings.namespaces.istio, GATEWAY)
    names = [*(f"{app}-{version}" for app, version in DEPLOYMENTS), CLIENT, OUTSIDER]
    refs = [deployment(namespace, name) for name in names]
    return (
        rollout("rollout", refs, "MPK-219", f"look at `kubectl -n {namespace} get pods` and their events"),
        Gate(
            name="identities",
            proves="every Envoy's leaf names its ServiceAccount and has a path to the pinned root",
            check=lambda reader: unproven_pods(
                reader, settings, _meshed(reader, namespace), data_since(reader, settings)
            ),
            hint="look at `meshpki verify` and the agent's log on the pod's node",
            code="MPK-219",
            watches=(Query("v1", "Pod", namespace),),
            every=timedelta(seconds=1),
        ),
        Gate(
            name="request",
            proves=f"GET {_PAGE} through the ingress gateway answers 200",
            check=lambda reader: _request(reader, settings),
            hint=f"look at `kubectl -n {gateway.namespace} logs deploy/{GATEWAY}`",
            code="MPK-219",
            watches=(only(gateway),),
            every=timedelta(seconds=0.5),
        ),
        Gate(
            name="plaintext",
            proves="a plaintext request from outside the mesh is refused",
            check=lambda reader: _refused(reader, namespace),
            hint=f"look at `kubectl -n {namespace} get peerauthentication`",
            code="MPK-219",
            every=timedelta(seconds=1),
        ),
    )


def _meshed(reader: Reader, namespace: str) -> list[Object]:
    """The sample's own: what else somebody runs in its namespace is for `verify` to judge."""
    apps = sorted({CLIENT, *(app for app, _ in DEPLOYMENTS)})
    return living_pods(reader, namespace, f"app in ({','.join(apps)})")


def _request(reader: Reader, settings: Settings) -> Readiness:
    pods = pods_of(reader, deployment(settings.namespaces.istio, GATEWAY))
    if not pods:
        return Waiting("there is no gateway pod yet")
    with reader.forward(pod_ref(pods[0]), _GATEWAY_PORT) as connection:
        request = http.client.HTTPConnection("bookinfo.meshpki.invalid")
        request.sock = connection
        try:
            request.request("GET", _PAGE, headers={"Connection": "close"})
            response = request.getresponse()
            status, page = response.status, response.read(_PAGE_LIMIT)
        except (OSError, http.client.HTTPException) as error:
            return Waiting(f"the gateway does not answer: {type(error).__name__}")
    if status != http.client.OK:
        return Waiting(f"GET {_PAGE} answered {status}")
    if _MISSING in page:
        return Waiting(f"GET {_PAGE} answered 200, but a part of the page is {_MISSING.decode()}")
    return Ready(f"GET {_PAGE} answered 200")


def _refused(reader: Reader, namespace: str) -> Readiness:
    pods = pods_of(reader, deployment(namespace, OUTSIDER))
    if not pods:
        return Waiting(f"there is no pod of {OUTSIDER} yet")
    asked = f"curl --silent --output /dev/null --max-time 5 http://productpage.{namespace}:9080{_PAGE}; echo $?"
    try:
        said = reader.execute(pod_ref(pods[0]), "curl", ["sh", "-c", asked]).strip()
    except ClusterError as error:
        return Waiting(error.what)
    if said in _HUNG_UP:
        return Ready("plaintext from outside the mesh is refused")
    if said == "0":
        return Failed("productpage answers plaintext from a pod outside the mesh")
    return Waiting(f"curl from outside the mesh ended with {said}, expected a connection that is hung up")
