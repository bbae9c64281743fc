"""A root replaced by hand, as people do it without an order, and a watch over what refuses what meanwhile."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from meshpki.cluster.client import ClusterError
from meshpki.cluster.kubernetes import KubernetesCluster
from meshpki.components.rollout import deployment
from meshpki.errors import MeshpkiError
from meshpki.pki.certificate import Certificate, read_chain
from meshpki.pki.chain import proves
from meshpki.rotate.reissue import triggered
from meshpki.verify import looks
from meshpki.verify.places import PlaceKind
from tests.conftest import Command
from tests.e2e.conftest import Mesh
from tests.e2e.staging import spire_server

BOOKINFO = "bookinfo"
LOOK = 1.0
_NEXT = b"--next--"
_MOUNTED = (
    "for one in /var/lib/kubelet/pods/*/volumes/kubernetes.io~configmap/istiod-ca-cert/root-cert.pem; do"
    ' cat "$one"; echo --next--; done'
)


@dataclass(frozen=True)
class Hand:
    """kubectl, as somebody who rotates a root by hand uses it."""

    mesh: Mesh
    meshpki: Command

    def kubectl(self, *argv: str) -> str:
        return self.mesh.kubectl(*argv)

    def generation(self) -> str:
        return str(self.mesh.json("-n", "kube-system", "get", "configmap", "meshpki-trust")["data"]["generation"])

    def root_is_made_again(self) -> None:
        """The Secret of the root deleted: cert-manager makes another key under the same name."""
        secret = ("-n", "cert-manager", f"secret/meshpki-root-g{self.generation()}")
        before = self.kubectl("get", *secret, "-o", "jsonpath={.metadata.uid}")
        self.kubectl("delete", *secret)
        self._until(lambda: self._uid(*secret) not in ("", before))

    def cacerts_is_renewed(self) -> None:
        """As `cmctl renew cacerts` does."""
        live = self.mesh.json("-n", "istio-system", "get", "certificate", "cacerts")
        patch = json.dumps(triggered(live, datetime.now(UTC)))
        self.kubectl("-n", "istio-system", "patch", "certificate", "cacerts", "--subresource=status", "--type=merge",
                     f"--patch={patch}")  # fmt: skip
        before = live["status"]["revision"]
        self._until(
            lambda: self.mesh.json("-n", "istio-system", "get", "certificate", "cacerts")["status"]["revision"] > before
        )

    def restarted(self, namespace: str, workload: str) -> None:
        self.kubectl("-n", namespace, "rollout", "restart", workload)
        self.kubectl("-n", namespace, "rollout", "status", workload, "--timeout=120s")

    def spire_signs_with_what_it_prepared(self) -> None:
        """`localauthority x509 activate` of the prepared authority, as a user reads it from `show`."""
        prepared = spire_server(self.mesh, "localauthority", "x509", "show")["prepared"]["authority_id"]
        spire_server(self.mesh, "localauthority", "x509", "activate", "-authorityID", prepared)

    def rotated_until(self, stage: str) -> None:
        where = ("--kubeconfig", str(self.mesh.lab.kubeconfig), "--context", self.mesh.lab.context)
        done = self.meshpki("rotate", "root", "--until", stage, "--no-probe", "--yes", *where)
        assert done.returncode == 0, done.stderr

    def _uid(self, *what: str) -> str:
        try:
            return self.kubectl("get", *what, "-o", "jsonpath={.metadata.uid}")
        except subprocess.CalledProcessError:
            return ""

    def _until(self, done: Callable[[], bool], seconds: float = 30) -> None:
        until = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < until
            threading.Event().wait(0.5)


class Watch:
    """Looks every second whether each pod's mounted bundle accepts each istiod, and whether a pod may be created.

    `refused` are the seconds in which some pod would have refused some istiod; `pods` how many creations failed.
    """

    def __init__(self, cluster: KubernetesCluster) -> None:
        """Nothing is looked at yet."""
        self._cluster, self._stop = cluster, threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, name="watch", daemon=True)
        self.refused, self.pods, self.looks = 0.0, 0, 0
        self.well = threading.Event()

    def __enter__(self) -> Self:
        """Look on in a thread."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join(30)

    def until_well(self, seconds: float) -> bool:
        """Whether a look finds nobody who refuses anybody, within so many seconds from now on."""
        self.well.clear()
        return self.well.wait(seconds)

    def _keep_looking(self) -> None:
        before = time.monotonic()
        while not self._stop.wait(LOOK):
            bad = self._somebody_refuses()
            now = time.monotonic()
            if bad:
                self.refused += now - before
            else:
                self.well.set()
            before, self.looks = now, self.looks + 1
            self.pods += self._pod_is_refused()

    def _somebody_refuses(self) -> bool:
        try:
            served = looks.replicas(
                self._cluster, deployment("istio-system", "istiod"), PlaceKind.ISTIOD, (15012,)
            ).take()
            chains = [looks.asked(self._cluster, one).chain for one in served.served]
            bundles = self._mounted()
        except (MeshpkiError, subprocess.SubprocessError):
            return True
        at = datetime.now(UTC)
        return not all(chain and proves(chain, bundle, at) is None for chain in chains for bundle in bundles)

    def _mounted(self) -> list[tuple[Certificate, ...]]:
        """Istio's bundle as each pod has it mounted, from the node's files: the proxy's image has no `cat`."""
        argv = [sys.executable, "-m", "meshpki", "lab", "exec", "--", "sh", "-c", _MOUNTED]
        said = subprocess.run(argv, capture_output=True, check=True, timeout=30).stdout
        return [read_chain(part) for part in said.split(_NEXT) if part.strip()]

    def _pod_is_refused(self) -> int:
        container = {"name": "app", "image": "app"}
        metadata = {"name": "tried", "namespace": BOOKINFO}
        try:
            self._cluster.dry_run(
                {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
            )
        except ClusterError:
            return 1
        return 0
