"""The upstream installer as a child process that dies with us, and the record by which a later run needs none."""

import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import Object, Query, Ref, digest, owned, selector
from meshpki.cluster.render import load
from meshpki.components.istio_objects import installed
from meshpki.components.trust import STATE_NAMESPACE
from meshpki.components.unpacked import held, path, program
from meshpki.errors import StepError
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


@dataclass(frozen=True)
class Istioctl:
    """Where istioctl lies (a release archive), how it reaches the cluster, and of which `version` it has to be.

    `sha256` is what the archive was checked to be; what is unpacked later has to be that still. It runs in meshpki's
    own environment.
    """

    archive: Path
    kubeconfig: Path | None = None
    context: str = ""
    sha256: str = ""
    version: str = ""

    def install(self, operator: Object, readiness_seconds: int, stop: threading.Event) -> None:
        """Run `istioctl install`; it is killed when `stop` is set. Raises StepError (MPK-206) with its last lines."""
        argv = ["install", "--skip-confirmation", "--readiness-timeout", f"{readiness_seconds}s", *self._target()]
        with (
            held(_yaml(operator)) as wish,
            self._run([*argv, "--filename", path(wish)]) as run,
            tempfile.TemporaryFile() as output,
        ):
            try:
                child = subprocess.Popen(
                    run.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(run.program, wish),
                )
            except OSError as error:
                raise _unstarted("MPK-206", "install", error) from error
            code = _wait(child, stop)
            if code and not stop.is_set():
                output.seek(0)
                raise _ended("MPK-206", "install", code, output.read())

    def manifests(self, operator: Object) -> tuple[Object, ...]:
        """What `istioctl install` would apply, as `istioctl manifest generate` says it, without any cluster.

        Raises StepError (MPK-222) with its last words.
        """
        with held(_yaml(operator)) as wish:
            try:
                done = self._alone(["manifest", "generate", "--filename", path(wish)], wish)
            except subprocess.TimeoutExpired as error:
                what = f"istioctl manifest generate gave nothing within {_GENERATE_SECONDS} s"
                raise StepError("MPK-222", what, where="step istio") from error
            except OSError as error:
                raise _unstarted("MPK-222", "manifest generate", error) from error
        if done.returncode:
            raise _ended("MPK-222", "manifest generate", done.returncode, done.stderr)
        return installed(load(done.stdout), operator, self.version)

    def unfit(self) -> str:
        """Why this istioctl cannot install its version of Istio: it does not start, or is of another; else empty."""
        try:
            done = self._alone(["version", "--remote=false", "--output", "json"])
            done.check_returncode()
            found = str(json.loads(done.stdout)["clientVersion"]["version"])
        except OSError as error:
            return f"it cannot be started on this machine: {error.strerror}"
        except (subprocess.SubprocessError, ValueError, LookupError, TypeError) as error:
            return f"it does not tell its version: {type(error).__name__}"
        return "" if found == self.version else f"it is of version {found}, and {self.version} is to be installed"

    def _alone(self, argv: list[str], *given: int) -> subprocess.CompletedProcess[bytes]:
        """Run it without a cluster, with no files of the user's."""
        with self._run(argv) as run:
            return subprocess.run(
                run.argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env={**os.environ, "HOME": run.folder, "KUBECONFIG": os.devnull},
                timeout=_GENERATE_SECONDS,
                check=False,
                pass_fds=(run.program, *given),
            )

    @contextmanager
    def _run(self, argv: list[str]) -> Iterator["_Run"]:
        unpacked = program(self.archive, self.sha256)
        leash = leashed if shutil.which("setpriv") else tuple
        with tempfile.TemporaryDirectory(prefix="meshpki-") as folder:
            # what it is called by is what it tells the API server: an audit log knows it as istioctl
            named = Path(folder, "istioctl")
            named.symlink_to(path(unpacked))
            yield _Run(unpacked, leash([str(named), *argv]), folder)

    def _target(self) -> list[str]:
        kubeconfig = ["--kubeconfig", str(self.kubeconfig)] if self.kubeconfig else []
        return [*kubeconfig, *(["--context", self.context] if self.context else [])]


@dataclass(frozen=True)
class _Run:
    """A command line, the descriptor of the program that it names, and an empty home for it."""

    program: int
    argv: tuple[str, ...]
    folder: str


def _yaml(operator: Object) -> str:
    return str(yaml.dump(operator, Dumper=yaml.CSafeDumper))


def _unstarted(code: str, verb: str, error: OSError) -> StepError:
    remedy = "it is a program for Linux on amd64; see `meshpki explain MPK-124`"
    what = f"istioctl {verb} could not be started: {error.strerror or type(error).__name__}"
    return StepError(code, what, where="step istio", remedy=remedy)


def _ended(code: str, verb: str, exit_code: int, output: bytes) -> StepError:
    said = "\n".join(output.decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:])
    return StepError(code, f"istioctl {verb} ended with exit code {exit_code}:\n{said}", where="step istio")


def _wait(child: subprocess.Popen[bytes], stop: threading.Event) -> int:
    try:
        while child.poll() is None and not stop.wait(0.1):
            pass
    finally:
        if child.poll() is None:
            child.kill()
    return child.wait()


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
    """What says that an object is as it was, without what others keep in it."""
    return _KEPT.get(item["kind"], _data_and_rules)(item)


def _pod_template(deployment: Object) -> object:
    """Its replicas may belong to an autoscaler, and its restart annotation to a rotation."""
    pod = deployment["spec"]["template"]["spec"]
    return {key: pod.get(key) for key in ("containers", "volumes")}


def _service(item: Object) -> object:
    return {key: item["spec"].get(key) for key in ("selector", "type")}


def _hook_names(configuration: Object) -> object:
    """The caBundle and the failure policy are kept by istiod itself."""
    return [hook["name"] for hook in configuration.get("webhooks", [])]


def _version_names(definition: Object) -> object:
    return [version["name"] for version in definition["spec"]["versions"]]


def _spec(item: Object) -> object:
    return item["spec"]


def _data_and_rules(item: Object) -> object:
    return {key: item.get(key) for key in ("data", "rules", "roleRef", "subjects")}


_KEPT: dict[str, Callable[[Object], object]] = {
    "Deployment": _pod_template,
    "Service": _service,
    "MutatingWebhookConfiguration": _hook_names,
    "ValidatingWebhookConfiguration": _hook_names,
    "CustomResourceDefinition": _version_names,
    "PodDisruptionBudget": _spec,
}
