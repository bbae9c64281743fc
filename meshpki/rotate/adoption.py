"""Whether every istiod has taken a new `cacerts` up: what it serves, what it logged, and what its metric says."""

import itertools
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from meshpki.cluster.client import Cluster, ClusterError, Reader
from meshpki.cluster.manifest import Ref, only
from meshpki.components.istio import ISTIOD_PORTS, istiods, judge_istiod
from meshpki.components.rollout import deployment
from meshpki.components.serving import pod_ref
from meshpki.components.trust import issued, istiod_certificate
from meshpki.errors import MeshpkiError
from meshpki.pki.certificate import Certificate, UnparsableError
from meshpki.pki.handshake import HandshakeError, served_chain
from meshpki.rotate import kubelet
from meshpki.settings import Settings
from meshpki.settings.durations import moment
from meshpki.workflow.step import Failed, Gate, Program, Readiness, Ready, Waiting

HURRY = "rotate.meshpki.dev/hurry"
CONTAINER = "discovery"
METRICS_PORT = 15014
METRIC = "citadel_server_cert_chain_expiry_timestamp"
CODE = "MPK-407"
# A log is read from the renewal on, less what clocks may differ, and from there so many bytes: a CA is loaded within
# two minutes, but a large mesh logs a lot. Of the last lines, as many as a kubelet keeps.
LOG_BYTES = 8 * 1024 * 1024
_LOG_LINES = 1_000_000
_SKEW = timedelta(minutes=1)
_SERIAL = re.compile(r"\bx509 cert - .*?\bSN: ([0-9a-f]+)\b")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
_VALUE = re.compile(rf"^{METRIC}(?:\{{[^}}\n]*\}})? (\S+)$", re.MULTILINE)
# istio pilot/pkg/bootstrap/istio_ca.go at 1.29, handleEvent
_REFUSALS = (
    "Multi root is disabled",
    "Updating new ROOT-CA not supported",
    "Failed to update new Plug-in CA certs",
    "Failed generating plugged-in istiod key cert",
    "failed reading root-cert.pem",
)
_LOOK = timedelta(seconds=1)
# looks after which the kubelet is hurried again
_AGAIN = 10


@dataclass(frozen=True)
class Loaded:
    """What a log tells of a CA: when it was loaded (UTC), a refusal since; `cut` where more was logged than is read."""

    at: datetime | None = None
    refusal: str = ""
    cut: bool = False


@dataclass(frozen=True)
class Replica:
    """One istiod beside a CA: when it logged the serial, the serial (hex) of the CA behind each port, its metric."""

    pod: str
    loaded: datetime | None
    served: Mapping[int, str]
    expiry: datetime | None


def hurry(settings: Settings) -> Program:
    """Have the kubelet bring the new Secret to istiod's pods at once, instead of with its next sync (a minute).

    A pod that changes is synced; Istio's own test does the same (tests/integration/security/cacert_rotation). Done
    again every few seconds, since the kubelet may not have seen the Secret yet; ends when each istiod serves it.
    """

    def settled(reader: Reader) -> bool:
        return isinstance(judge_istiod(reader, settings), Ready)

    def run(cluster: Cluster, stop: threading.Event) -> None:
        due = 0
        for look in itertools.count():
            if stop.is_set():
                return
            try:
                if settled(cluster):
                    return
                if look >= due:
                    kubelet.hurry(cluster, istiods(cluster, settings), HURRY, datetime.now(UTC).isoformat())
                    due = look + _AGAIN
            except ClusterError as error:
                if not (error.transient or error.status == HTTPStatus.NOT_FOUND):
                    raise  # else the next look tells: a pod went away, or the API server is busy
            stop.wait(_LOOK.total_seconds() / 2)

    return Program("hurry the kubelet", settled, run)


def adopted(settings: Settings) -> tuple[Gate, ...]:
    """The gates that open when every istiod serves, has logged and counts with the newest `cacerts`."""
    namespace = settings.namespaces.istio
    watches = (only(deployment(namespace, "istiod")),)
    look = f"look at `kubectl -n {namespace} logs -l app=istiod`"
    restart = f"`kubectl -n {namespace} rollout restart deployment/istiod`"
    return (
        Gate(
            name="served",
            proves="every istiod serves on 15012 and 15017 a chain through the new cacerts to the pinned root",
            check=lambda reader: judge_served(reader, settings),
            hint=f"{look}; the kubelet brings a Secret within two minutes",
            code=CODE,
            watches=watches,
            every=_LOOK,
        ),
        Gate(
            name="logged",
            proves="every istiod has logged that it loaded the new serial",
            check=lambda reader: judge_logged(reader, settings),
            hint=f"{look}; where that line has gone by, a restart writes it again: {restart}",
            code=CODE,
            every=_LOOK,
        ),
        Gate(
            name="metric",
            proves=f"every istiod's {METRIC} is the end of the new cacerts",
            check=lambda reader: judge_metric(reader, settings),
            hint=f"look at port {METRICS_PORT} of istiod's pods, path /metrics",
            code=CODE,
            every=_LOOK,
        ),
    )


def judge_served(reader: Reader, settings: Settings) -> Readiness:
    """Open when every replica serves a chain through the newest `cacerts`; a refusal in a log ends the wait."""
    readiness = judge_istiod(reader, settings)
    if not isinstance(readiness, Waiting):
        return readiness
    for pod, loaded in _logs(reader, settings):
        if loaded.refusal:
            return Failed(f"{pod}: {loaded.refusal}")
    return readiness


def judge_logged(reader: Reader, settings: Settings) -> Readiness:
    """Open when the log of every replica tells of the newest serial."""
    found = list(_logs(reader, settings))
    for pod, loaded in found:
        if loaded.at is None:
            cut = f" in the first {LOG_BYTES >> 20} MiB since it was issued" if loaded.cut else ""
            return Waiting(f"{pod} has not logged the new serial{cut}")
    if not found:
        return Waiting("there is no pod of istiod")
    last = max(loaded.at for _, loaded in found if loaded.at)
    return Ready(f"{len(found)} of {len(found)} logged it, the last at {last:%H:%M:%SZ}")


def judge_metric(reader: Reader, settings: Settings) -> Readiness:
    """Open when the metric of every replica is the end of the newest `cacerts`, to the second."""
    _, chain = issued(reader, istiod_certificate(settings))
    pods = [pod_ref(pod) for pod in istiods(reader, settings)]
    if not chain or not pods:
        return Waiting("there is no cacerts, or no pod of istiod")
    for pod, answer in reader.fetch(pods, METRICS_PORT, "/metrics", len(pods)):
        if isinstance(answer, MeshpkiError):
            return Waiting(f"{pod}: {answer.what}")
        end = read_metric(answer.decode(errors="replace"))
        if end != chain[0].not_after:
            return Waiting(f"{pod}: the metric says {moment(end)}" if end else f"{pod} has no {METRIC}")
    return Ready(moment(chain[0].not_after))


def replicas(reader: Reader, settings: Settings) -> tuple[Replica, ...]:
    """Every istiod with what it shows of the newest `cacerts`; what one does not show is left out."""
    _, chain = issued(reader, istiod_certificate(settings))
    pods = istiods(reader, settings)
    answers = dict(reader.fetch(map(pod_ref, pods), METRICS_PORT, "/metrics", max(1, len(pods))))
    loaded = dict(_logs(reader, settings))
    return tuple(
        Replica(
            str(ref.name),
            loaded[ref].at if chain and ref in loaded else None,
            {port: serial for port in ISTIOD_PORTS if (serial := _issuer(reader, ref, port, settings))},
            _expiry(answers.get(ref)),
        )
        for ref in map(pod_ref, pods)
    )


def read_log(text: str, ca: Certificate, limit: int = LOG_BYTES) -> Loaded:
    """What istiod's log says of a CA; a refusal counts where it came after the CA was issued, and was the last word."""
    at, refusal = None, ""
    for line in text.splitlines():
        found = _SERIAL.search(line)
        if found and int(found[1], 16) == ca.serial:
            at, refusal = _moment(line) or at, ""
        elif any(words in line for words in _REFUSALS) and (_moment(line) or ca.not_before) >= ca.not_before:
            refusal = line.strip()
    return Loaded(at, refusal, len(text.encode()) >= limit)


def read_metric(text: str) -> datetime | None:
    """The metric's value as a moment (UTC), in the text form of Prometheus; None where it is not there."""
    found = _VALUE.search(text)
    try:
        return datetime.fromtimestamp(round(float(found[1])), UTC) if found else None
    except (ValueError, OverflowError, OSError):
        return None


def _logs(reader: Reader, settings: Settings) -> Iterable[tuple[Ref, Loaded]]:
    _, chain = issued(reader, istiod_certificate(settings))
    for pod in istiods(reader, settings) if chain else ():
        ref, since = pod_ref(pod), chain[0].not_before - _SKEW
        yield ref, read_log(reader.logs(ref, CONTAINER, _LOG_LINES, since=since, limit=LOG_BYTES), chain[0])


def _issuer(reader: Reader, pod: Ref, port: int, settings: Settings) -> str:
    try:
        with reader.forward(pod, port) as connection:
            chain: tuple[Certificate, ...] = served_chain(connection, f"istiod.{settings.namespaces.istio}.svc")
    except (HandshakeError, UnparsableError, ClusterError):
        return ""
    return f"{chain[1].serial:x}" if len(chain) > 1 else ""


def _expiry(answer: bytes | MeshpkiError | None) -> datetime | None:
    return read_metric(answer.decode(errors="replace")) if isinstance(answer, bytes) else None


def _moment(line: str) -> datetime | None:
    found = _MOMENT.search(line)
    return datetime.fromisoformat(found[0]) if found else None
