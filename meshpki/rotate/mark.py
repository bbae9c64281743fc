"""What an unfinished rotation is known by: an annotation on the object it is about, gone when the rotation is done."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from meshpki.cluster.client import Cluster
from meshpki.cluster.manifest import Object, Ref
from meshpki.rotate import MANAGER

ANNOTATION = "rotate.meshpki.dev/from"


@dataclass(frozen=True)
class Mark:
    """Where a rotation began: the CA of before by serial (hex) or authority id, and its end; `revision` counts issues.

    `compromised` says that it was begun because the key of that CA is known to somebody else.
    """

    name: str
    not_after: datetime
    revision: int = 0
    compromised: bool = False


def read(live: Object, key: str = ANNOTATION) -> Mark | None:
    """The mark of an object; None where there is none, or what is there was not written by us."""
    text = (live["metadata"].get("annotations") or {}).get(key)
    if not text:
        return None
    try:
        content = json.loads(text)
        ends = datetime.fromisoformat(content["not_after"])
        return Mark(str(content["name"]), ends, int(content["revision"]), bool(content["compromised"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def write(cluster: Cluster, ref: Ref, mark: Mark, key: str = ANNOTATION) -> None:
    """Put the mark on an object, by a field manager of its own, so that `up` leaves it where it is."""
    text = json.dumps({**asdict(mark), "not_after": mark.not_after.isoformat()}, sort_keys=True)
    cluster.merge(ref, {"metadata": {"annotations": {key: text}}}, MANAGER)


def clear(cluster: Cluster, ref: Ref, key: str = ANNOTATION) -> None:
    """Take the mark off; raises ClusterError."""
    cluster.merge(ref, {"metadata": {"annotations": {key: None}}}, MANAGER)
