"""The negative control of the probe: who is not trusted has to be refused, or what passes proves nothing."""

import base64
import http.client
import re
import threading
from datetime import UTC, datetime
from http import HTTPStatus

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import Object, Ref, owned
from meshpki.components.rollout import living_pods
from meshpki.components.serving import pod_ref
from meshpki.pki.untrusted import untrusted_svid
from meshpki.settings import Settings
from meshpki.workflow.apply import apply
from meshpki.workflow.step import Failed, Program, Readiness, Ready, Waiting

UNTRUSTED, PLAINTEXT = "untrusted", "plaintext"
WAYS = (UNTRUSTED, PLAINTEXT)

_PORT = 8080
_ANSWER_LIMIT = 4096
# The alerts by which a TLS server refuses a certificate (RFC 8446 section 6.2), as BoringSSL names them.
_REFUSED = re.compile(rb"OPENSSL_internal:((?:SSLV3|TLSV1)_ALERT_(?:[A-Z_]*CERTIFICATE[A-Z_]*|UNKNOWN_CA))\b")
_HUNG_UP = re.compile(rb"reset reason: (?:connection termination|remote connection failure|remote reset)")


def untrusted_identity(settings: Settings, namespace: str, name: str, step: str) -> Program:
    """Make the Secret of the untrusted identity once; nobody reads it but the pod of the negative control."""
    ref = Ref("v1", "Secret", namespace, name)
    spiffe_id = f"spiffe://{settings.trust_domain}/ns/{namespace}/sa/{UNTRUSTED}"

    def make(cluster: Cluster, _stop: threading.Event) -> None:
        made = untrusted_svid(spiffe_id, cluster.date() or datetime.now(UTC))
        data = {"tls.crt": made.certificate, "tls.key": made.key}
        manifest: Object = {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "metadata": {"name": ref.name, "namespace": ref.namespace},
            "type": "kubernetes.io/tls",
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }
        apply(cluster, owned(manifest, step))

    return Program("untrusted identity", lambda reader: reader.metadata(ref) is not None, make)


def refused(reader: Reader, namespace: str) -> Readiness:
    """Open when a server's proxy refuses the untrusted identity by a TLS alert, and plaintext by hanging up."""
    pods = living_pods(reader, namespace, f"app={UNTRUSTED}")
    if not pods:
        return Waiting("there is no pod of the negative control yet")
    seen = []
    for way in WAYS:
        try:
            status, answer = _ask(reader, pod_ref(pods[0]), way)
        except (OSError, http.client.HTTPException) as error:
            return Waiting(f"the negative control does not answer: {type(error).__name__}")
        match judge(way, status, answer):
            case Ready(detail):
                seen.append(detail)
            case shut:
                return shut
    return Ready("; ".join(seen))


def judge(way: str, status: int, answer: bytes) -> Readiness:
    """Whether one way of the control was refused for the right reason, from what its Envoy answered."""
    if status == HTTPStatus.OK:
        return Failed(f"the probe proves nothing: a server answered {_WORDS[way]}; mTLS is permissive or off")
    reason = (_REFUSED if way == UNTRUSTED else _HUNG_UP).search(answer)
    if reason is None:
        return Waiting(f"{_WORDS[way]} got HTTP {status} for another reason: {answer[:200]!r}")
    told = reason[1].decode() if way == UNTRUSTED else "the connection was hung up"
    return Ready(f"{_WORDS[way]} was refused: {told}")


_WORDS = {UNTRUSTED: "an untrusted identity", PLAINTEXT: "plaintext"}


def _ask(reader: Reader, pod: Ref, way: str) -> tuple[int, bytes]:
    with reader.forward(pod, _PORT) as connection:
        request = http.client.HTTPConnection("probe.meshpki.invalid")
        request.sock = connection
        request.request("GET", f"/{way}", headers={"Connection": "close"})
        response = request.getresponse()
        return response.status, response.read(_ANSWER_LIMIT)
