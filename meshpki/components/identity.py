"""Whether pods hold the identity of their ServiceAccount: their Envoy's leaf, judged against the pinned root."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from meshpki.cluster.abreast import abreast
from meshpki.cluster.client import ClusterError, Reader
from meshpki.cluster.envoy import EnvoyError, secrets
from meshpki.cluster.manifest import Object, Query, Ref
from meshpki.components.renewal import read_time
from meshpki.components.serving import pod_ref
from meshpki.components.spire_authorities import server_set
from meshpki.components.trust import Pin, pinned
from meshpki.pki.certificate import Certificate, UnparsableError, read_chain
from meshpki.pki.chain import judge
from meshpki.pki.path import Expected
from meshpki.settings import Settings
from meshpki.workflow.step import Readiness, Ready, Waiting

_IN_FLIGHT = 16
# by so much a certificate of SPIRE's begins before it is issued (NotBeforeCushion, pkg/server/credtemplate at v1.15.3)
_CUSHION = timedelta(seconds=10)


def data_since(reader: Reader, settings: Settings) -> datetime | None:
    """Since when (UTC) spire-server has its data, by its volume's claim; None where it has no volume of its own."""
    server = server_set(settings)
    claims = reader.list(Query("v1", "PersistentVolumeClaim", server.namespace))
    of_server = (one["metadata"] for one in claims if one["metadata"]["name"].startswith(f"data-{server.name}-"))
    return min(filter(None, (read_time(one.get("creationTimestamp")) for one in of_server)), default=None)


def unproven_pods(
    reader: Reader, settings: Settings, pods: Sequence[Object], since: datetime | None = None
) -> Readiness:
    """Open when every pod's Envoy presents the SPIFFE ID of its ServiceAccount with a path to the pinned root.

    It was issued `since` then: a spire-server that has lost its data knows neither its CAs of before nor its agents,
    which attest again, and have everything issued anew, some seconds later.
    """
    pin = pinned(reader)
    if pin is None or not pods:
        return Waiting("no root is pinned yet" if pin is None else "there is no pod yet")
    with abreast(min(_IN_FLIGHT, len(pods)), "identity") as pool:
        reasons = list(pool.map(lambda pod: _unproven(reader, settings, pod, pin, since), pods))
    missing = [reason for reason in reasons if reason]
    if missing:
        return Waiting("; ".join(missing))
    return Ready(f"{len(pods)} of {len(pods)} Envoys hold their SVID, under the pinned root")


def _unproven(reader: Reader, settings: Settings, pod: Object, pin: Pin, since: datetime | None) -> str:
    """Why one pod does not prove its identity; empty where it does."""
    ref = pod_ref(pod)
    chain = _held(reader, ref)
    if isinstance(chain, str):
        return f"{ref}: {chain}"
    wanted = spiffe_id(settings, pod)
    if chain[0].uris != (wanted,):
        return f"{ref}: its leaf names {', '.join(chain[0].uris) or 'nobody'}, expected {wanted}"
    if since and chain[0].not_before + _CUSHION < since:
        return f"{ref}: its leaf was issued before spire-server had the data of now, from {since:%H:%M:%S}"
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
