"""When cert-manager renews a CA, as its own objects tell; SPIRE's and istiod's renewals are in `pki/renewal.py`."""

from collections.abc import Mapping
from datetime import datetime

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Object
from meshpki.components.trust import issued, istiod_certificate
from meshpki.errors import MeshpkiError
from meshpki.pki.renewal import CERT_MANAGER, Renewal
from meshpki.settings import Settings


def renewal_of(certificate: Object) -> Renewal:
    """When cert-manager renews a Certificate: `status.renewalTime`, which it keeps itself."""
    return Renewal(CERT_MANAGER, read_time(certificate.get("status", {}).get("renewalTime")))


def cacerts_renewal(reader: Reader, settings: Settings) -> Mapping[str, Renewal]:
    """The renewal of the newest `cacerts` by that certificate's SHA-256; empty where the cluster does not tell."""
    ref = istiod_certificate(settings)
    try:
        live, (_, chain) = reader.get(ref), issued(reader, ref)
    except MeshpkiError:
        return {}
    return {chain[0].sha256: renewal_of(live)} if live and chain else {}


def read_time(text: object) -> datetime | None:
    """A time of the Kubernetes API (RFC 3339), None where there is none."""
    return datetime.fromisoformat(str(text)) if text else None
