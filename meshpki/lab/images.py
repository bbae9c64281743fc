"""The images of the lab, under upstream's names and tags, and how each is put together."""

from dataclasses import dataclass

from meshpki.lab import versions
from meshpki.lab.archive import Config, Entry, Folder, Link, Text

DEBIAN_PACKAGES = ("busybox-static", "ca-certificates", "conntrack", "curl", "iptables", "nftables")


@dataclass(frozen=True, slots=True)
class Built:
    """Something the lab built or fetched, by its name there, and where it goes.

    `linked` says that it loads libraries of this machine's C library, which go into the image with it.
    """

    name: str
    path: str
    linked: bool = False


@dataclass(frozen=True, slots=True)
class Image:
    """One image: built binaries, programs of this machine with the libraries they load, and plain entries."""

    name: str
    config: Config
    built: tuple[Built, ...] = ()
    programs: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()


_USERS = (
    *(("root", 0), ("curl_user", 100), ("spire", 1000)),
    *(("istio-proxy", 1337), ("nonroot", 65532), ("nobody", 65534)),
)

BASE: tuple[Entry, ...] = (
    Folder("/tmp", 0o1777),  # noqa: S108 - the image's, not this machine's
    Folder("/proc"),
    Folder("/sys"),
    Folder("/dev"),
    Folder("/run"),
    # the gateway's SPIFFE socket is mounted below /var/run and looked for below /run
    Link("/var/run", "/run"),
    Text("/etc/passwd", "".join(f"{name}:x:{id_}:{id_}::/:/sbin/nologin\n" for name, id_ in _USERS)),
    Text("/etc/group", "".join(f"{name}:x:{id_}:\n" for name, id_ in _USERS)),
    Text("/etc/nsswitch.conf", "hosts: files dns\n"),
)

XTABLES = ("/usr/sbin/xtables-nft-multi", "/usr/sbin/xtables-legacy-multi", "/usr/lib/x86_64-linux-gnu/xtables/*.so")


def _kubernetes(name: str) -> Image:
    built = Built(name, f"/usr/local/bin/{name}")
    return Image(f"registry.k8s.io/{name}:{versions.KUBERNETES}", Config((built.path,)), (built,))


def _kube_proxy() -> Image:
    plain = _kubernetes("kube-proxy")
    return Image(plain.name, plain.config, plain.built, (*XTABLES, "/usr/sbin/nft", "/usr/sbin/conntrack"))


def _single(image: str, binary: str, path: str, config: Config) -> Image:
    return Image(image, config, (Built(binary, path),))


def _cert_manager(component: str) -> Image:
    path = f"/app/cmd/{component}/{component}"
    name = f"quay.io/jetstack/cert-manager-{component}:{versions.CERT_MANAGER}"
    return _single(name, "cert-manager", path, Config((path,), user="1000"))


def _spire(role: str, owner: int, folders: tuple[str, ...]) -> Image:
    path = f"/opt/spire/bin/spire-{role}"
    user = f"{owner}:{owner}" if owner else ""
    return Image(
        f"ghcr.io/spiffe/spire-{role}:{versions.SPIRE}",
        Config((path, "run"), user=user, folder="/opt/spire"),
        (Built(f"spire-{role}", path),),
        entries=tuple(Folder(folder, owner=owner) for folder in folders),
    )


def _bookinfo(service: str, environment: tuple[str, ...] = (), version: str = "v1") -> Image:
    path = f"/opt/bookinfo/{service}"
    name = f"docker.io/istio/examples-bookinfo-{service}-{version}:{versions.BOOKINFO}"
    return _single(name, "bookinfo", path, Config((path,), user="1000", environment=environment))


_SPIRE_SERVER_FOLDERS = (
    "/etc/spire/server",
    "/run/spire/server/private",
    "/tmp/spire-server/private",  # noqa: S108 - the image's, where upstream's server looks for its socket
    "/var/lib/spire/server",
)
_SPIRE_AGENT_FOLDERS = (
    "/etc/spire/agent",
    "/run/spire/agent/public",
    "/tmp/spire-agent/public",  # noqa: S108 - the image's, where upstream's agent looks for its socket
    "/var/lib/spire/agent",
)

_CURL_APPLETS = ("sh", "cat", "date", "env", "false", "grep", "ls", "nslookup", "sleep", "true", "wget")
_ISTIO = "docker.io/istio"

IMAGES = (
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-controller-manager"),
    _kubernetes("kube-scheduler"),
    _kube_proxy(),
    _single(
        f"registry.k8s.io/etcd:{versions.ETCD_TAG}", "etcd", "/usr/local/bin/etcd", Config(("/usr/local/bin/etcd",))
    ),
    # as root: it listens on port 53, and a layer cannot carry upstream's file capability here
    _single(f"registry.k8s.io/coredns/coredns:{versions.COREDNS}", "coredns", "/coredns", Config(("/coredns",))),
    _single(f"registry.k8s.io/pause:{versions.PAUSE}", "pause", "/pause", Config(("/pause",), user="65535:65535")),
    _cert_manager("controller"),
    _cert_manager("webhook"),
    _cert_manager("cainjector"),
    _spire("server", 1000, _SPIRE_SERVER_FOLDERS),
    _spire("agent", 0, _SPIRE_AGENT_FOLDERS),
    _single(
        f"ghcr.io/spiffe/spire-controller-manager:{versions.SPIRE_CONTROLLER_MANAGER}",
        "spire-controller-manager",
        "/spire-controller-manager",
        Config(("/spire-controller-manager",)),
    ),
    _single(
        f"ghcr.io/spiffe/spiffe-csi-driver:{versions.SPIFFE_CSI}",
        "spiffe-csi-driver",
        "/spiffe-csi-driver",
        Config(("/spiffe-csi-driver",)),
    ),
    _single(
        f"registry.k8s.io/sig-storage/csi-node-driver-registrar:{versions.CSI_NODE_DRIVER_REGISTRAR}",
        "csi-node-driver-registrar",
        "/csi-node-driver-registrar",
        Config(("/csi-node-driver-registrar",)),
    ),
    _single(
        f"{_ISTIO}/pilot:{versions.ISTIO}",
        "pilot-discovery",
        "/usr/local/bin/pilot-discovery",
        Config(("/usr/local/bin/pilot-discovery",), user="1337:1337"),
    ),
    Image(
        f"{_ISTIO}/proxyv2:{versions.ISTIO}",
        Config(("/usr/local/bin/pilot-agent",)),
        (
            Built("pilot-agent", "/usr/local/bin/pilot-agent"),
            Built("envoy", "/usr/local/bin/envoy", linked=True),
            Built("envoy_bootstrap.json", "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json"),
        ),
        XTABLES,
    ),
    _bookinfo("productpage"),
    _bookinfo("details"),
    _bookinfo("ratings"),
    _bookinfo("reviews", ("ENABLE_RATINGS=false",)),
    _bookinfo("reviews", ("ENABLE_RATINGS=true", "STAR_COLOR=black"), "v2"),
    _bookinfo("reviews", ("ENABLE_RATINGS=true", "STAR_COLOR=red"), "v3"),
    # Debian's curl under the name of the image that tests and users reach for
    Image(
        f"docker.io/curlimages/curl:{versions.CURL}",
        Config(("/usr/bin/curl",), user="100"),
        programs=("/usr/bin/curl", "/bin/busybox"),
        entries=tuple(Link(f"/bin/{name}", "busybox") for name in _CURL_APPLETS),
    ),
)
