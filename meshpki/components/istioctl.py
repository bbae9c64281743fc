"""The upstream installer as a child process that dies with us, and the record by which a later run needs none."""

import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import Object, Query, Ref, digest, owned
from meshpki.components.trust import STATE_NAMESPACE
from meshpki.errors import PreconditionError, StepError
from meshpki.leash import leashed
from meshpki.workflow.apply import apply

RECORD = Ref("v1", "ConfigMap", STATE_NAMESPACE, "meshpki-istio")
MANAGED = "operator.istio.io/managed=Reconcile"
_RBAC = "rbac.authorization.k8s.io/v1"
_INSTALLED = (
    *(("apps/v1", "Deployment"), ("v1", "Service"), ("v1", "ConfigMap"), ("v1", "ServiceAccount")),
    *((_RBAC, kind) for kind in ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("policy/v1", "PodDisruptionBudget"),
)
_SHOWN_LINES = 15
_MEMBER_LIMIT = 512 * 1024 * 1024


@dataclass(frozen=True)
class Istioctl:
    """Where istioctl lies (a release archive), how it reaches the cluster, and the proxies it runs with."""

    archive: Path
    kubeconfig: Path | None = None
    context: str = ""
    environment: Mapping[str, str] | None = None

    def install(self, operator: Object, readiness_seconds: int, stop: threading.Event) -> None:
        """Run `istioctl install`; it is killed when `stop` is set. Raises StepError (MPK-206) with its last lines."""
        with tempfile.TemporaryDirectory(prefix="meshpki-") as folder, tempfile.TemporaryFile() as output:
            binary, wish = _extract(self.archive, Path(folder)), Path(folder, "operator.yaml")
            wish.write_text(yaml.dump(operator, Dumper=yaml.CSafeDumper), encoding="utf-8")
            argv = [str(binary), "install", "--skip-confirmation", "--filename", str(wish)]
            argv += ["--readiness-timeout", f"{readiness_seconds}s", *self._target()]
            leash = leashed if shutil.which("setpriv") else tuple
            child = subprocess.Popen(
                leash(argv), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=self.environment
            )
            code = _wait(child, stop)
            if code and not stop.is_set():
                output.seek(0)
                said = "\n".join(output.read().decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:])
                raise StepError("MPK-206", f"istioctl install ended with exit code {code}:\n{said}", where="step istio")

    def _target(self) -> list[str]:
        kubeconfig = ["--kubeconfig", str(self.kubeconfig)] if self.kubeconfig else []
        return [*kubeconfig, *(["--context", self.context] if self.context else [])]


def _wait(child: subprocess.Popen[bytes], stop: threading.Event) -> int:
    try:
        while child.poll() is None and not stop.wait(0.1):
            pass
    finally:
        if child.poll() is None:
            child.kill()
    return child.wait()


def _extract(archive: Path, folder: Path) -> Path:
    """The one member `istioctl`, by name; anything else in the archive is not touched."""
    target = folder / "istioctl"
    try:
        with tarfile.open(archive) as packed:
            member = packed.getmember("istioctl")
            content = packed.extractfile(member)
            if not member.isfile() or content is None or member.size > _MEMBER_LIMIT:
                raise PreconditionError("MPK-054", "its member `istioctl` is no plain file", where=str(archive))
            with target.open("wb") as out:
                shutil.copyfileobj(content, out)
    except (tarfile.TarError, KeyError) as error:
        raise PreconditionError("MPK-054", f"no release archive of istioctl: {error}", where=str(archive)) from error
    target.chmod(0o700)
    return target


def recorded(reader: Reader, operator: Object) -> bool:
    """Whether this very IstioOperator was installed, and what it made still is as it was."""
    record = reader.get(RECORD)
    if record is None or record.get("data", {}).get("operator") != digest(operator):
        return False
    return bool(record["data"].get("objects") == fingerprint(reader))


def claim(cluster: Cluster) -> None:
    """Say, before istioctl's first write, that this Istio is ours: a run killed inside istioctl can then go on."""
    # written even where it says so already: whatever comes before each write comes before istioctl's, too
    cluster.apply(owned(_record("", ""), "istio"))


def record(cluster: Cluster, operator: Object) -> None:
    """Keep what was installed, so that an unchanged mesh is known without running istioctl."""
    apply(cluster, owned(_record(digest(operator), fingerprint(cluster)), "istio"))


def _record(operator: str, objects: str) -> Object:
    return {
        "apiVersion": RECORD.api_version,
        "kind": RECORD.kind,
        "metadata": {"name": RECORD.name, "namespace": RECORD.namespace},
        "data": {"operator": operator, "objects": objects},
    }


def fingerprint(reader: Reader) -> str:
    """A digest of what istioctl keeps in the cluster: identity and content, without what controllers fill in."""
    found = [
        (item["kind"], item["metadata"]["name"], item["metadata"]["uid"], _content(item))
        for api_version, kind in _INSTALLED
        for item in reader.list(Query(api_version, kind, labels=MANAGED))
    ]
    return digest(sorted(found, key=lambda row: row[:3]))


def _content(item: Object) -> object:
    """What says that an object is as it was; istiod itself keeps the webhooks' caBundle and failure policy."""
    match item["kind"]:
        case "Deployment":
            # Its replicas may belong to an autoscaler, and its restart annotation to a rotation.
            pod = item["spec"]["template"]["spec"]
            return {"containers": pod.get("containers"), "volumes": pod.get("volumes")}
        case "Service":
            return {key: item["spec"].get(key) for key in ("selector", "type")}
        case "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration":
            return [hook["name"] for hook in item.get("webhooks", [])]
        case "CustomResourceDefinition":
            return [version["name"] for version in item["spec"]["versions"]]
        case "PodDisruptionBudget":
            return item["spec"]
        case _:
            return {key: item.get(key) for key in ("data", "rules", "roleRef", "subjects")}
