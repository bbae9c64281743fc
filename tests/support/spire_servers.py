"""spire-servers in memory: their pods, and a command line whose slots prepare and activate move."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from meshpki.cluster.manifest import Object, Ref
from meshpki.components.spire_authorities import Authority, Slots, Trusted
from tests.support import certificates as made
from tests.support.certificates import AT
from tests.support.cluster import InMemoryCluster, config_map
from tests.support.control_plane import root_request
from tests.support.istiod_ca import alias, root_certificate
from tests.support.mesh import pin

HOUR = timedelta(hours=1)
ROOT, OTHER = made.mesh_root().certificate, made.root().certificate
SKI = str(ROOT.ski)
A, B, C = (Authority(name * 4, SKI, AT + hours * HOUR) for name, hours in (("a1", 20), ("b2", 24), ("c3", 22)))
STRANGE = replace(B, upstream=str(OTHER.ski))
BUNDLE = (Trusted(ROOT, False),)
CONF = 'plugins {\n  KeyManager "disk" {\n  }\n}\n'


def pod(number: int = 0, image: str = "ghcr.io/spiffe/spire-server:1.15.3") -> Object:
    metadata = {
        "name": f"spire-server-{number}",
        "namespace": "spire-server",
        "labels": {"app.kubernetes.io/name": "spire-server"},
    }
    spec = {"containers": [{"name": "spire-server", "image": image}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Running"}}


def workload(**spec: object) -> Object:
    metadata = {"name": "spire-server", "namespace": "spire-server"}
    found = {
        "selector": {"matchLabels": {"app.kubernetes.io/name": "spire-server"}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
        **spec,
    }
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": found}


@dataclass
class Spire:
    """Two spire-servers' command lines: slots that prepare and activate move."""

    slots: dict[str, Slots] = field(default_factory=dict)
    next: list[Authority] = field(default_factory=lambda: [B, C])
    bundle: tuple[Trusted, ...] = BUNDLE
    asked: list[str] = field(default_factory=list)

    def __call__(self, ref: Ref, argv: Sequence[str]) -> str:
        words = [word for word in argv[1:] if not word.startswith(("-", "/"))]
        held = self.slots[ref.name]
        match words:
            case ["localauthority", "x509", "show", *_]:
                shown = (("active", held.active), ("prepared", held.prepared), ("old", held.old))
                return json.dumps({name: _state(one) for name, one in shown if one})
            case ["bundle", "show", *_]:
                listed = [
                    {"asn1": base64.b64encode(one.root.der).decode(), "tainted": one.tainted} for one in self.bundle
                ]
                return json.dumps({"x509_authorities": listed})
            case ["localauthority", "x509", "prepare", *_]:
                self.asked.append(f"prepare {ref.name}")
                self.slots[ref.name] = replace(held, prepared=self.next.pop(0))
                return json.dumps({"prepared_authority": _state(self.slots[ref.name].prepared)})
            case ["localauthority", "x509", "activate", name, *_]:
                self.asked.append(f"activate {ref.name} {name}")
                assert held.prepared is not None
                assert held.prepared.authority_id == name
                self.slots[ref.name] = Slots(held.prepared, old=held.active)
                return json.dumps({"activated_authority": _state(held.prepared)})
            case _:
                raise AssertionError(words)


def _state(one: Authority | None) -> Object:
    assert one is not None
    return {
        "authority_id": one.authority_id,
        "expires_at": str(int(one.expires.timestamp())),
        "upstream_authority_subject_key_id": one.upstream,
    }


def mesh_of(spire: Spire, *objects: Object) -> InMemoryCluster:
    there = InMemoryCluster(shell=spire)
    there.put(
        pin(made.mesh_root()),
        workload(),
        alias(),
        root_certificate(),
        root_request(made.mesh_root()),
        config_map("spire-server", "spire-server", **{"server.conf": CONF}),
        *(pod(number) for number in range(len(spire.slots))),
        *objects,
    )
    return there


def two() -> Spire:
    return Spire({"spire-server-0": Slots(A), "spire-server-1": Slots(replace(A, authority_id="a2a2"))})
