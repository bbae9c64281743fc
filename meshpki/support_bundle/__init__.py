"""Support bundle: what somebody else needs to see to help, and nothing that is secret. Reads only, and no Secret."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from meshpki.cluster.client import Reader
from meshpki.settings import Settings
from meshpki.support_bundle import certificates, logs, pods, state
from meshpki.support_bundle.archive import FOLDER, MANIFEST, Archive, Missing
from meshpki.support_bundle.redaction import each_text, redacted
from meshpki.verify.report import Report

__all__ = ["FOLDER", "MANIFEST", "Archive", "Missing", "Wanted", "collect"]

ENVOYS = 500

Documents = Iterable[tuple[str, Callable[[], object]]]


@dataclass(frozen=True)
class Wanted:
    """Logs since a time (UTC) and how many lines of each; a `namespace` narrows the workloads, empty for all."""

    at: datetime
    since: datetime
    lines: int = logs.LINES
    namespace: str = ""


def collect(
    archive: Archive,
    reader: Reader,
    settings: Settings,
    wanted: Wanted,
    *,
    report: Report | None,
    documents: Documents,
    tell: Callable[[str], None],
) -> None:
    """Fill an archive, folder by folder; what cannot be read is told in it and stops nothing.

    `report` (None where verify failed) tells which pods are looked at first; `documents` are the reports as plain
    data, by name. `tell` hears what is being collected.
    """
    own = state.own_namespaces(settings)
    proven = frozenset(one.name for one in report.pods if one.result == "proven") if report else frozenset()
    seen = pods.look(archive, reader, own, proven, wanted.namespace)
    tell("certificates")
    with archive.attempt("what the control plane serves and keeps"):
        certificates.add_control_plane(archive, reader, settings, wanted.at)
    with archive.attempt("what the Envoys hold"):
        certificates.add_envoys(archive, reader, seen.first(ENVOYS))
    tell("events")
    state.add_events(archive, reader, {*own, *(namespace for namespace, _ in seen.mesh)})
    tell("logs")
    logs.add_logs(archive, reader, logs.sources(seen.talking(logs.PODS), seen.own), wanted.since, wanted.lines)
    tell("objects")
    state.add_told(archive, "Pod", seen.shown)
    state.add_objects(archive, reader, own)
    _add_reports(archive, documents, tell)
    tell("settings and versions")
    state.add_settings(archive, reader)
    state.add_versions(archive, reader, settings, seen.shown)


def _add_reports(archive: Archive, documents: Documents, tell: Callable[[str], None]) -> None:
    for name, made in documents:
        tell(f"report {name}")
        with archive.attempt(f"report {name}"):
            archive.add_json(f"reports/{name}.json", each_text(made(), redacted))
