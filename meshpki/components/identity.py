"""Whether pods hold the identity of their ServiceAccount: their Envoy's leaf, judged against the pinned root."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus

from meshpki.cluster.client import ClusterError, Reader
from meshpki.cluster.envoy import EnvoyError, secrets
from meshpki.cluster.manifest import Object, Ref
from meshpki.components.serving import pod_ref
from meshpki.components.trust import Pin, pinned
from meshpki.pki.certificate import Certificate, UnparsableError, read_chain
from meshpki.pki.chain import judge
from meshpki.pki.path import Expected
from meshpki.settings import Settings
from meshpki.workflow.step import Readiness, Ready, Waiting

_IN_FLIGHT = 16


def unproven_pods(reader: Reader, settings: Settings, pods: Sequence[Object]) -> Readiness:
    """Open when every pod's Envoy presents the SPIFFE ID of its ServiceAccount with a path to the pinned root."""
    pin = pinned(reader)
    if pin is None or not pods:
        return Waiting("no root is pinned yet" if pin is None else "there is no pod yet")
    with ThreadPoolExecutor(min(_IN_FLIGHT, len(pods))) as pool:
        reasons = list(pool.map(lambda pod: unproven_pod(reader, settings, pod, pin), pods))
    missing = [reason for reason in reasons if reason]
    if missing:
        return Waiting("; ".join(missing))
    return Ready(f"{len(pods)} of {len(pods)} Envoys hold their SVID, under the pinned root")


def unproven_pod(reader: Reader, settings: Settings, pod: Object, pin: Pin) -> str:
    """Why one pod does not prove its identity, empty where it does."""
    ref = pod_ref(pod)
    chain = _held(reader, ref)
    if isinstance(chain, str):
        return f"{ref}: {chain}"
    wanted = spiffe_id(settings, pod)
    if chain[0].uris != (wanted,):
        return f"{ref}: its leaf names {', '.join(chain[0].uris) or 'nobody'}, expected {wanted}"
    verdict = judge(chain, Expected(pin.roots, datetime.now(UTC), pin.max_depth, settings.trust_domain))
    if verdict.result == "proven":
        return ""
    return f"{ref}: " + "; ".join(
        f"{one.code} expected {one.expected}, found {one.found}" for one in verdict.findings if one.severity != "warn"
    )


def _held(reader: Reader, pod: Ref) -> tuple[Certificate, ...] | str:
    """The chain that a pod's Envoy presents, or why there is none yet; a missing right is raised."""
    try:
        pem = secrets(reader, pod).chain_pem
        return read_chain(pem) if pem else "Envoy has no certificate yet"
    except ClusterError as error:
        if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise
        return error.what
    except (EnvoyError, UnparsableError) as error:
        return error.what


def spiffe_id(settings: Settings, pod: Object) -> str:
    """The SPIFFE ID that a pod's ServiceAccount is given."""
    account = pod["spec"].get("serviceAccountName", "default")
    return f"spiffe://{settings.trust_domain}/ns/{pod['metadata']['namespace']}/sa/{account}"
