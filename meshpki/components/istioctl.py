"""The upstream installer as a child process that dies with us, and the record by which a later run needs none."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path

import yaml

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import Object, Query, Ref, digest, owned, selector
from meshpki.cluster.render import load
from meshpki.components.istio_objects import installed
from meshpki.components.trust import STATE_NAMESPACE
from meshpki.errors import PreconditionError, StepError
from meshpki.leash import leashed
from meshpki.workflow.apply import apply

RECORD = Ref("v1", "ConfigMap", STATE_NAMESPACE, "meshpki-istio")
# What istioctl installed of our IstioOperator; of anybody else's it names another owner (istio 1.29 install.go).
MANAGED = "operator.istio.io/managed"
OURS = {MANAGED: "Reconcile", "install.operator.istio.io/owning-resource": "meshpki"}
_RBAC = "rbac.authorization.k8s.io/v1"
# The kinds of what it installs.
INSTALLED = (
    *(("apps/v1", "Deployment"), ("v1", "Service"), ("v1", "ConfigMap"), ("v1", "ServiceAccount")),
    *((_RBAC, kind) for kind in ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("policy/v1", "PodDisruptionBudget"),
)
_SHOWN_LINES = 15
_GENERATE_SECONDS = 60
_MEMBER_LIMIT = 256 * 1024 * 1024


@dataclass(frozen=True)
class Istioctl:
    """Where istioctl lies (a release archive), and how it reaches the cluster: in meshpki's own environment.

    `sha256` is what the archive was checked to be; what is unpacked later has to be that still.
    """

    archive: Path
    kubeconfig: Path | None = None
    context: str = ""
    sha256: str = ""

    def install(self, operator: Object, readiness_seconds: int, stop: threading.Event) -> None:
        """Run `istioctl install`; it is killed when `stop` is set. Raises StepError (MPK-206) with its last lines."""
        with tempfile.TemporaryDirectory(prefix="meshpki-") as folder, tempfile.TemporaryFile() as output:
            binary, wish = self._unpacked(operator, Path(folder))
            argv = [binary, "install", "--skip-confirmation", "--filename", wish]
            argv += ["--readiness-timeout", f"{readiness_seconds}s", *self._target()]
            leash = leashed if shutil.which("setpriv") else tuple
            child = subprocess.Popen(leash(argv), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            code = _wait(child, stop)
            if code and not stop.is_set():
                output.seek(0)
                said = "\n".join(output.read().decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:])
                raise StepError("MPK-206", f"istioctl install ended with exit code {code}:\n{said}", where="step istio")

    def manifests(self, operator: Object) -> tuple[Object, ...]:
        """What `istioctl install` would apply, as `istioctl manifest generate` says it, without any cluster.

        Raises StepError (MPK-222) with its last words.
        """
        with tempfile.TemporaryDirectory(prefix="meshpki-") as folder:
            binary, wish = self._unpacked(operator, Path(folder))
            argv = [binary, "manifest", "generate", "--filename", wish]
            leash = leashed if shutil.which("setpriv") else tuple
            try:
                done = subprocess.run(
                    leash(argv),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    env={**os.environ, "HOME": folder, "KUBECONFIG": os.devnull},
                    timeout=_GENERATE_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                what = f"istioctl manifest generate gave nothing within {_GENERATE_SECONDS} s"
                raise StepError("MPK-222", what, where="step istio") from error
        if done.returncode:
            said = "\n".join(done.stderr.decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:])
            what = f"istioctl manifest generate ended with exit code {done.returncode}:\n{said}"
            raise StepError("MPK-222", what, where="step istio")
        return installed(load(done.stdout), operator)

    def unfit(self, wanted: str) -> str:
        """Why this istioctl cannot install Istio `wanted`: it does not start, or is of another version; else empty."""
        with tempfile.TemporaryDirectory(prefix="meshpki-") as folder:
            binary, _ = self._unpacked({}, Path(folder))
            argv = [binary, "version", "--remote=false", "--output", "json"]
            try:
                said = subprocess.run(
                    argv,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    env={"HOME": folder, "KUBECONFIG": os.devnull},
                    timeout=_GENERATE_SECONDS,
                    check=True,
                ).stdout
                found = str(json.loads(said)["clientVersion"]["version"])
            except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError) as error:
                return f"it does not tell its version: {type(error).__name__}"
        return "" if found == wanted else f"it is of version {found}, and {wanted} is to be installed"

    def _unpacked(self, operator: Object, folder: Path) -> tuple[str, str]:
        """The program and a file of the IstioOperator, in a folder that goes away with them."""
        wish = folder / "operator.yaml"
        wish.write_text(yaml.dump(operator, Dumper=yaml.CSafeDumper), encoding="utf-8")
        copy = folder / "istioctl.tar.gz"
        shutil.copyfile(self.archive, copy)
        with copy.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if self.sha256 and found != self.sha256:
            what = f"it has SHA-256 {found} now, and had {self.sha256} when it was checked"
            remedy = "keep the directory still while meshpki runs, and run the same command again"
            raise PreconditionError("MPK-051", what, where=str(self.archive), remedy=remedy)
        return str(_extract(copy, folder)), str(wish)

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
    """The one member `istioctl`: an archive of any other form is refused before anything of it is written."""
    target = folder / "istioctl"
    try:
        with gzip.open(archive) as unpacked, tarfile.open(fileobj=_Bounded(unpacked), mode="r|") as packed:
            member = packed.next()
            content = packed.extractfile(member) if member is not None and _plain(member) else None
            if member is None or content is None:
                raise _odd(archive, "its first member is no plain file `istioctl`")
            with target.open("xb") as out:
                shutil.copyfileobj(content, out)
            if target.stat().st_size != member.size or packed.next() is not None:
                raise _odd(archive, "it holds more, or less, than the one file `istioctl`")
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError) as error:
        raise _odd(archive, f"{type(error).__name__}: {error}") from error
    target.chmod(0o700)
    return target


class _Bounded(io.RawIOBase):
    """A stream that ends with an error where it holds too much: what is packed small may be large."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        """Nothing is read yet."""
        self._stream, self._left = stream, _MEMBER_LIMIT

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes; raises ReadError once there are too many in all."""
        block = self._stream.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise tarfile.ReadError(f"it unpacks to more than {_MEMBER_LIMIT} bytes")
        return block


def _plain(member: tarfile.TarInfo) -> bool:
    """By its name, its kind and its size: no path, no link, no device, no sparse file."""
    return member.name == "istioctl" and member.isreg() and not member.issparse() and member.size <= _MEMBER_LIMIT


def _odd(archive: Path, why: str) -> PreconditionError:
    remedy = "take the release archive from upstream again, and pin the SHA-256 that upstream tells"
    return PreconditionError("MPK-054", f"no release archive of istioctl: {why}", where=str(archive), remedy=remedy)


def recorded(reader: Reader, operator: Object) -> bool:
    """Whether this very IstioOperator was installed, and what it made still is as it was."""
    record = reader.get(RECORD)
    if record is None or record.get("data", {}).get("operator") != digest(operator):
        return False
    return bool(record["data"].get("objects") == fingerprint(reader))


def was_run(reader: Reader, operator: Object) -> bool:
    """Whether the last run of it was of this very IstioOperator; nothing is said of what has become of it since."""
    live = reader.get(RECORD)
    return live is not None and live.get("data", {}).get("operator") == digest(operator)


def was_installed(reader: Reader) -> bool:
    """Whether istioctl was ever run here, if only to be killed, and not only what it would make applied by others."""
    live = reader.get(RECORD)
    data = (live or {}).get("data", {})
    return live is not None and not (data.get("operator") and not data.get("objects"))


def claim(cluster: Cluster) -> None:
    """Forget the record before istioctl writes anything; what comes before each write of ours comes before its, too."""
    cluster.apply(owned(_record("", ""), "istio"))


def record(cluster: Cluster, operator: Object) -> None:
    """Keep what was installed, so that an unchanged mesh is known without running istioctl."""
    apply(cluster, owned(_record(digest(operator), fingerprint(cluster)), "istio"))


def mark(operator: Object) -> Object:
    """The record of an IstioOperator whose manifests somebody else applies, as a GitOps controller does."""
    return owned(_record(digest(operator), ""), "istio")


def marked(reader: Reader, operator: Object) -> bool:
    """Whether the cluster bears the mark of this very IstioOperator."""
    live = reader.get(RECORD)
    return live is not None and live.get("data") == {"operator": digest(operator), "objects": ""}


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
        for api_version, kind in INSTALLED
        for item in reader.list(Query(api_version, kind, labels=selector(OURS)))
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
