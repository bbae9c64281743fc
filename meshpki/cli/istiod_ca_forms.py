"""What a rotation of istiod's CA will do and has done, as text and as JSON."""

from dataclasses import dataclass
from datetime import datetime

from meshpki.cli.format import Format
from meshpki.cli.moments import Run
from meshpki.cli.rotate_document import carried_out, exposed, foreseen
from meshpki.cli.verdicts.words import aligned
from meshpki.rotate.adoption import Replica
from meshpki.rotate.exposure import Exposure, of_istiod_ca
from meshpki.rotate.istiod_ca import Done, Facts, Rotation
from meshpki.rotate.lifetime import of_certificate, written
from meshpki.settings import IstiodCA, go_duration
from meshpki.settings.durations import moment


@dataclass(frozen=True)
class Intent:
    """What is to be done, as it is shown before anybody is asked; alone it is a dry run."""

    context: str
    facts: Facts
    rotation: Rotation
    at: datetime
    scaled: bool = False

    @property
    def now(self) -> IstiodCA | None:
        """The lifetime of the CA of before; None where the Certificate does not tell it any more."""
        return None if self.rotation.resumed else of_certificate(self.facts.live)

    @property
    def exposure(self) -> Exposure | None:
        """What the old key is still good for, where somebody else has it."""
        return of_istiod_ca(self.rotation.start.not_after) if self.rotation.start.compromised else None

    def lines(self) -> list[str]:
        """Old and new side by side, and what else is worth knowing before a yes."""
        wish, start, pin = self.rotation.settings.istiod_ca, self.rotation.start, self.facts.pin
        end = self.at + wish.duration
        rows = (
            ("", "now", "then"),
            ("serial", start.name or "-", "a new one, with a new key"),
            ("lifetime", written(self.now) if self.now else "-", written(wish)),
            ("ends", moment(start.not_after), f"about {end:%Y-%m-%dT%H:%MZ}"),
            ("renewed", _renewed(self.facts), f"about {end - wish.renew_before:%Y-%m-%dT%H:%MZ}"),
        )
        width = max(len(row[1]) for row in rows)
        table = [f"  {name:<9} {now:<{width}}  {then}".rstrip() for name, now, then in rows]
        root = f"CN {pin.root.subject.removeprefix('CN=')}, until {moment(pin.root.not_after)}: unchanged"
        said = [f"istiod's CA, Certificate cacerts, under the root {root}", *table]
        if self.scaled and self.now and self.now.renew_before != wish.renew_before:
            said.append("  renewBefore is scaled in the ratio of before; --renew-before would say another")
        if self.rotation.resumed:
            said.append(f"  goes on with the rotation that was begun at revision {start.revision}")
        said.append(f"  {self.facts.istiods} istiod to take it up; what SPIRE has signed is not touched")
        return [*said, *(self.exposure.lines() if self.exposure else ())]

    def told(self, form: Format) -> str:
        """See Told."""
        return foreseen(form, self.lines(), _common(self))


@dataclass(frozen=True)
class Outcome:
    """What was done, with the evidence."""

    intent: Intent
    run: Run
    done: Done

    def told(self, form: Format) -> str:
        """See Told."""
        return carried_out(form, self._lines(), _common(self.intent), self._evidence(), self.run)

    def _lines(self) -> list[str]:
        start, ca = self.intent.rotation.start, self.done.ca
        rows = [("ISTIOD", "LOADED", "AFTER", "15012", "15017", "METRIC"), *map(self._row, self.done.replicas)]
        leaf = self.run.board.lines["leaf"].said.get("signed", "")
        exposure = self.intent.exposure
        return [
            f"revision {start.revision} -> {self.done.revision}",
            f"serial   {start.name or '-'} until {moment(start.not_after)}",
            f"      -> {ca.serial:x} until {moment(ca.not_after)}",
            *aligned(rows),
            f"a pod born now: {leaf}",
            f"seconds: {self.run.board.seconds()}",
            *(exposure.lines() if exposure else ()),
            *self._next(),
        ]

    def _next(self) -> list[str]:
        where = f" --context {self.intent.context}"
        wish = go_duration(self.intent.rotation.settings.istiod_ca.duration)
        up = f"  meshpki up{where}      (changes nothing now; a file given with -f has to say {wish} too)"
        return ["next:", f"  meshpki verify{where}", up]

    def _row(self, one: Replica) -> tuple[str, ...]:
        loaded = f"{one.loaded:%H:%M:%S.%f}"[:-3] + "Z" if one.loaded else "-"
        after = f"{self._seconds(one):.1f}s" if one.loaded else "-"
        ports = (_is_new(one.served.get(port, ""), self.done) for port in (15012, 15017))
        return (one.pod, loaded, after, *ports, moment(one.expiry) if one.expiry else "-")

    def _seconds(self, one: Replica) -> float | None:
        return (one.loaded - self.done.ca.not_before).total_seconds() if one.loaded else None

    def _evidence(self) -> dict[str, object]:
        ca = self.done.ca
        new = {
            "serial": f"{ca.serial:x}",
            "sha256": ca.sha256,
            "notBefore": moment(ca.not_before),
            "notAfter": moment(ca.not_after),
            "revision": self.done.revision,
        }
        replicas = [
            {
                "pod": one.pod,
                "loadedAt": one.loaded.isoformat() if one.loaded else None,
                "seconds": self._seconds(one),
                "served": {str(port): serial for port, serial in one.served.items()},
                "metric": moment(one.expiry) if one.expiry else None,
            }
            for one in self.done.replicas
        ]
        return {"new": new, "replicas": replicas}


def _common(intent: Intent) -> dict[str, object]:
    start, wish = intent.rotation.start, intent.rotation.settings.istiod_ca
    old = {"serial": start.name, "notAfter": moment(start.not_after), "revision": start.revision}
    return {
        "ca": "istiod-ca",
        "context": intent.context,
        "compromised": start.compromised,
        "resumed": intent.rotation.resumed,
        "root": intent.facts.pin.root.sha256,
        "old": {**old, **(_lifetime(intent.now) if intent.now else {})},
        "wish": _lifetime(wish),
        "exposure": exposed(intent.exposure),
    }


def _lifetime(one: IstiodCA) -> dict[str, str]:
    return {"duration": go_duration(one.duration), "renewBefore": go_duration(one.renew_before)}


def _is_new(serial: str, done: Done) -> str:
    return "new" if serial == f"{done.ca.serial:x}" else serial or "-"


def _renewed(facts: Facts) -> str:
    return str(facts.live.get("status", {}).get("renewalTime") or "-")
