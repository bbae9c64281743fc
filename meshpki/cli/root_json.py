"""The proof of a root rotation as plain data, for JSON. Schema: schemas/rotate-root-report.json in the package."""

from meshpki.pki.certificate import Certificate
from meshpki.probing import Count, Tally
from meshpki.rotate.exposure import Closing
from meshpki.rotate.facts import Generation
from meshpki.rotate.proof import Proof, Span
from meshpki.rotate.witness import Move
from meshpki.settings.durations import moment
from meshpki.settings.model import API_VERSION

KIND = {"apiVersion": API_VERSION, "kind": "RotateRootReport"}


def evidence(proof: Proof) -> dict[str, object]:
    """Roots, stages, pods, and what was counted; null stands for what nobody counted."""
    tally = proof.tally
    return {
        "leaving": _root(proof.turn.leaving),
        "entering": _root(proof.turn.entering),
        "began": moment(proof.began),
        "ended": moment(proof.ended),
        "finished": proof.finished,
        "stages": [_stage(span) for span in proof.spans],
        "moves": [_move(move, proof) for move in proof.moves],
        "verdict": proof.verdict,
        "requests": tally.own.requests if tally else None,
        "failed": tally.own.failed if tally else None,
        "target": _count(tally.target) if tally and tally.target else None,
        "handshakes": proof.handshakes,
        "serials": proof.serials,
        "streams": _streams(tally) if tally else None,
        "errors": dict(tally.errors) if tally else None,
        "control": proof.control or None,
        "why": proof.sentence,
    }


def closing(found: Closing | None) -> dict[str, object] | None:
    """How soon a compromised root was good for nothing; None where it is not said to be compromised."""
    if found is None:
        return None
    return {
        "trustedNowhereAfterSeconds": found.distrusted,
        "drainedAfterSeconds": found.drained,
        "leftBehind": list(found.left_behind),
        "beyondReach": list(found.beyond_reach),
    }


def serial(leaf: Certificate | None) -> str | None:
    """The first 64 bits of a serial number, which SPIRE and Istio draw by lot."""
    return f"{leaf.serial:x}"[:16] if leaf else None


def _root(generation: Generation) -> dict[str, object]:
    return {"generation": generation.number, "sha256": generation.root.sha256}


def _stage(span: Span) -> dict[str, object]:
    return {"name": span.stage, "began": moment(span.began), "ended": moment(span.ended), "done": span.done}


def _move(move: Move, proof: Proof) -> dict[str, object]:
    seconds = proof.adopted(move)
    return {
        "pod": move.pod,
        "before": serial(move.before),
        "after": serial(move.after),
        "issuerBefore": move.before.aki if move.before else None,
        "issuerAfter": move.after.aki if move.after else None,
        "seenAt": moment(move.at) if move.at else None,
        "secondsAfterActivate": round(seconds, 1) if seconds is not None else None,
        "trusted": list(move.trusted),
    }


def _count(found: Count) -> dict[str, object]:
    return {"requests": found.requests, "failed": found.failed}


def _streams(tally: Tally) -> list[dict[str, object]]:
    return [
        {
            "flow": one.flow.title,
            "lines": one.echoes,
            "breaks": one.breaks,
            "gaps": one.gaps,
            "longestSilenceSeconds": round(one.silence.total_seconds(), 1),
        }
        for one in tally.streams
    ]
