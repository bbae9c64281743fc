"""istiod's CA as cert-manager shows it, and a cert-manager in memory that issues it again when it is asked to."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from meshpki.cluster.manifest import Object, ref_of
from meshpki.components.istiod_ca import istiod_ca
from meshpki.components.trust import ALIAS, CERT_MANAGER, istiod_certificate
from meshpki.rotate.reissue import issuing
from meshpki.settings import Settings, defaults
from tests.support import certificates as made
from tests.support.cluster import InMemoryCluster
from tests.support.control_plane import request

REF = istiod_certificate(defaults())
READY: Object = {"type": "Ready", "status": "True"}


def certificate(*conditions: Object, settings: Settings | None = None, at: int = 1, **status: object) -> Object:
    """The Certificate of `cacerts` as the step applies it, with a status."""
    wish = next(one for one in istiod_ca(settings or defaults()).manifests if one["kind"] == "Certificate")
    state = {"conditions": list(conditions or (READY,)), "revision": at, **status}
    return {**wish, "metadata": {**wish["metadata"], "generation": 1}, "status": state}


def alias(secret: str = f"{ALIAS}-g1") -> Object:
    """The ClusterIssuer that everything names."""
    return {
        "apiVersion": CERT_MANAGER,
        "kind": "ClusterIssuer",
        "metadata": {"name": ALIAS},
        "spec": {"ca": {"secretName": secret}},
    }


def root_certificate(generation: int = 1) -> Object:
    """The Certificate of a root."""
    metadata = {"name": f"{ALIAS}-g{generation}", "namespace": "cert-manager"}
    status = {"conditions": [READY], "revision": 1}
    return {"apiVersion": CERT_MANAGER, "kind": "Certificate", "metadata": metadata, "spec": {}, "status": status}


def fresh(shape: made.Shape = made.CACERTS, *, root: made.Issued | None = None) -> made.Issued:
    """A new `cacerts` that is valid now."""
    now = datetime.now(UTC).replace(microsecond=0)
    return (root or made.mesh_root()).issue(shape.but(not_before=now, not_after=now + timedelta(days=30)))


@dataclass
class CertManager:
    """A reaction of the cluster in memory: Issuing is answered by the next of `chains`, and so is another duration."""

    chains: list[made.Issued] = field(default_factory=list)
    denied: str = ""

    def __call__(self, cluster: InMemoryCluster, stored: Object) -> None:
        if ref_of(stored) != REF:
            return
        asked = (stored["metadata"].get("annotations") or {}).get("test/duration", "1440h") != stored["spec"][
            "duration"
        ]
        if issuing(stored) or asked:
            self._issue(cluster, stored)

    def _issue(self, cluster: InMemoryCluster, stored: Object) -> None:
        notes = {**(stored["metadata"].get("annotations") or {}), "test/duration": stored["spec"]["duration"]}
        metadata = {**stored["metadata"], "annotations": notes}
        revision = stored["status"]["revision"] + 1
        if self.denied:
            failed = {"type": "Issuing", "status": "False", "reason": "Denied", "message": self.denied}
            status = {**stored["status"], "conditions": [READY, failed]}
        else:
            status = {"conditions": [READY], "revision": revision}
            cluster.put(request(f"cacerts-{revision}", self.chains.pop(0), revision=revision))
        cluster.put({**stored, "metadata": metadata, "status": status})
