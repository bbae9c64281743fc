"""What the mesh's Envoys counted of TLS and of SDS, before and after: the other half of the proof.

Names: Envoy v1.37.0 source/common/tls/stats.h (ssl), source/common/tls/server_context_config_impl.h and
source/common/secret/sds_api.h. Istio keeps them only where `proxyStatsMatcher` lets them in.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

from meshpki.cluster.client import Reader
from meshpki.cluster.envoy import ADMIN_PORT
from meshpki.cluster.manifest import Object, Ref
from meshpki.components.serving import pod_ref
from meshpki.errors import MeshpkiError

# Each of them a handshake or a secret that went wrong.
MUST_BE_ZERO = (
    *("ssl.fail_verify_error", "ssl.fail_verify_san", "ssl.fail_verify_no_cert", "ssl.fail_verify_cert_hash"),
    *("ssl.connection_error", "sds.update_rejected", "sds.key_rotation_failed", "sds.init_fetch_timeout"),
    *("factory.upstream_context_secrets_not_ready", "factory.downstream_context_secrets_not_ready"),
)
MUST_GROW = ("ssl.handshake", "sds.update_success")
_ALSO = ("ssl.session_reused", "factory.ssl_context_update_by_sds")
_WANTED = frozenset((*MUST_BE_ZERO, *MUST_GROW, *_ALSO))

_FILTER = r"(\.ssl\.|^sds\.|\.sds\.|ssl_socket_factory\.)"
PATH = f"/stats?usedonly&format=json&filter={quote(_FILTER, safe='')}"
WIDTH = 32
_NAMED = 3
_NAME = re.compile(r"(?:^|.*\.)(?:(?P<ssl>ssl)|(?P<sds>sds)\.[^.]+|(?P<factory>\w+_ssl_socket_factory))\.(?P<leaf>\w+)")

# Whoever has an identity has counted at least the secret that brought it.
_KEPT_NONE = "its Envoy keeps no counters of TLS and SDS: see proxyStatsMatcher"

Fate = Literal["kept", "born", "restarted", "gone", "unread"]


@dataclass(frozen=True)
class Counted:
    """One pod's counters at one moment by kind (`ssl.handshake`); `unread` says why there are none."""

    uid: str
    totals: Mapping[str, int] = field(default_factory=dict)
    unread: str = ""


Snapshot = Mapping[Ref, Counted]


@dataclass(frozen=True)
class Change:
    """How one pod's counters grew; of a pod that was born or restarted meanwhile, from zero."""

    pod: Ref
    fate: Fate
    grown: Mapping[str, int] = field(default_factory=dict)
    why: str = ""

    @property
    def wrong(self) -> dict[str, int]:
        """What should not have grown, and did."""
        return {kind: self.grown[kind] for kind in MUST_BE_ZERO if self.grown.get(kind)}


@dataclass(frozen=True)
class Changes:
    """The growth of every pod's counters."""

    pods: tuple[Change, ...]

    def total(self, kind: str) -> int:
        """The growth of one kind over all pods whose counters could be read."""
        return sum(pod.grown.get(kind, 0) for pod in self.pods)

    @property
    def wrong(self) -> dict[str, int]:
        """What should not have grown and did, over all pods that ran all the time.

        A proxy that starts waits for its first secrets, and counts that: those of the others are told by `starting`.
        """
        return _sum(pod.wrong for pod in self.pods if pod.fate == "kept")

    @property
    def starting(self) -> dict[str, int]:
        """The same over the pods that were born or restarted meanwhile."""
        return _sum(pod.wrong for pod in self.pods if pod.fate in ("born", "restarted"))

    @property
    def unread(self) -> tuple[Change, ...]:
        """Pods that were there all the time and could not be read at one of the two moments."""
        return tuple(pod for pod in self.pods if pod.fate == "unread")

    def why_not(self, must_grow: Iterable[str] = MUST_GROW) -> str:
        """What of this speaks against the proof, in words; empty where nothing does.

        Without a new leaf or trust in between `sds.update_success` stands still: then leave it out of `must_grow`.
        """
        parts = [f"{kind} grew by {count} ({self._where(kind)})" for kind, count in self.wrong.items()]
        parts += [f"{kind} did not grow" for kind in must_grow if not self.total(kind)]
        parts += [f"{one.pod}: {one.why}" for one in self.unread[:_NAMED]]
        return "; ".join(parts)

    def _where(self, kind: str) -> str:
        where = [str(pod.pod) for pod in self.pods if pod.fate == "kept" and pod.wrong.get(kind)]
        return ", ".join(where[:_NAMED]) + (" and more" if len(where) > _NAMED else "")


def snapshot(reader: Reader, pods: Iterable[Object]) -> Snapshot:
    """Ask every pod's Envoy for its counters; a pod that does not answer is in it with the reason."""
    uids = {pod_ref(pod): str(pod["metadata"].get("uid", "")) for pod in pods}
    found = {}
    for ref, answer in reader.fetch(uids, ADMIN_PORT, PATH, WIDTH):
        if isinstance(answer, MeshpkiError):
            found[ref] = Counted(uids[ref], unread=answer.what)
            continue
        try:
            found[ref] = Counted(uids[ref], read(answer))
        except ValueError:
            found[ref] = Counted(uids[ref], unread="its answer holds no counters")
    return found


def read(answer: bytes) -> dict[str, int]:
    """The counters of Envoy's `/stats?format=json`, summed over listeners and clusters; raises ValueError."""
    try:
        content = json.loads(answer)
        stats = content["stats"]
        named = [(one["name"], one["value"]) for one in stats if "name" in one]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError("no counters of Envoy") from error
    totals: Counter[str] = Counter()
    for name, value in named:
        kind = _kind(str(name))
        if kind in _WANTED and isinstance(value, int) and value > 0:
            totals[kind] += value
    return dict(totals)


def compare(before: Snapshot, after: Snapshot) -> Changes:
    """How the counters grew between two looks."""
    return Changes(tuple(_change(ref, before.get(ref), after.get(ref)) for ref in sorted({*before, *after})))


def _change(ref: Ref, before: Counted | None, after: Counted | None) -> Change:
    if after is None:
        return Change(ref, "gone")
    if after.unread or not after.totals:
        return Change(ref, "unread", why=after.unread or _KEPT_NONE)
    if before is None or before.uid != after.uid:
        return Change(ref, "born", after.totals)
    if before.unread:
        return Change(ref, "unread", why=before.unread)
    grown = {kind: count - before.totals.get(kind, 0) for kind, count in after.totals.items()}
    if min(grown.values(), default=0) < 0 or before.totals.keys() - after.totals.keys():
        return Change(ref, "restarted", after.totals)
    return Change(ref, "kept", grown)


def _kind(name: str) -> str:
    found = _NAME.fullmatch(name)
    if found is None:
        return ""
    family = "ssl" if found["ssl"] else "sds" if found["sds"] else "factory"
    return f"{family}.{found['leaf']}"


def _sum(each: Iterable[Mapping[str, int]]) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for one in each:
        totals.update(one)
    return dict(totals)
