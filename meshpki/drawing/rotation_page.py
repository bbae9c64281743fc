"""The proof of a root rotation as one page of HTML: that no request was lost, or which, and what is not proven."""

from collections.abc import Iterator

from meshpki.drawing import page_tables, rotation_tables
from meshpki.drawing.element import Content, element
from meshpki.drawing.mark import Mark
from meshpki.drawing.page_frame import Fact, Origin, Page, Section, facts, made_by, named, source, verdict
from meshpki.drawing.rotation_chart import chart, near
from meshpki.drawing.tree import summary
from meshpki.drawing.words import counted, moment
from meshpki.rotate.facts import Generation
from meshpki.rotate.proof import Proof
from meshpki.verify.report import Report

_MARKS = {"proven": Mark.PROVEN, "failed": Mark.BROKEN, "not proven": Mark.UNKNOWN}
_VERDICTS = {
    "proven": "Proven: no request failed",
    "failed": "Failed: the mesh lost requests, or Envoy counted what it should not",
    "not proven": "Not proven: that no request failed is not known",
}
_CLOCKS = (
    "Each stage has a bar over the time it took, from the beginning of the run;"
    " below, on the same axis, stand the requests of the probe."
    " The clocks of the nodes place the requests, the clock of the machine that ran meshpki places the stages."
)


def page(proof: Proof, report: Report | None, origin: Origin, error: str = "") -> str:
    """The whole page: `report` is what verify says of the mesh now, None where nobody could look.

    `error` is why the run stopped or went back.
    """
    title = f"{proof.verdict}: root rotation of {_mesh_of(proof, report)}, {moment(proof.began)}"
    footer = [made_by(origin, "meshpki rotate root --report FILE")]
    return Page(title, _header(proof, report, origin, error), tuple(_sections(proof, report)), footer).html()


def _header(proof: Proof, report: Report | None, origin: Origin, error: str) -> list[Content]:
    pairs: list[Fact] = [
        ("From root", _root(proof.turn.leaving)),
        ("To root", _root(proof.turn.entering)),
        ("Ran", _ran(proof)),
        source(origin),
        *([("Trust domain", [named(report.trust_domain)])] if report else []),
    ]
    return [
        element("h1", "Root rotation of ", named(_mesh_of(proof, report))),
        verdict(_MARKS[proof.verdict], _VERDICTS[proof.verdict], *_words(proof, error)),
        facts(pairs),
    ]


def _words(proof: Proof, error: str) -> Iterator[str]:
    yield f"{proof.sentence}."
    if error:
        yield f"The run did not go through: {error}."
    if not proof.finished:
        yield "The rotation is not finished: two roots are pinned."


def _root(generation: Generation) -> list[Content]:
    root = generation.root
    said = f", generation {generation.number}, until {moment(root.not_after)}"
    return [named(root.subject), said, element("br"), "sha256 ", element("code", root.sha256)]


def _ran(proof: Proof) -> list[Content]:
    began, ended = (
        element("time", f"{at:%Y-%m-%d %H:%M:%S} UTC", datetime=f"{at:%Y-%m-%dT%H:%M:%SZ}")
        for at in (proof.began, proof.ended)
    )
    return [began, " to ", ended, f", {(proof.ended - proof.began).total_seconds():,.0f} s"]


def _sections(proof: Proof, report: Report | None) -> Iterator[Section]:
    yield Section("run", "Stages and requests over time", _run(proof))
    yield Section("pods", "Pods", rotation_tables.pods(proof))
    yield Section("requests", "Requests", rotation_tables.requests(proof))
    yield Section("counters", "Envoy's counters", rotation_tables.counters(proof.changes))
    yield Section("control", "Negative control", _control(proof))
    yield Section("open", "Not proven, and why", _open(proof))
    yield Section("mesh", "What verify says of the mesh now", _mesh(report))


def _run(proof: Proof) -> list[Content]:
    hidden = len(proof.tally.timeline) - len(near(proof)) if proof.tally else 0
    off = f" {counted(hidden, 'second')} with a time far from this run are not drawn." if hidden else ""
    return [
        element("p", _CLOCKS, off),
        element("figure", chart(proof)),
        *rotation_tables.run(proof),
    ]


def _control(proof: Proof) -> list[Content]:
    why = "A server that lets an untrusted identity in would answer every request, and prove nothing by it."
    said: list[Content] = [named(proof.control), "."] if proof.control else ["It was not tried."]
    return [element("p", *said), element("p", why, class_="quiet")]


def _open(proof: Proof) -> list[Content]:
    """Everything that keeps the verdict from being more than it is."""
    stayed = [move.pod for move in proof.moves if move.after is None]
    said: list[str] = [*proof.doubts]
    if not proof.finished:
        said.append("one root alone: both are still pinned")
    if stayed:
        some = ", ".join(stayed[:5]) + (" and more" if len(stayed) > len(stayed[:5]) else "")
        said.append(f"{counted(len(stayed), 'pod')} had no leaf below the root that is entered: {some}")
    if proof.changes and proof.changes.starting:
        grown = ", ".join(f"{kind} by {count:,}" for kind, count in proof.changes.starting.items())
        said.append(f"in proxies that started meanwhile {grown} grew, which a start explains but does not prove")
    if not said:
        return [element("p", "Nothing speaks against the verdict above, and nothing of it is left open.")]
    return [element("ul", *(element("li", named(one)) for one in said))]


def _mesh_of(proof: Proof, report: Report | None) -> str:
    """The name of the mesh; of one that nobody could look at, the root that it was to leave."""
    return report.trust_domain if report else f"the mesh under {proof.turn.leaving.root.subject}"


def _mesh(report: Report | None) -> list[Content]:
    if report is None:
        return [element("p", "Nobody could look at it in the end: ", element("code", "meshpki verify --authorities"))]
    look = f"{summary(report)}, at {moment(report.at)}. The whole of it: "
    return [element("p", look, element("code", "meshpki report --out FILE")), *page_tables.unseen(report)]
