"""SPIRE in memory: servers with their slots and one bundle, an agent a node, and the Envoys that the agents serve.

Rules and error texts are those seen on the real one (SPIRE 1.15.3 with cert-manager's plugin, rotation-live 4 and 5):
a root is learnt by minting alone; `prepare` overwrites the old slot; only the root above the old slot can be tainted;
a mint whose roots lack a tainted one drops that from the bundle, and one from a tainted root puts an untainted twin
beside it; the ConfigMap is written with mint and activation, not with a taint; a taint makes the server that was
called move its own certificate; nothing is minted under a root that has ended (pkg/server/ca/validation.go), and no
agent takes anything from a server that serves under one; a restart keeps the slots, or mints and activates at once
where its journal is lost.
"""

import base64
import contextlib
import json
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import pairwise

from cryptography.hazmat.primitives.serialization import Encoding

from meshpki.cluster.client import ClusterError
from meshpki.cluster.manifest import Object, Ref
from tests.support import certificates as made
from tests.support.certificates import TRUST_DOMAIN, Issued
from tests.support.cluster import InMemoryCluster, config_map
from tests.support.control_plane import SERVER, listener, replica
from tests.support.hours import Hours
from tests.support.mesh import dump, paged, pod

# In seconds of the hours; the real ones take 5, 5, 3 and 8, in the same order of one to another.
SYNC, REISSUED, AGENT_BACK, OWN_MOVES = 2.0, 2.0, 0.5, 3.0
_WRONG = "rpc error: code = Internal desc = failed to {} upstream authority: {}"


@dataclass
class Slotted:
    """A CA in a slot of a server."""

    ca: Issued

    @property
    def upstream(self) -> Issued:
        return self.ca.chain[-1]

    @property
    def shown(self) -> Object:
        certificate = self.ca.certificate
        return {
            "authority_id": certificate.ski,
            "expires_at": str(int(certificate.not_after.timestamp())),
            "upstream_authority_subject_key_id": self.upstream.certificate.ski,
        }


@dataclass
class Server:
    """One spire-server: its slots, the CA of its own certificate, and until when it is down."""

    name: str
    active: Slotted
    serving: Issued
    prepared: Slotted | None = None
    old: Slotted | None = None
    down: datetime | None = None


@dataclass
class Workload:
    """What one Envoy holds: a leaf under a CA, and the anchors that its agent brought, by their SHA-256."""

    name: str
    node: str
    account: str
    ca: Issued
    anchors: tuple[Issued, ...]
    namespace: str = "bookinfo"

    @property
    def root(self) -> Issued:
        return self.ca.chain[-1]


@dataclass
class Spire:
    """`sign` mints a CA from whatever the alias issuer signs with; `minted` hears of each, with whether it was tainted.

    `half` is half of an SVID's life, in seconds: after it a leaf, and a server's own, has moved by itself.
    """

    cluster: InMemoryCluster
    hours: Hours
    sign: Callable[[], Issued]
    half: float = 150.0
    servers: dict[str, Server] = field(default_factory=dict)
    bundle: list[tuple[Issued, bool]] = field(default_factory=list)
    workloads: dict[str, Workload] = field(default_factory=dict)
    known: dict[str, tuple[Issued, ...]] = field(default_factory=dict)
    from_tainted: list[str] = field(default_factory=list)
    changed: Callable[[], None] = lambda: None

    @property
    def roots(self) -> tuple[Issued, ...]:
        """The anchors of the bundle; a twin counts twice, as Envoy lists it."""
        return tuple(root for root, _ in self.bundle)

    def begin(self, servers: int, nodes: Sequence[str]) -> None:
        """As after the installation: every server signs, every node has an agent."""
        for number in range(servers):
            ca = Slotted(self._learnt(self.sign()))
            self.servers[f"spire-server-{number}"] = Server(f"spire-server-{number}", ca, ca.ca)
            self.cluster.put(replica("spire-server", number))
            self._listen(f"spire-server-{number}")
        for node in nodes:
            self.known[node] = self.roots
            self.cluster.put(_agent(node, 0))
        self._publish()

    def born(self, name: str, node: str, account: str, namespace: str = "bookinfo") -> Workload:
        """A new pod's Envoy, served by its node's agent with what that knows."""
        one = Workload(name, node, account, self._server_of(node).active.ca, self.known[node], namespace)
        self.workloads[name] = one
        shown = pod(name, namespace=namespace, account=account)
        self.cluster.put({**shown, "spec": {**shown["spec"], "nodeName": node}})
        self.cluster.listeners[name, 15000] = partial(self._admin, one)
        self.changed()
        return one

    def command(self, where: Ref, argv: Sequence[str]) -> str:
        """What spire-server's command line answers, as JSON; raises ClusterError as a failed exec does."""
        server = self.servers[where.name]
        if server.down and server.down > self.hours.now():
            raise _failed('connection error: desc = "transport: error while dialing: connection refused"')
        words, flags = [word for word in argv[1:4] if not word.startswith("-")], dict(pairwise(argv))
        match words[:3]:
            case ["localauthority", "x509", "show"]:
                return json.dumps({name: slot.shown for name, slot in _slots(server) if slot})
            case ["localauthority", "x509", "prepare"]:
                return json.dumps({"prepared_authority": self.prepare(server).shown})
            case ["localauthority", "x509", "activate"]:
                return json.dumps({"activated_authority": self.activate(server, flags["-authorityID"]).shown})
            case ["upstreamauthority", "taint"]:
                return json.dumps({"upstream_authority_subject_key_id": self.taint(server, flags["-subjectKeyID"])})
            case ["bundle", "show"]:
                listed = [{"asn1": base64.b64encode(root.x509.public_bytes(Encoding.DER)).decode(), "tainted": tainted}
                          for root, tainted in self.bundle]  # fmt: skip
                return json.dumps({"trust_domain": TRUST_DOMAIN, "x509_authorities": listed})
        raise _failed(f"unknown command {words}")

    def prepare(self, server: Server) -> Slotted:
        """Mint the next CA; it takes the slot of the old one."""
        server.prepared, server.old = Slotted(self._mint()), None
        self._publish()
        return server.prepared

    def activate(self, server: Server, authority: str) -> Slotted:
        """Sign with the prepared one from now on."""
        if server.prepared is None or server.prepared.shown["authority_id"] != authority:
            raise _failed("rpc error: code = InvalidArgument desc = unexpected authority ID")
        server.old, server.active, server.prepared = server.active, server.prepared, None
        self._publish()
        self._move_later(server, self.half)
        return server.active

    def taint(self, server: Server, ski: str) -> str:
        """Mark the root above the old slot as one to get away from."""
        if server.active.upstream.certificate.ski == ski:
            raise _failed(_WRONG.format("taint", "unable to use upstream authority singing current authority"))
        if server.old is None or server.old.upstream.certificate.ski != ski:
            raise _failed(_WRONG.format("taint", "only upstream authorities signing an old authority can be used"))
        if any(tainted and root.certificate.ski == ski for root, tainted in self.bundle):
            raise _failed(_WRONG.format("taint", "root CA is already tainted"))
        self.bundle = [(root, tainted or root.certificate.ski == ski) for root, tainted in self.bundle]
        self._move_later(server, OWN_MOVES, leaves=False)
        for node in self.known:
            self.hours.later(SYNC, partial(self._chase, node))
        self.changed()
        return ski

    def restart(self, name: str, *, journal: bool = True, seconds: float = 3.0) -> None:
        """The pod is started again, with its CAs or with none of them."""
        server = self.servers[name]
        server.down = self.hours.now() + timedelta(seconds=seconds)
        if not journal:
            server.active, server.prepared, server.old = Slotted(self._mint()), None, None
            self._publish()
        server.serving = server.active.ca
        self.changed()

    def restart_agent(self, node: str, number: int) -> None:
        """A new agent's pod: it asks for everything anew, and its Envoys follow some seconds later."""
        self.cluster.put(_agent(node, number))
        self.hours.later(REISSUED, partial(self._serve, node))

    def prepare_by_itself(self, name: str) -> None:
        """Half of the CA's life is over."""
        self.prepare(self.servers[name])

    def _mint(self) -> Issued:
        ca = self.sign()
        if self._ended(ca):
            raise _failed("rpc error: code = InvalidArgument desc = X509 CA minted by upstream authority is invalid")
        return self._learnt(ca)

    def _ended(self, ca: Issued) -> bool:
        return any(one.certificate.not_after <= self.hours.now() for one in (ca, *ca.chain))

    def _learnt(self, ca: Issued) -> Issued:
        root = ca.chain[-1]
        if (root, True) in self.bundle:
            self.from_tainted.append(root.certificate.subject)
        self.bundle = [(one, tainted) for one, tainted in self.bundle if not tainted or one is root]
        if (root, False) not in self.bundle:
            self.bundle.append((root, False))
        return ca

    def _publish(self) -> None:
        text = made.pem(*dict.fromkeys(self.roots)).decode()
        self.cluster.put(config_map("spire-bundle", "spire-system", **{"bundle.crt": text}))
        for node in self.known:
            self.hours.later(SYNC, partial(self._sync, node))
        self.changed()

    def _sync(self, node: str) -> None:
        """An agent's look at its server: the bundle goes to its Envoys."""
        if self._ended(self._server_of(node).serving):
            return
        self.known[node] = self.roots
        for one in self._on(node):
            one.anchors = self.roots
        self.changed()

    def _serve(self, node: str) -> None:
        """New SVIDs, with the bundle, for every Envoy of a node."""
        if self._ended(self._server_of(node).serving):
            return
        self.known[node] = self.roots
        for one in self._on(node):
            one.anchors, one.ca = self.roots, self._server_of(node).active.ca
        self.changed()

    def _chase(self, node: str) -> None:
        """Leaves under a tainted root are issued anew."""
        if any(tainted and one.root is root for one in self._on(node) for root, tainted in self.bundle):
            self._serve(node)

    def _move_later(self, server: Server, seconds: float, *, leaves: bool = True) -> None:
        def own() -> None:
            server.serving = server.active.ca
            self.changed()

        self.hours.later(seconds, own)
        if leaves:
            for node in self.known:
                self.hours.later(seconds - 10, partial(self._serve, node))

    def _server_of(self, node: str) -> Server:
        """The server that an agent talks to."""
        names = sorted(self.servers)
        return self.servers[names[sorted(self.known).index(node) % len(names)]]

    def _on(self, node: str) -> Iterable[Workload]:
        return [one for one in self.workloads.values() if one.node == node]

    def _listen(self, name: str) -> None:
        def serve(connection: socket.socket) -> None:
            server = self.servers[name]
            if server.down and server.down > self.hours.now():
                with contextlib.closing(connection):
                    return
            _own(server.serving)(connection)

        self.cluster.listeners[name, 8081] = serve

    def _admin(self, one: Workload, connection: socket.socket) -> None:
        paged(lambda asked: (200, self._counted() if b"/stats" in asked else _dumped(one)))(connection)

    def _counted(self) -> bytes:
        """Counters that grow with the hours, and none that must not."""
        names, seconds = (
            ("listener.15006.ssl.handshake", "sds.default.update_success"),
            int(self.hours.now().timestamp()),
        )
        return json.dumps({"stats": [{"name": name, "value": seconds} for name in names]}).encode()


@cache
def _own(ca: Issued) -> Callable[[socket.socket], None]:
    return listener(
        ca.issue(SERVER.but(not_before=ca.x509.not_valid_before_utc, not_after=ca.x509.not_valid_after_utc)), ca
    )


def _dumped(one: Workload) -> bytes:
    return _secrets(one.namespace, one.account, one.ca, one.anchors)


@cache
def _secrets(namespace: str, account: str, ca: Issued, anchors: tuple[Issued, ...]) -> bytes:
    leaf = ca.issue(
        made.SVID.but(
            uris=(f"spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{account}",),
            not_before=ca.x509.not_valid_before_utc,
            not_after=ca.x509.not_valid_after_utc,
        )
    )
    return dump(made.pem(leaf, ca), {TRUST_DOMAIN: made.pem(*anchors)})


def _slots(server: Server) -> tuple[tuple[str, Slotted | None], ...]:
    return ("active", server.active), ("prepared", server.prepared), ("old", server.old)


def _agent(node: str, number: int) -> Object:
    labels = {"app": "spire-agent"}
    metadata = {"name": f"spire-agent-{node}-{number}", "namespace": "spire-system", "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": node, "containers": [{"name": "spire-agent"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "spire-agent", "ready": True, "state": {"running": {}}}],
        },
    }


def _failed(said: str) -> ClusterError:
    return ClusterError("MPK-102", f"`/opt/spire/bin/spire-server` failed: {said}", status=500)
