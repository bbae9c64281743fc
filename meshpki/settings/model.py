"""What can be wished for, with its defaults. Durations are timedeltas; names in YAML are the same in camelCase."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

API_VERSION = "meshpki.dev/v1alpha1"
KIND = "Mesh"
PRESETS = ("default", "production")
# Preflight checks in spite of which going on harms nothing: settings may let these be, once and for all.
CAN_WAIT = ("kubernetes-version", "storage", "approval", "clock")


@dataclass(frozen=True)
class Existing:
    """A CA of the user's own: its TLS Secret in cert-manager's namespace, and its public chain as PEM text.

    The chain begins with the CA whose key the Secret holds and ends with its self-signed root; both empty: none.
    """

    secret_name: str = ""
    chain: str = ""


@dataclass(frozen=True)
class Root:
    """The root CA; `fingerprint` is the SHA-256 its certificate must have (64 hex digits), empty where any will do.

    With an existing CA, duration and common name are its owner's.
    """

    duration: timedelta = timedelta(hours=21600)
    fingerprint: str = ""
    common_name: str = "meshpki-root"
    existing: Existing = Existing()


@dataclass(frozen=True)
class IstiodCA:
    """The intermediate CA of istiod, the Secret `cacerts`."""

    duration: timedelta = timedelta(hours=1440)
    renew_before: timedelta = timedelta(hours=360)


@dataclass(frozen=True)
class Approval:
    """Who approves CertificateRequests: cert-manager, which approves each, or approver-policy with policies of ours."""

    policy: bool = False


@dataclass(frozen=True)
class Storage:
    """The volume of spire-server; an empty `class_name` means the cluster's default StorageClass."""

    size: str = "1Gi"
    class_name: str = ""


@dataclass(frozen=True)
class Spire:
    """The CA that spire-server mints through cert-manager, and the X.509-SVIDs it signs."""

    ca_ttl: timedelta = timedelta(hours=24)
    svid_ttl: timedelta = timedelta(hours=1)
    log_level: str = "INFO"
    storage: Storage = Storage()


@dataclass(frozen=True)
class Istio:
    """istiod's replicas and images; `operator` is an overlay of an IstioOperator's spec, merged last."""

    replicas: int = 1
    hub: str = "docker.io/istio"
    operator: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Workloads:
    """Bookinfo and a client, which prove that the mesh works."""

    enabled: bool = True


@dataclass(frozen=True)
class Namespaces:
    """The namespace of each component; no two may share one."""

    cert_manager: str = "cert-manager"
    spire_server: str = "spire-server"
    spire_system: str = "spire-system"
    istio: str = "istio-system"
    bookinfo: str = "bookinfo"


@dataclass(frozen=True)
class Resources:
    """Requests of every sidecar, the gateway and the containers of SPIRE, as Kubernetes quantities."""

    cpu: str = "10m"
    memory: str = "64Mi"


@dataclass(frozen=True)
class Versions:
    """The upstream release of each component, spelt as its own images and files spell it."""

    cert_manager: str = "v1.21.2"
    approver_policy: str = "v0.28.0"
    spire: str = "1.15.3"
    spire_controller_manager: str = "0.6.4"
    spiffe_csi: str = "0.2.6"
    csi_node_driver_registrar: str = "v2.16.0"
    istio: str = "1.29.1"
    bookinfo: str = "1.20.3"
    curl: str = "8.16.0"


@dataclass(frozen=True)
class Artifacts:
    """Where release files are looked for before any download; `pins` maps a file's name to its SHA-256 in hex."""

    directory: str = ""
    pins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Images:
    """`mirror` is a registry, with a path or not, that every image is pulled from instead of upstream's own."""

    mirror: str = ""


@dataclass(frozen=True)
class Proxy:
    """The proxies of downloads, without credentials: settings are stored in the cluster."""

    http: str = ""
    https: str = ""
    no_proxy: str = ""


@dataclass(frozen=True)
class Settings:
    """The whole wish; `ignore` names preflight checks of CAN_WAIT that shall only warn."""

    preset: str = "default"
    trust_domain: str = "example.org"
    cluster_name: str = "meshpki"
    root: Root = Root()
    approval: Approval = Approval()
    istiod_ca: IstiodCA = IstiodCA()
    spire: Spire = Spire()
    istio: Istio = field(default_factory=Istio)
    workloads: Workloads = Workloads()
    namespaces: Namespaces = Namespaces()
    resources: Resources = Resources()
    versions: Versions = Versions()
    artifacts: Artifacts = field(default_factory=Artifacts)
    images: Images = Images()
    proxy: Proxy = Proxy()
    ignore: tuple[str, ...] = ()


def preset(name: str) -> Settings:
    """The defaults under a preset: `production` has a second istiod, and with it a PodDisruptionBudget.

    spire-server stays one: its volume and its sqlite are not shared.
    """
    if name == "production":
        return Settings(preset=name, istio=Istio(replicas=2))
    return Settings()
