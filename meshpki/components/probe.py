"""The probe: a server and a client on each node, which call each other on new connections, in a namespace of its own.

Servers are the Envoy of Istio's own image, clients curl: no image of ours is needed. Nothing of a user's is touched.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta

from meshpki.cluster.client import Clock, Cluster, Reader
from meshpki.cluster.manifest import Object, Query, Ref, digest, ours
from meshpki.cluster.render import render, text
from meshpki.components.identity import unproven_pods
from meshpki.components.images import at_mirror, hub
from meshpki.components.istio import GATEWAY
from meshpki.components.probe_control import UNTRUSTED, WAYS, refused, untrusted_identity
from meshpki.components.probe_flow import (
    CLIENT,
    GATEWAY_MARK,
    HOST,
    NAMESPACE,
    SERVER,
    TARGET_MARK,
    Flow,
    beside,
    flows,
    per_second,
    read_target,
)
from meshpki.components.probe_policies import Block, blocks, look, told
from meshpki.components.probe_record import Record, parse
from meshpki.components.rollout import deployment, living_pods, rollout
from meshpki.components.serving import pod_ref
from meshpki.errors import GateTimeoutError, PreconditionError
from meshpki.settings import Settings
from meshpki.workflow.step import Failed, Gate, Readiness, Ready, Step, Waiting

STEP = "probe"
WARM = 10
LOG_LINES = 5000

_CONFIG = "probe"
NAMESPACE_REF = Ref("v1", "Namespace", "", NAMESPACE)
_GONE_WITHIN = timedelta(minutes=2)
_LEAVE_OUT = f"let the object named leave out namespace {NAMESPACE} while the probe runs"


def probe(settings: Settings, nodes: Sequence[str], target: str = "") -> Step:
    """The step of the probe on these nodes; `target` is a Service of the user, `host:port[/path]`, called too.

    Clients and servers are numbered as the nodes are given. Raises UsageError (MPK-455) for a bad `target`.
    """
    user = read_target(target)
    files = _files()
    istio, gateway = settings.namespaces.istio, f"{GATEWAY}.{settings.namespaces.istio}.svc.cluster.local"
    egress = ["*/*"] if user else ["./*", f"{istio}/{gateway}"]
    return Step(
        name=STEP,
        summary=f"a probe on {len(nodes)} nodes, {per_second(len(nodes))} requests a second and flow",
        manifests=render(
            STEP,
            namespace=NAMESPACE,
            accounts=[SERVER, CLIENT, UNTRUSTED],
            config=_CONFIG,
            files=files,
            digest=digest(files),
            pods=_pods(settings, nodes, target),
            services=_services(len(nodes), istio),
            all=SERVER,
            gateway=gateway,
            seen_by_gateway=[".", istio],
            host=HOST,
            egress=egress,
            cpu=settings.resources.cpu,
            memory=settings.resources.memory,
        ),
        programs=(untrusted_identity(settings, NAMESPACE, UNTRUSTED, STEP),),
        gates=_gates(settings, nodes, target),
    )


def made(settings: Settings, nodes: Sequence[str], target: str = "") -> str:
    """What is made for the probe, in words; empty where no node takes a pod. Raises UsageError (MPK-455)."""
    read_target(target)
    if not nodes:
        return ""
    kinds = Counter(str(item["kind"]) for item in probe(settings, nodes, target).manifests)
    kinds["Secret"] += 1  # of the identity that must be refused
    several = (f"{count} {kind}" for kind, count in sorted(kinds.items()) if kind != NAMESPACE_REF.kind)
    return f"{NAMESPACE_REF} with {', '.join(several)}"


def clients(reader: Reader) -> list[Object]:
    """The pods whose logs are the probe's evidence."""
    return living_pods(reader, NAMESPACE, f"app={CLIENT}")


def node_of(pod: Object, nodes: Sequence[str]) -> str:
    """The node whose number a client bears, empty for none of these."""
    number = str(pod["metadata"].get("labels", {}).get("instance", "")).removeprefix(f"{CLIENT}-")
    return nodes[int(number)] if number.isascii() and number.isdecimal() and int(number) < len(nodes) else ""


def make_way(cluster: Cluster, clock: Clock, settings: Settings, nodes: int) -> None:
    """Wait for an earlier probe that is on its way out; raises PreconditionError (MPK-453) for what is in the way.

    Before anything is applied, which puts our labels even on a namespace of somebody else's.
    """
    if _leaving(cluster):
        remove(cluster, clock)
    match judge_policies(blocks(look(cluster, settings), settings, nodes)):
        case Failed(why):
            raise PreconditionError("MPK-453", why, remedy=f"{_LEAVE_OUT}, or go without: --no-probe")
        case _:
            pass


def discard(cluster: Cluster) -> bool:
    """Delete the probe and wait for nothing; False where there was none of ours: another's namespace is let be."""
    live = cluster.get(NAMESPACE_REF)
    return live is not None and ours(live) and cluster.delete(NAMESPACE_REF)


def remove(cluster: Cluster, clock: Clock) -> bool:
    """Delete the probe and wait until it is gone; False where there was none. Raises GateTimeoutError (MPK-456)."""
    there = discard(cluster)
    until, never = clock.now() + _GONE_WITHIN, threading.Event()
    while (there or _leaving(cluster)) and cluster.get(NAMESPACE_REF) is not None:
        if clock.now() >= until:
            raise GateTimeoutError(
                "MPK-456",
                f"it was deleted and is still there after {_GONE_WITHIN.total_seconds():.0f} s",
                where=str(NAMESPACE_REF),
                remedy=f"look at its conditions: kubectl get namespace {NAMESPACE} -o yaml",
            )
        clock.wait(never, timedelta(seconds=1))
    return there


def _leaving(reader: Reader) -> bool:
    live = reader.get(NAMESPACE_REF)
    return live is not None and "deletionTimestamp" in live["metadata"]


def _services(servers: int, istio: str) -> list[dict[str, object]]:
    names = [f"{SERVER}-{number}" for number in range(servers)]
    each: list[dict[str, object]] = [{"name": name, "selector": {"instance": name}, "seen_by": ["."]} for name in names]
    return [*each, {"name": SERVER, "selector": {"app": SERVER}, "seen_by": [".", istio]}]


def _files() -> dict[str, str]:
    server = f"{SERVER}-0.{NAMESPACE}"
    return {
        "server.yaml": text("probe/part-server.yaml"),
        "untrusted.yaml": text("probe/part-untrusted.yaml", ways=WAYS, server=server),
        "client.sh": text("probe/part-client.sh"),
    }


def _pods(settings: Settings, nodes: Sequence[str], target: str) -> list[dict[str, object]]:
    proxy = f"{hub(settings)}/proxyv2:{settings.versions.istio}"
    curl = at_mirror(f"docker.io/curlimages/curl:{settings.versions.curl}", settings.images.mirror)
    made = [
        _pod(f"{app}-{number}", app, node, image, command)
        for number, node in enumerate(nodes)
        for app, image, command in (
            (SERVER, proxy, _envoy("server.yaml")),
            (CLIENT, curl, _client(settings, nodes, number, target)),
        )
    ]
    rogue = _pod(UNTRUSTED, UNTRUSTED, nodes[0], proxy, _envoy("untrusted.yaml"))
    return [*made, {**rogue, "meshed": False, "secret": UNTRUSTED}]


def _pod(name: str, app: str, node: str, image: str, command: list[str]) -> dict[str, object]:
    return {
        "name": name,
        "app": app,
        "node": node,
        "image": image,
        "command": command,
        "meshed": True,
        "ports": app != CLIENT,
        "secret": "",
    }


def _envoy(config: str) -> list[str]:
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    return ["/usr/local/bin/envoy", "-c", f"/etc/probe/{config}", *options]


def _client(settings: Settings, nodes: Sequence[str], number: int, target: str) -> list[str]:
    user = read_target(target)
    urls = [(str(to), f"http://{SERVER}-{to}:8080/") for to in range(len(nodes))]
    urls.append((GATEWAY_MARK, f"http://{GATEWAY}.{settings.namespaces.istio}/"))
    urls += [(TARGET_MARK, user.url)] if user else []
    named = [f"{per_second(len(nodes))}/s", HOST, f"{SERVER}-{beside(number, nodes)}"]
    return ["sh", "/etc/probe/client.sh", *named, *(part for url in urls for part in url)]


def _gates(settings: Settings, nodes: Sequence[str], target: str) -> tuple[Gate, ...]:
    numbered = [f"{app}-{number}" for app in (SERVER, CLIENT) for number in range(len(nodes))]
    pods = Query("v1", "Pod", NAMESPACE)
    hint = f"look at `kubectl -n {NAMESPACE} get pods` and their events"
    return (
        Gate(
            name="policies",
            proves="no policy of the cluster blocks or falsifies the probe",
            check=lambda reader: judge_policies(blocks(look(reader, settings), settings, len(nodes))),
            hint=_LEAVE_OUT,
            code="MPK-453",
        ),
        rollout("rollout", [deployment(NAMESPACE, name) for name in (*numbered, UNTRUSTED)], "MPK-450", hint),
        Gate(
            name="identities",
            proves="every Envoy of the probe holds the SVID of its ServiceAccount",
            check=lambda reader: unproven_pods(reader, settings, _meshed(reader)),
            hint=hint,
            code="MPK-450",
            watches=(pods,),
            every=timedelta(seconds=1),
        ),
        Gate(
            name="control",
            proves="an untrusted identity and plaintext are refused",
            check=lambda reader: refused(reader, NAMESPACE),
            hint=f"look at `kubectl get peerauthentication -A` and at `kubectl -n {NAMESPACE} logs deploy/{UNTRUSTED}`",
            code="MPK-451",
            every=timedelta(seconds=1),
        ),
        Gate(
            name="warm",
            proves=f"every flow was answered {WARM} times in a row",
            check=lambda reader: _warm(reader, nodes, flows(nodes, target)),
            hint=f"look at `kubectl -n {NAMESPACE} logs -l app={CLIENT} -c {CLIENT}`",
            code="MPK-452",
            every=timedelta(seconds=1),
        ),
    )


def judge_policies(found: Sequence[Block]) -> Readiness:
    """Failed for what certainly blocks the probe; what only may is told, and the gates that follow show it."""
    certain = [one for one in found if one.certain]
    if certain:
        return Failed("; ".join(told(certain)))
    return Ready("; ".join(told(found)) or "none is in the way")


def _meshed(reader: Reader) -> list[Object]:
    return living_pods(reader, NAMESPACE, f"app!={UNTRUSTED}")


def _warm(reader: Reader, nodes: Sequence[str], wanted: Sequence[Flow]) -> Readiness:
    logs = {
        node_of(pod, nodes): reader.logs(pod_ref(pod), CLIENT, LOG_LINES, timestamps=True) for pod in clients(reader)
    }
    return judge_warm(logs, wanted)


def judge_warm(logs: dict[str, str], wanted: Sequence[Flow]) -> Readiness:
    """Open when the newest records of every flow are without a failure; `logs` are the clients' by node."""
    cold = []
    for flow in wanted:
        newest = _newest(logs.get(flow.source, ""), flow)
        answered = len(newest) - max((place for place, record in enumerate(newest, 1) if record.error), default=0)
        if answered < (1 if flow.stream else WARM):
            failed = next((record for record in reversed(newest) if record.error), None)
            cold.append(f"{flow.title}: {answered} in a row" + (f", then {failed.error}" if failed else ""))
    return Waiting("; ".join(cold[:5])) if cold else Ready(f"{len(wanted)} flows are answered")


def _newest(log: str, flow: Flow) -> list[Record]:
    read = defaultdict(list)
    for line in log.splitlines():
        record = parse(line)
        if record is not None:
            read[record.mark].append(record)
    return read[flow.mark]
