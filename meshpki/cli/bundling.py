"""A support bundle from the open cluster to its file: the reports that the other commands write, and what is around."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from meshpki import artifacts
from meshpki import forecast as forecasting
from meshpki.cli import certs_forms, forecast_forms, output, status_forms, verdicts
from meshpki.cli.counting import counting
from meshpki.cli.session import SystemClock, open_cluster, settings_of
from meshpki.cli.status_look import at_hand
from meshpki.cli.whole_file import whole_file
from meshpki.cluster.client import Reader
from meshpki.components.renewal import cacerts_renewal
from meshpki.errors import MeshpkiError
from meshpki.settings import Settings, defaults, read
from meshpki.status import look
from meshpki.support_bundle import Archive, Wanted, collect
from meshpki.verify import Report, Scope, verify
from meshpki.verify.expiry import inventory


@dataclass(frozen=True)
class Asked:
    """What one bundle was asked for: which file, how much, and of which cluster."""

    out: Path | None
    since: timedelta
    lines: int
    namespace: str = ""
    force: bool = False
    context: str = ""
    kubeconfig: Path | None = None
    files: tuple[Path, ...] = ()


def write_bundle(asked: Asked) -> None:
    """Write it; raises UsageError (MPK-260, MPK-261) for the file, PreconditionError where no cluster answers."""
    at = datetime.now(UTC)
    path = asked.out or Path(f"meshpki-support-{at:%Y%m%dT%H%M%SZ}.tar.gz")
    if asked.files:
        read(asked.files)  # wrong files are told before a cluster is asked
    with whole_file(path, replace=asked.force) as stream:
        cluster = open_cluster(asked.context, asked.kubeconfig)
        cluster.version()  # where nobody answers there is nothing to collect
        with Archive(stream, at) as archive:
            fill(archive, cluster, asked, at)
    told = f"written to {path}: {len(archive.members)} files, {path.stat().st_size} bytes"
    output.progress(output.plain(f"{told}; {len(archive.missing)} things are missing, and manifest.json says why"))
    output.progress("look through it before you send it")


def fill(archive: Archive, reader: Reader, asked: Asked, at: datetime) -> None:
    """Everything of a cluster; what cannot be read is told in the archive."""
    settings = _settings(archive, reader, asked.files)
    report: Report | MeshpkiError
    try:
        with counting() as progress:
            report = verify(reader, settings, at, Scope(asked.namespace), progress=progress, now=SystemClock().now)
    except MeshpkiError as error:
        report = error
    wanted = Wanted(at, at - asked.since, asked.lines, asked.namespace)
    seen = report if isinstance(report, Report) else None
    made = documents(reader, settings, at, report)
    collect(archive, reader, settings, wanted, report=seen, documents=made, tell=_tell)


def documents(
    reader: Reader, settings: Settings, at: datetime, report: Report | MeshpkiError
) -> Iterator[tuple[str, Callable[[], object]]]:
    """The reports as plain data, in the order of their names; each raises why there is none."""
    of_report = {"certs": _certs, "forecast": _forecast, "verify": _verify}
    for name in sorted([*of_report, "status"]):
        if name == "status":
            yield name, lambda: json.loads(status_forms.as_json(look(reader, settings, _releases(settings), at)))
        else:
            yield name, partial(_document, of_report[name], reader, settings, report)


def _document(
    form: Callable[[Reader, Settings, Report], str], reader: Reader, settings: Settings, report: Report | MeshpkiError
) -> object:
    if isinstance(report, MeshpkiError):
        raise report
    return json.loads(form(reader, settings, report))


def _certs(reader: Reader, settings: Settings, report: Report) -> str:
    return certs_forms.as_json(inventory(report, cacerts_renewal(reader, settings)), report)


def _forecast(reader: Reader, settings: Settings, report: Report) -> str:
    seen = forecasting.gather(reader, settings, report, authorities=False)
    return forecast_forms.as_json(forecasting.forecast(seen))


def _verify(_reader: Reader, _settings: Settings, report: Report) -> str:
    return verdicts.as_json(report)


def _releases(settings: Settings) -> artifacts.Releases:
    return at_hand(settings, None)


def _settings(archive: Archive, reader: Reader, files: tuple[Path, ...]) -> Settings:
    """Those that hold; the defaults where the kept ones cannot be read, so that at least something is seen."""
    try:
        return settings_of(reader, files)
    except MeshpkiError as error:
        archive.lacks("the kept settings; the defaults are assumed", str(error))
        return defaults()


def _tell(what: str) -> None:
    output.progress(f"support-bundle: {what}")
