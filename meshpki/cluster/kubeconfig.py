"""What a kubeconfig says of one cluster, by the official client; nothing of its text is repeated, it holds secrets."""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import quote

import yaml
from kubernetes import client, config
from kubernetes.client.rest import should_bypass_proxies
from kubernetes.config.incluster_config import SERVICE_HOST_ENV_NAME, InClusterConfigLoader
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

from meshpki.cluster import plugins, proxies
from meshpki.cluster.api import Header
from meshpki.cluster.manifest import Object
from meshpki.cluster.refusal import ANOTHER
from meshpki.errors import PreconditionError

# What the client raises of a file that is no kubeconfig: it takes its form for granted.
_UNREADABLE = (config.ConfigException, OSError, yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError)
_SHOWN = 10
# Where the kubelet puts what a pod's ServiceAccount has, and what the way in is called by then.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER = "in-cluster"


@dataclass(frozen=True)
class Access:
    """How a cluster is reached: by the library's settings, under a context's name.

    `handed_on` is the context that a child process is told: none in a pod, where it finds the way by itself.
    `impersonated` is what every request bears of whom the user acts as.
    """

    settings: client.Configuration
    context: str
    handed_on: str
    impersonated: tuple[Header, ...] = ()


def configured(context: str = "", kubeconfig: Path | None = None, account: Path = SERVICE_ACCOUNT) -> Access:
    """How the cluster of a context is reached: the current one where none is named; by a pod's `account` without any.

    Raises PreconditionError: MPK-101 where there is none to open, MPK-125 where the server would not be verified.
    """
    settings = client.Configuration(proxy="")
    inside = context in ("", IN_CLUSTER) and not any(file.exists() for file in _files(kubeconfig))
    if inside and not kubeconfig and os.environ.get(SERVICE_HOST_ENV_NAME) and (account / "token").exists():
        access = _in_cluster(settings, account)
    else:
        access = _of_file(settings, context, kubeconfig)
    if settings.host.startswith("https://") and not settings.verify_ssl:
        remedy = "put its CA under certificate-authority-data and take insecure-skip-tls-verify out"
        where = f"insecure-skip-tls-verify in the cluster of context {access.context}"
        raise PreconditionError("MPK-125", "this kubeconfig does not verify the API server", where=where, remedy=remedy)
    _settle_proxy(settings)
    hook = getattr(settings, "refresh_api_key_hook", None)
    if hook is not None:
        settings.refresh_api_key_hook = _token_alone(hook)  # type: ignore[assignment] # declared by the None it begins as
    return access


def _settle_proxy(settings: client.Configuration) -> None:
    """Leave the proxy to be used, or none: as kubectl, the kubeconfig's always, the environment's where it may be."""
    if not settings.proxy:
        found = client.Configuration(settings.host)
        bypassed = should_bypass_proxies(settings.host, f"{found.no_proxy or ''},{proxies.LOOPBACK}")
        settings.proxy = "" if bypassed else found.proxy
    settings.proxy, settings.no_proxy = proxies.whole(settings.proxy or ""), ""
    settings.proxy_headers = proxies.authorization(settings.proxy)


def _in_cluster(settings: client.Configuration, account: Path) -> Access:
    """As kubectl does it in a pod; the token is read again as the kubelet renews it."""
    try:
        InClusterConfigLoader(str(account / "token"), str(account / "ca.crt")).load_and_set(settings)
        _off_the_disk(settings)
    except _UNREADABLE as error:
        raise PreconditionError("MPK-101", f"no cluster to talk to: {_why(error)}", where=str(account)) from error
    return Access(settings, IN_CLUSTER, handed_on="")


def _of_file(settings: client.Configuration, context: str, kubeconfig: Path | None) -> Access:
    with tempfile.TemporaryDirectory(prefix="meshpki-") as folder, plugins.unsaid() as said:
        try:
            merged = KubeConfigMerger(_source(kubeconfig))
            loader = KubeConfigLoader(
                merged.config,
                active_context=context or None,
                config_base_path=None,
                config_persister=merged.save_changes,
                temp_file_path=folder,
            )
            loader.load_and_set(settings)
            # Named once: the file's current context may be another one by the time a child process reads it.
            chosen, name = str(loader.current_context["name"]), loader.current_context["context"].get("user", "")
            user = _user(merged, name)
        except _UNREADABLE as error:
            raise _unusable(error, context, kubeconfig) from error
        _off_the_disk(settings)
    if user.get("exec") and not settings.api_key and not settings.cert_file:
        where = f"user {name} of {', '.join(map(str, _files(kubeconfig)))}"
        raise plugins.gave_nothing(user["exec"], said, where)
    return Access(settings, chosen, chosen, _impersonated(user))


def _user(merged: KubeConfigMerger, name: str) -> Object:
    """The entry of a user, empty where the context names none that there is."""
    entry = merged.config["users"].get_with_name(name, safe=True)
    return dict(entry["user"].value) if entry else {}


def _impersonated(user: Object) -> tuple[Header, ...]:
    """Whom the requests of a user's entry are made as (client-go transport/round_trippers.go)."""
    extra = (
        (f"Impersonate-Extra-{quote(key, safe='')}", str(one))
        for key, values in (user.get("as-user-extra") or {}).items()
        for one in values
    )
    return (
        *(("Impersonate-User", str(one)) for one in [user.get("as")] if one),
        *(("Impersonate-Uid", str(one)) for one in [user.get("as-uid")] if one),
        *(("Impersonate-Group", str(one)) for one in user.get("as-groups") or ()),
        *extra,
    )


def contexts(kubeconfig: Path | None = None) -> list[str]:
    """The names of a kubeconfig's contexts; none where it cannot be read."""
    try:
        found = config.list_kube_config_contexts(_source(kubeconfig))[0]
    except _UNREADABLE:
        return []
    return [str(one["name"]) for one in found]


def _source(kubeconfig: Path | None) -> str:
    """The file that was named, else those of the environment, else the user's own."""
    return str(kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config")


def _files(kubeconfig: Path | None) -> list[Path]:
    # a pod's user may have no home, for which Path.expanduser raises
    return [Path(os.path.expanduser(name)) for name in _source(kubeconfig).split(os.pathsep) if name]  # noqa: PTH111


def _unusable(error: Exception, context: str, kubeconfig: Path | None) -> PreconditionError:
    files = _files(kubeconfig)
    where, there = ", ".join(map(str, files)), contexts(kubeconfig)
    if not any(file.exists() for file in files):
        return PreconditionError("MPK-101", "there is no such kubeconfig", where=where, remedy=ANOTHER)
    if context and there and context not in there:
        close = get_close_matches(context, there, 1)
        hint = f"did you mean `{close[0]}`? " if close else ""
        more = ", ..." if len(there) > _SHOWN else ""
        remedy = f"{hint}the contexts are: {', '.join(there[:_SHOWN])}{more}"
        return PreconditionError("MPK-101", f"there is no context `{context}`", where=where, remedy=remedy)
    return PreconditionError("MPK-101", f"no cluster to talk to: {_why(error)}", where=where, remedy=ANOTHER)


def _why(error: Exception) -> str:
    """What is wrong with the file, and where in it; the client's own words hold whole entries of it."""
    match error:
        case config.ConfigException():
            return str(error).partition(" in ")[0]
        case yaml.MarkedYAMLError() if error.problem_mark:
            return f"the kubeconfig is no YAML at line {error.problem_mark.line + 1}"
        case OSError():
            return f"the kubeconfig cannot be read: {error.strerror or type(error).__name__}"
        case yaml.YAMLError() | UnicodeDecodeError():
            return "the kubeconfig is no YAML"
        case ValueError():
            return "a value of the kubeconfig cannot be read, as of data that is no base64"
        case _:
            return "the file is no kubeconfig"


def _token_alone(refresh: Callable[[client.Configuration], None]) -> Callable[[client.Configuration], None]:
    """The library's refresh also writes back the paths of its temporary files, which are gone: take the token only."""

    def refreshed(settings: client.Configuration) -> None:
        scratch = client.Configuration()
        with plugins.unsaid():
            refresh(scratch)
        settings.api_key, settings.api_key_prefix = scratch.api_key, scratch.api_key_prefix

    return refreshed


def _off_the_disk(settings: client.Configuration) -> None:
    """Keep certificate and key in memory files: a killed process leaves no key behind."""
    for name in ("ssl_ca_cert", "cert_file", "key_file"):
        path = getattr(settings, name)
        if path:
            descriptor = os.memfd_create(f"meshpki-{name}")
            with Path(path).open("rb") as source, os.fdopen(os.dup(descriptor), "wb") as target:
                shutil.copyfileobj(source, target)
            setattr(settings, name, f"/proc/self/fd/{descriptor}")
