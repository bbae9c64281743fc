"""What is built from which Go module, and with which version strings."""

from dataclasses import dataclass

from meshpki.lab.versions import CERT_MANAGER, HELM, ISTIO, KUBERNETES, SPIFFE_CSI, SPIRE


@dataclass(frozen=True, slots=True)
class Carried:
    """A file or folder of a Go module that is kept beside the binaries, under the last part of its path."""

    module: str
    path: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """One `go build` in the folder `modules/<module>`.

    A single package is written as `output`; several get the last part of their own paths. `variables` are the
    linker's -X. `static_cgo` links C code (SQLite) statically; everything else is pure Go.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    output: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    static_cgo: bool = False
    carried: tuple[Carried, ...] = ()


def _kubernetes_version() -> tuple[tuple[str, str], ...]:
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    parts = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return tuple((f"{package}.{name}", value) for package in packages for name, value in parts.items())


def _kubernetes_commands() -> tuple[str, ...]:
    servers = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    return tuple(f"k8s.io/kubernetes/cmd/{name}" for name in (*servers, "kubelet", "kubeadm", "kubectl"))


_SPIRE_VERSION = (("github.com/spiffe/spire/pkg/common/version.gittag", SPIRE),)
_CERT_MANAGER = "github.com/cert-manager/cert-manager"

RECIPES = (
    Recipe("kubernetes", "kubernetes", _kubernetes_commands(), variables=_kubernetes_version()),
    Recipe("etcd", "etcd", ("go.etcd.io/etcd/server/v3",), "etcd"),
    Recipe("coredns", "coredns", (".",), "coredns"),
    Recipe("pause", "pause", (".",), "pause"),
    Recipe(
        "helm",
        "helm",
        ("helm.sh/helm/v3/cmd/helm",),
        "helm",
        (("helm.sh/helm/v3/internal/version.version", HELM),),
    ),
    Recipe(
        "cert-manager",
        "cert-manager",
        (".",),
        "cert-manager",
        ((f"{_CERT_MANAGER}/pkg/util.AppVersion", CERT_MANAGER),),
        carried=(
            Carried(_CERT_MANAGER, "deploy/charts/cert-manager"),
            Carried(_CERT_MANAGER, "deploy/manifests/namespace.yaml"),
            Carried(_CERT_MANAGER, "hack/boilerplate-yaml.txt"),
        ),
    ),
    Recipe(
        "istio",
        "istio",
        (
            "istio.io/istio/istioctl/cmd/istioctl",
            "istio.io/istio/pilot/cmd/pilot-agent",
            "istio.io/istio/pilot/cmd/pilot-discovery",
        ),
        variables=(
            ("istio.io/istio/pkg/version.buildVersion", ISTIO),
            ("istio.io/istio/pkg/version.buildTag", ISTIO),
            ("istio.io/istio/pkg/version.buildHub", "docker.io/istio"),
            ("istio.io/istio/pkg/version.buildStatus", "Clean"),
        ),
        carried=(Carried("istio.io/istio", "tools/packaging/common/envoy_bootstrap.json"),),
    ),
    # in one go, as upstream's build-static: with cgo for the server alone, nearly all would be compiled twice
    Recipe(
        "spire",
        "spire",
        ("github.com/spiffe/spire/cmd/spire-agent", "github.com/spiffe/spire/cmd/spire-server"),
        variables=_SPIRE_VERSION,
        static_cgo=True,
    ),
    Recipe(
        "spire-controller-manager",
        "spire-controller-manager",
        ("github.com/spiffe/spire-controller-manager/cmd",),
        "spire-controller-manager",
        carried=(Carried("github.com/spiffe/spire-controller-manager", "config/crd/bases"),),
    ),
    Recipe(
        "spiffe-csi",
        "spiffe-csi",
        ("github.com/spiffe/spiffe-csi/cmd/spiffe-csi-driver",),
        "spiffe-csi-driver",
        (("github.com/spiffe/spiffe-csi/internal/version.gitTag", SPIFFE_CSI),),
    ),
    Recipe("registrar", "registrar", (".",), "csi-node-driver-registrar"),
    Recipe("bookinfo", "bookinfo", (".",), "bookinfo"),
)
