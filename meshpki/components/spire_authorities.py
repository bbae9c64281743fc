"""spire-server's own CAs: asked for and changed by its command line, run beside it.

Answers are those of `spire-server localauthority|upstreamauthority|bundle ... -output json` at v1.15.3
(cmd/spire-server/cli/localauthority/x509, cmd/spire-server/cli/upstreamauthority/x509, cmd/spire-server/cli/bundle).
"""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from meshpki.cluster.client import Cluster, Reader
from meshpki.cluster.manifest import Object, Ref
from meshpki.components.rollout import pods_of
from meshpki.components.serving import pod_ref
from meshpki.errors import StepError
from meshpki.pki.certificate import Certificate, read_der
from meshpki.settings import Settings

CONTAINER = "spire-server"
_BINARY = "/opt/spire/bin/spire-server"
_SOCKET = "/tmp/spire-server/private/api.sock"  # noqa: S108 - a path in SPIRE's container
_HEX = frozenset("0123456789abcdef")
_LIMIT = 512 * 1024
# the first with `localauthority` (CHANGELOG of spiffe/spire, 1.11.0)
_OLDEST = (1, 11)
_TAG = re.compile(r":v?(\d+)\.(\d+)\b")


@dataclass(frozen=True)
class Authority:
    """One slot of a spire-server: the CA's own id, and the subject key id of the root above it; both lower-case hex."""

    authority_id: str
    upstream: str
    expires: datetime


@dataclass(frozen=True)
class Slots:
    """The CAs of one spire-server: the one that signs, the next and the one before; None where there is none."""

    active: Authority | None = None
    prepared: Authority | None = None
    old: Authority | None = None


@dataclass(frozen=True)
class Trusted:
    """One root in SPIRE's bundle; a tainted one is still trusted, but nothing is to be left that lies under it."""

    root: Certificate
    tainted: bool


def server_set(settings: Settings) -> Ref:
    """The StatefulSet of spire-server."""
    return Ref("apps/v1", "StatefulSet", settings.namespaces.spire_server, "spire-server")


def agent_set(settings: Settings) -> Ref:
    """The DaemonSet of SPIRE's agents."""
    return Ref("apps/v1", "DaemonSet", settings.namespaces.spire_system, "spire-agent")


def server_config(settings: Settings) -> Ref:
    """The ConfigMap with spire-server's configuration, in HCL under `server.conf`."""
    return Ref("v1", "ConfigMap", settings.namespaces.spire_server, "spire-server")


def servers(reader: Reader, settings: Settings) -> tuple[Object, ...]:
    """The pods of spire-server; each has slots of its own."""
    return tuple(pods_of(reader, server_set(settings)))


def too_old(pod: Object) -> str:
    """The version of a spire-server, by a pod or the template of one, that has no `localauthority`; else empty."""
    containers = pod.get("spec", {}).get("containers") or []
    image = next((str(one.get("image", "")) for one in containers if one["name"] == CONTAINER), "")
    found = _TAG.search(image)
    return f"{found[1]}.{found[2]}" if found and (int(found[1]), int(found[2])) < _OLDEST else ""


def slots(reader: Reader, pod: Object) -> Slots:
    """What a spire-server lists; raises ClusterError, StepError (MPK-420) for an answer that lists nothing."""
    found = _asked(reader, pod, "localauthority", "x509", "show")
    return Slots(_slot(found, "active"), _slot(found, "prepared"), _slot(found, "old"))


def prepare(cluster: Cluster, pod: Object) -> Authority:
    """Have the next CA minted by the upstream authority; its root is in the bundle from then on."""
    return _required(_asked(cluster, pod, "localauthority", "x509", "prepare"), "prepared_authority")


def activate(cluster: Cluster, pod: Object, authority_id: str) -> Authority:
    """Have the prepared CA sign from now on; the one before becomes `old`."""
    answer = _asked(cluster, pod, "localauthority", "x509", "activate", "-authorityID", _hex(authority_id))
    return _required(answer, "activated_authority")


def taint(cluster: Cluster, pod: Object, upstream: str) -> None:
    """Mark a root, by its subject key id, as one to get away from; the next `prepare` takes it out of the bundle."""
    _asked(cluster, pod, "upstreamauthority", "taint", "-subjectKeyID", _hex(upstream))


def trusted(reader: Reader, pod: Object) -> tuple[Trusted, ...]:
    """The roots of a spire-server's own bundle; raises ClusterError, StepError (MPK-420), UnparsableError."""
    found = _asked(reader, pod, "bundle", "show")
    listed = found.get("x509_authorities")
    if not isinstance(listed, list):
        raise _odd("the bundle lists no X.509 authority")
    return tuple(_trusted(entry) for entry in listed)


def _trusted(entry: Object) -> Trusted:
    try:
        der = base64.b64decode(str(entry["asn1"]), validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise _odd("an authority of the bundle is no certificate") from error
    return Trusted(read_der((der,))[0], bool(entry.get("tainted", False)))


def _asked(reader: Reader, pod: Object, *words: str) -> Object:
    argv: Sequence[str] = (_BINARY, *words, "-socketPath", _SOCKET, "-output", "json")
    answer = reader.execute(pod_ref(pod), CONTAINER, argv)
    if len(answer) > _LIMIT:
        raise _odd(f"{len(answer)} characters are more than it has to say")
    try:
        content = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise _odd("the answer is no JSON") from error
    if not isinstance(content, dict):
        raise _odd("the answer is no JSON object")
    return content


def _slot(content: Object, name: str) -> Authority | None:
    state = content.get(name)
    if not state:
        return None
    try:
        expires = datetime.fromtimestamp(int(state["expires_at"]), UTC)
        return Authority(_hex(state["authority_id"]), _hex(state["upstream_authority_subject_key_id"]), expires)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _odd(f"the {name} authority is not as expected") from error


def _required(content: Object, name: str) -> Authority:
    found = _slot(content, name)
    if found is None:
        raise _odd(f"the answer names no {name}")
    return found


def _hex(text: object) -> str:
    if not isinstance(text, str) or not text or not _HEX.issuperset(text):
        raise _odd("an authority's id is not in hex")
    return text


def _odd(what: str) -> StepError:
    return StepError("MPK-420", what, where="spire-server", remedy="look at the version of SPIRE, and run it by hand")
