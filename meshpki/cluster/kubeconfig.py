"""What a kubeconfig says of one cluster, by the official client; nothing of its text is repeated, it holds secrets."""

import os
import shutil
import tempfile
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

import yaml
from kubernetes import client, config
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION

from meshpki.errors import PreconditionError

# What the client raises of a file that is no kubeconfig: it takes its form for granted.
_UNREADABLE = (config.ConfigException, OSError, yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError)
_ANOTHER = (
    "name a cluster with --context NAME (and --kubeconfig FILE),"
    " or run `meshpki up --lab`, then `export KUBECONFIG=$(meshpki lab kubeconfig)`"
)
_SHOWN = 10


def configured(context: str = "", kubeconfig: Path | None = None) -> tuple[client.Configuration, str]:
    """How the cluster of a context is reached, and that context's name: the current one where none is named.

    Raises PreconditionError: MPK-101 where there is none to open, MPK-125 where the server would not be verified.
    """
    settings, source = client.Configuration(), str(kubeconfig) if kubeconfig else None
    with tempfile.TemporaryDirectory(prefix="meshpki-") as folder:
        try:
            # Named once: the file's current context may be another one by the time a child process reads it.
            chosen = context or str(config.list_kube_config_contexts(source)[1]["name"])
            config.load_kube_config(
                config_file=source,
                context=chosen,
                client_configuration=settings,
                temp_file_path=folder,
            )
        except _UNREADABLE as error:
            raise _unusable(error, context, kubeconfig) from error
        _off_the_disk(settings)
    if settings.host.startswith("https://") and not settings.verify_ssl:
        remedy = "put its CA under certificate-authority-data and take insecure-skip-tls-verify out"
        where = f"insecure-skip-tls-verify in the cluster of context {chosen}"
        raise PreconditionError("MPK-125", "this kubeconfig does not verify the API server", where=where, remedy=remedy)
    hook = getattr(settings, "refresh_api_key_hook", None)
    if hook is not None:
        settings.refresh_api_key_hook = _token_alone(hook)  # type: ignore[assignment] # declared by the None it begins as
    return settings, chosen


def contexts(kubeconfig: Path | None = None) -> list[str]:
    """The names of a kubeconfig's contexts; none where it cannot be read."""
    try:
        found = config.list_kube_config_contexts(str(kubeconfig) if kubeconfig else None)[0]
    except _UNREADABLE:
        return []
    return [str(one["name"]) for one in found]


def _unusable(error: Exception, context: str, kubeconfig: Path | None) -> PreconditionError:
    files = [
        Path(name).expanduser()
        for name in (str(kubeconfig) if kubeconfig else KUBE_CONFIG_DEFAULT_LOCATION).split(os.pathsep)
        if name
    ]
    where, there = ", ".join(map(str, files)), contexts(kubeconfig)
    if not any(file.exists() for file in files):
        return PreconditionError("MPK-101", "there is no such kubeconfig", where=where, remedy=_ANOTHER)
    if context and there and context not in there:
        close = get_close_matches(context, there, 1)
        hint = f"did you mean `{close[0]}`? " if close else ""
        more = ", ..." if len(there) > _SHOWN else ""
        remedy = f"{hint}the contexts are: {', '.join(there[:_SHOWN])}{more}"
        return PreconditionError("MPK-101", f"there is no context `{context}`", where=where, remedy=remedy)
    return PreconditionError("MPK-101", f"no cluster to talk to: {_why(error)}", where=where, remedy=_ANOTHER)


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
