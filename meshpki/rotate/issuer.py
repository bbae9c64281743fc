"""The root that the alias signs with now, from public sources: a root that changed unseen is no rotation below it."""

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import Ref
from meshpki.components.trust import ALIAS, CERT_MANAGER, Pin, issued, pinned
from meshpki.pki.certificate import Certificate
from meshpki.settings import Settings

ISSUER = Ref(CERT_MANAGER, "ClusterIssuer", "", ALIAS)


def signing_root(reader: Reader, settings: Settings) -> Certificate | None:
    """The newest certificate of the Secret that the alias names, by its Certificate's request; None where unknown.

    An existing CA's Secret has no Certificate: it is the CA that the last probe found there, as long as the alias
    names that Secret; what its owner has put there since, only the next issued certificate tells.
    """
    live = reader.get(ISSUER) or {}
    secret = str(live.get("spec", {}).get("ca", {}).get("secretName", ""))
    if not secret:
        return None
    if settings.root.existing.secret_name:
        pin = pinned(reader) if secret == settings.root.existing.secret_name else None
        return pin.signer if pin else None
    _, chain = issued(reader, Ref(CERT_MANAGER, "Certificate", settings.namespaces.cert_manager, secret))
    return chain[0] if chain else None


def hidden_change(signing: Certificate | None, pin: Pin, below: str | None) -> str:
    """Why a CA issued now would not lie under the same root as the one of before, whose authority key id is `below`.

    Empty where it would. Key ids (hex) are compared and not the names: a root that was lost comes back with a new key
    under the old name. An existing CA's owner may renew it under the same root, which the probe of `up` has seen.
    """
    if signing is None:
        return f"the root that {ISSUER} signs with cannot be told: its Secret has no Certificate of that name"
    if signing.sha256 != pin.signer.sha256:
        return f"{ISSUER} signs with the root {signing.sha256}, and {pin.signer.sha256} is pinned"
    if below is not None and not pin.chain and signing.ski != below:
        return f"{ISSUER} signs with the key {signing.ski}, and the CA in use was signed by {below}"
    return ""
