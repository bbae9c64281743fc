"""The API server's stand-in as a process of its own, with a mesh of many pods: `stand_in.py FOLDER PODS SMALL SECONDS`.

Its kubeconfig lies in FOLDER when it prints `ready`. SMALL of the pods are in namespace `small`, the others in `large`.
"""

import asyncio
import sys
from pathlib import Path

from meshpki.cluster.manifest import Object
from tests.support import certificates as made
from tests.support.apiserver import NAME, Reply, StandIn, kubeconfig, server_tls, valid
from tests.support.control_plane import SERVER, replica, workload
from tests.support.mesh import dump, pin, pod

ACCOUNT = "app"
# what a real pod object carries besides, so that a page weighs what it weighs there: about 5 KB a pod
ENVIRONMENT = [{"name": f"VARIABLE_{number}", "value": "x" * 24} for number in range(30)]
MANAGED = [{"manager": "kubelet", "fieldsV1": {f"f:field-{number}": {"f:a": {}, "f:b": {}} for number in range(40)}}]


def main(folder: Path, size: int, small: int, seconds: float) -> None:
    root = made.root(valid(made.ROOT))
    pods = [_pod(number, "small" if number < small else "large") for number in range(size)]
    ca = root.issue(valid(made.SPIRE_CA))
    server = ca.issue(valid(SERVER))
    replies = {**_replies(root, ca, pods), "spire-server-0": Reply(serves=server_tls(server, ca))}
    objects = {
        "/api/v1/pods": pods,
        "/api/v1/namespaces/small/pods": pods[:small],
        "/api/v1/namespaces/kube-system/configmaps": [pin(root)],
        "/apis/apps/v1/namespaces/spire-server/statefulsets": [workload("StatefulSet", "spire-server")],
        "/api/v1/namespaces/spire-server/pods": [replica("spire-server", 0)],
    }
    asyncio.run(_serve(StandIn(replies.__getitem__, objects, seconds), folder))


def _pod(number: int, namespace: str) -> Object:
    made_pod = pod(f"app-{number % 50}-5d9-{number:05}", namespace=namespace, account=ACCOUNT)
    made_pod["metadata"]["managedFields"] = MANAGED
    made_pod["spec"]["containers"][0]["env"] = ENVIRONMENT
    return made_pod


def _replies(root: made.Issued, ca: made.Issued, pods: list[Object]) -> dict[str, Reply]:
    """A leaf of its own for each pod; one key, which nobody needs here, for all of them."""
    key = made.new_key("P-256")
    shapes = {
        namespace: valid(made.SVID.but(uris=(f"spiffe://{made.TRUST_DOMAIN}/ns/{namespace}/sa/{ACCOUNT}",)))
        for namespace in ("small", "large")
    }
    replies = {}
    for one in pods:
        leaf = ca.issue(shapes[one["metadata"]["namespace"]], private_key=key)
        replies[one["metadata"]["name"]] = Reply(body=dump(made.pem(leaf, ca), {made.TRUST_DOMAIN: root.pem}))
    return replies


async def _serve(stand_in: StandIn, folder: Path) -> None:
    authority = made.root(valid(made.ROOT))
    server = await stand_in.serve(server_tls(authority.issue(valid(made.SVID.but(uris=(), dns=(NAME,))))))
    kubeconfig(folder, server.sockets[0].getsockname()[1], authority.pem)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
