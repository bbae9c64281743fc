"""cert-manager in memory: Certificates issued when they are new or triggered, by a root or by the alias issuer.

What is known of the real one is in the words of the hand-made rotations on this stack: it writes its single root into
`ca.crt` with each issuance and takes the field back by that; it re-issues nothing when the alias is pointed elsewhere;
a deleted Secret of a root comes back with another key under the same name; it never writes between issuances.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from cryptography.x509.oid import NameOID

from meshpki.cluster.manifest import Object, Ref, ref_of
from meshpki.cluster.readiness import holds
from meshpki.components.trust import ALIAS, CERT_MANAGER
from tests.support import certificates as made
from tests.support.certificates import Issued, Shape
from tests.support.cluster import InMemoryCluster
from tests.support.control_plane import encoded, request
from tests.support.hours import Hours

CONTROLLER = "cert-manager-certificates-issuing"
_ALIAS = Ref(CERT_MANAGER, "ClusterIssuer", "", ALIAS)


@dataclass
class CertManager:
    """`keys` are the CAs by their Secret; `within` is how long an issuance takes, in seconds of the hours.

    `ends` are the roots, by their Secret's name, that live for so long from now, or have ended so long ago.
    """

    cluster: InMemoryCluster
    hours: Hours
    within: float = 0.5
    keys: dict[Ref, Issued] = field(default_factory=dict)
    minted: list[Callable[[Issued], None]] = field(default_factory=list)
    ends: dict[str, timedelta] = field(default_factory=dict)
    _at_it: set[Ref] = field(default_factory=set)

    def react(self, _cluster: InMemoryCluster, stored: Object) -> None:
        """A Certificate that is new, or that somebody has triggered, is issued in a while."""
        ref = ref_of(stored)
        if stored["kind"] != "Certificate" or ref in self._at_it:
            return
        if "revision" not in stored.get("status", {}) or holds(stored, "Issuing"):
            self._at_it.add(ref)
            self.hours.later(self.within, partial(self.issue, ref))

    def signer(self) -> Issued:
        """The CA that the alias issuer signs with now."""
        name = self.cluster.objects[_ALIAS]["spec"]["ca"]["secretName"]
        return self.keys[Ref("v1", "Secret", "cert-manager", name)]

    def sign(self, shape: Shape) -> Issued:
        """A CA below the alias, as for a CertificateRequest of SPIRE's."""
        return self.signer().issue(self.dated(shape))

    def dated(self, shape: Shape) -> Shape:
        """The shape with its life counted from now."""
        now = self.hours.now()
        return shape.but(not_before=now - made.HOUR, not_after=now + (shape.not_after - made.AT))

    def lose(self, secret: Ref) -> None:
        """Somebody deletes the Secret of a root: it comes back, with another key (rotation-live 5.6)."""
        self.keys.pop(secret)
        self.cluster.objects.pop(secret)
        self.hours.later(self.within, partial(self.issue, Ref(CERT_MANAGER, "Certificate", *secret_place(secret))))

    def issue(self, ref: Ref) -> None:
        """Issue it: the request with the chain, the Secret, then the status."""
        with self.cluster.lock:
            live = self.cluster.objects[ref]
            secret = Ref("v1", "Secret", ref.namespace, live["spec"]["secretName"])
            revision = int(live.get("status", {}).get("revision", 0)) + 1
            issued = self._root(live, secret) if live["spec"]["issuerRef"]["kind"] == "Issuer" else self.sign(_CACERTS)
            self.keys[secret] = issued
            chain = (issued, *issued.chain)[: max(1, len(issued.chain))]
            answer = request(f"{ref.name}-{revision}", *chain, namespace=ref.namespace, certificate=ref.name,
                             revision=revision, issuer=live["spec"]["issuerRef"])  # fmt: skip
            self.cluster.put(answer, self._secret(secret, chain, (issued, *issued.chain)[-1]))
            self._at_it.discard(ref)
            status = {"revision": revision, "conditions": [{"type": "Ready", "status": "True"}]}
            renewal = self.hours.now() + timedelta(days=30)
            self.cluster.put({**live, "status": {**status, "renewalTime": f"{renewal:%Y-%m-%dT%H:%M:%SZ}"}})

    def _root(self, live: Object, secret: Ref) -> Issued:
        """A self-signed one keeps its key while its Secret is there (rotationPolicy Never)."""
        before = self.keys.get(secret)
        shape = self.dated(made.ROOT.but(subject=((NameOID.COMMON_NAME, live["spec"]["commonName"]),)))
        if secret.name in self.ends:
            shape = shape.but(not_after=self.hours.now() + self.ends[secret.name])
        return made.root(shape, private_key=before.private_key if before else None)

    def _secret(self, ref: Ref, chain: tuple[Issued, ...], root: Issued) -> Object:
        """The Secret as it is written, by force: whoever else owned `ca.crt` owns it no longer."""
        before = self.cluster.objects.get(ref, {"metadata": {}})
        others = [
            _without(entry) for entry in before["metadata"].get("managedFields", []) if entry["manager"] != CONTROLLER
        ]
        mine = {"manager": CONTROLLER, "operation": "Apply", "fieldsV1": {"f:data": {"f:ca.crt": {}, "f:tls.crt": {}}}}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                **before["metadata"], "name": ref.name, "namespace": ref.namespace, "managedFields": [*others, mine],
            },
            "data": {"tls.crt": encoded(made.pem(*chain)), "ca.crt": encoded(root.pem)},
        }  # fmt: skip


_CACERTS = made.CACERTS


def secret_place(secret: Ref) -> tuple[str, str]:
    """Namespace and name, which a Secret shares with its Certificate here."""
    return secret.namespace, secret.name


def _without(entry: Object) -> Object:
    fields = entry.get("fieldsV1", {})
    data = {name: value for name, value in fields.get("f:data", {}).items() if name != "f:ca.crt"}
    return {**entry, "fieldsV1": {**fields, "f:data": data}} if "f:data" in fields else entry
