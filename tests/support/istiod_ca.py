"""istiod's CA as cert-manager shows it, and a cert-manager in memory that issues it again when it is asked to."""

from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass
class CertManager:
    """A reaction of the cluster in memory: Issuing is answered with another CA, and so is another duration.

    `denied` is why the request is refused instead, empty where it is not.
    """

    issue: Callable[[], made.Issued]
    denied: str = ""
    seen: str = "1440h"

    def __call__(self, cluster: InMemoryCluster, stored: Object) -> None:
        """Look at a Certificate that was written."""
        if ref_of(stored) == REF and (issuing(stored) or stored["spec"]["duration"] != self.seen):
            self.seen = stored["spec"]["duration"]
            cluster.put({**stored, "status": self._answered(cluster, stored["status"])})

    def _answered(self, cluster: InMemoryCluster, status: Object) -> Object:
        if self.denied:
            failed = {"type": "Issuing", "status": "False", "reason": "Denied", "message": self.denied}
            return {**status, "conditions": [READY, failed]}
        revision = status["revision"] + 1
        cluster.put(request(f"cacerts-{revision}", self.issue(), revision=revision))
        return {"conditions": [READY], "revision": revision}
