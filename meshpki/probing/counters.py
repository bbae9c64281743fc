"""What the mesh's Envoys counted of TLS and of SDS, before and after: the other half of the proof.

Names: Envoy v1.37.0 source/common/tls/stats.h (ssl), source/common/tls/server_context_config_impl.h and
source/common/secret/sds_api.h. Istio keeps them only where `proxyStatsMatcher` lets them in.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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
# A cluster or a listener that goes (its Service was deleted) takes its part of each sum with it, failures too.
_SHRANK = "its counters shrank though it was not restarted: what some of them had counted went away with them"
_PROXY = "istio-proxy"

Fate = Literal["kept", "born", "restarted", "gone", "unread"]


@dataclass(frozen=True)
class Counted:
    """One pod's counters at one moment by kind (`ssl.handshake`); `unread` says why there are none.

    `start` tells one start of its proxy's container from the next: how often it was restarted, and when it began.
    """

    uid: str
    totals: Mapping[str, int] = field(default_factory=dict)
    unread: str = ""
    start: tuple[int, str] = (0, "")


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
        """Pods that were there all the time and could not be read at one of the two moments, or not compared."""
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
    known = {pod_ref(pod): Counted(str(pod["metadata"].get("uid", "")), start=_start(pod)) for pod in pods}
    return {ref: _counted(known[ref], answer) for ref, answer in reader.fetch(known, ADMIN_PORT, PATH, WIDTH)}


def _counted(one: Counted, answer: bytes | MeshpkiError) -> Counted:
    if isinstance(answer, MeshpkiError):
        return replace(one, unread=answer.what)
    try:
        return replace(one, totals=read(answer))
    except ValueError:
        return replace(one, unread="its answer holds no counters")


def _start(pod: Object) -> tuple[int, str]:
    """Of the proxy, which is a container, or an init container that stays (a native sidecar)."""
    status = pod.get("status", {})
    every = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    proxy: Object = next((one for one in every if one["name"] == _PROXY), {})
    running = (proxy.get("state") or {}).get("running") or {}
    return int(proxy.get("restartCount", 0)), str(running.get("startedAt", ""))


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
    return _growth(ref, before, after) if before.start == after.start else Change(ref, "restarted", after.totals)


def _growth(ref: Ref, before: Counted, after: Counted) -> Change:
    """Of a proxy that ran from one look to the other."""
    grown = {kind: count - before.totals.get(kind, 0) for kind, count in after.totals.items()}
    if min(grown.values(), default=0) < 0 or before.totals.keys() - after.totals.keys():
        return Change(ref, "unread", why=_SHRANK)
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
