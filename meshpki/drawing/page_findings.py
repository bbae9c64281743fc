"""The page's findings: one part a code, the worst first, with its remedies and whom it concerns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from meshpki.drawing.element import Content, element
from meshpki.drawing.mark import Mark, of_finding, rank
from meshpki.drawing.page_table import Cell, name, table
from meshpki.drawing.words import counted, digest
from meshpki.pki.verdict import Finding
from meshpki.verify.report import Report

_CONCERNED = 25
_REMEDIES = 3
_COLUMNS = ("Concerns", "Expected", "Found", "Certificate")


@dataclass(frozen=True)
class Concern:
    """One finding and whom it concerns."""

    name: str
    finding: Finding


def findings(report: Report, titles: Mapping[str, str]) -> list[Content]:
    """Every finding of pods, places and peers, by code and severity."""
    groups: dict[tuple[Mark, str], list[Concern]] = {}
    for concern in _concerns(report):
        groups.setdefault((of_finding(concern.finding), concern.finding.code), []).append(concern)
    if not groups:
        return [element("p", "There are none.")]
    ordered = sorted(groups.items(), key=lambda item: (-rank(item[0][0]), item[0][1]))
    return [_part(mark, code, titles.get(code, ""), found) for (mark, code), found in ordered]


def _concerns(report: Report) -> Iterator[Concern]:
    for pod in report.pods:
        yield from (Concern(pod.name, finding) for finding in pod.findings)
    for place in report.places:
        yield from (Concern(place.name, finding) for finding in place.findings)
    for pair in report.peers:
        whom = f"{counted(len(pair.verifier.pods), 'pod')} that are asked by {counted(len(pair.presenter.pods), 'pod')}"
        yield from (Concern(whom, finding) for finding in pair.findings)


def _part(mark: Mark, code: str, title: str, found: Sequence[Concern]) -> Element:
    remedies = list(dict.fromkeys(concern.finding.remedy for concern in found))
    shown = found[:_CONCERNED]
    caption = counted(len(found), "finding") + (f", of which {_CONCERNED} are shown" if len(found) > _CONCERNED else "")
    heading = element("h3", element("span", f"{mark.sign} {mark} ", class_=f"mark {mark}"), f"{code} {title}".rstrip())
    return element(
        "article",
        heading,
        *(element("p", element("strong", "To do: "), element("bdi", remedy)) for remedy in remedies[:_REMEDIES]),
        table(caption, _COLUMNS, (_row(concern) for concern in shown)),
        class_=f"finding {mark}",
    )


def _row(concern: Concern) -> Iterator[Cell]:
    about = concern.finding.certificate
    yield name(concern.name)
    yield name(concern.finding.expected)
    yield name(concern.finding.found)
    yield name(f"{about.subject or f'serial {about.serial}'}, {digest(about.sha256)}" if about else "")
