"""What a rotation of SPIRE's CA will do and has done, as text and as JSON."""

from dataclasses import dataclass

from meshpki.cli.format import Format
from meshpki.cli.moments import Run
from meshpki.cli.rotate_document import carried_out, exposed, foreseen
from meshpki.components.spire_authorities import Authority
from meshpki.pki.renewal import of_spire_life
from meshpki.rotate.exposure import Exposure, of_spire_ca
from meshpki.rotate.spire_ca import Facts, Rotation, Server
from meshpki.rotate.spire_steps import Done
from meshpki.settings import Settings, go_duration
from meshpki.settings.durations import moment


@dataclass(frozen=True)
class Intent:
    """What is to be done, as it is shown before anybody is asked; alone it is a dry run."""

    context: str
    facts: Facts
    rotation: Rotation

    @property
    def exposure(self) -> Exposure | None:
        """What the old key is still good for, where somebody else has it."""
        ends = [one.not_after for one in self.rotation.start.values()]
        return of_spire_ca(max(ends)) if self.rotation.compromised else None

    def lines(self) -> list[str]:
        """The CAs of now, and what is going to happen."""
        pin, spire = self.facts.pin, self.rotation.settings.spire
        root = f"{pin.root.subject}, until {moment(pin.root.not_after)}: unchanged"
        svid = go_duration(spire.svid_ttl)
        move = (
            "spire-server and its agents are restarted, one at a time"
            if self.rotation.restart_agents
            else f"certificates move by themselves, at half of an SVID's life of {svid}"
        )
        return [
            f"SPIRE's CA, under the root {root}",
            *(line for server in self.facts.servers for line in self._of(server)),
            f"  then: another CA for {go_duration(spire.ca_ttl)}, prepared and activated on each spire-server; {move}",
            *(self.exposure.lines() if self.exposure else ()),
        ]

    def _of(self, server: Server) -> list[str]:
        active = server.slots.active
        if active is None:
            return [f"  {server.name}: no CA"]
        clock = _clock(self.rotation.settings, active)
        said = [f"  {server.name}: {active.authority_id}, until {moment(active.expires)}; by itself: {clock}"]
        if server.name in self.rotation.resumed:
            said.append(f"    goes on with the rotation that was begun at {self.rotation.start[server.name].name}")
        return said

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
        start, moved, exposure = self.intent.rotation.start, self.done.moving, self.intent.exposure
        said = []
        for name, active in self.done.active.items():
            said.append(f"{name}: {start[name].name} -> {active.authority_id}, until {moment(active.expires)}")
            said.append(f"  by itself: {_clock(self.intent.rotation.settings, active)}")
        rest = f"; the others by themselves until {moment(moved.until)}" if moved.until else ""
        where = f" --context {self.intent.context}"
        return [
            *said,
            f"trust bundle: {self.run.board.lines['spire-ca'].said.get('bundle', '')}",
            f"{moved}{rest}",
            f"seconds: {self.run.board.seconds()}",
            *(exposure.lines() if exposure else ()),
            "next:",
            f"  meshpki verify --authorities{where}",
        ]

    def _evidence(self) -> dict[str, object]:
        moved = self.done.moving
        servers = [
            {
                "pod": name,
                "before": self.intent.rotation.start[name].name,
                "after": active.authority_id,
                "upstream": active.upstream,
                "notAfter": moment(active.expires),
                **_next(self.intent.rotation.settings, active),
            }
            for name, active in self.done.active.items()
        ]
        certificates = {
            "moved": len(moved.moved),
            "total": moved.total,
            "staying": sorted(moved.staying),
            "silent": moved.silent,
            "until": moment(moved.until) if moved.until else None,
        }
        return {"servers": servers, "certificates": certificates}


def _common(intent: Intent) -> dict[str, object]:
    return {
        "ca": "spire-ca",
        "context": intent.context,
        "compromised": intent.rotation.compromised,
        "resumed": sorted(intent.rotation.resumed),
        "root": intent.facts.pin.root.sha256,
        "old": {
            name: {"authorityID": one.name, "notAfter": moment(one.not_after)}
            for name, one in intent.rotation.start.items()
        },
        "exposure": exposed(intent.exposure),
    }


def _by_itself(settings: Settings, active: Authority) -> tuple[str, str]:
    """When the next CA is prepared, and when it is used; before this one ends it always is."""
    planned = of_spire_life(active.expires, settings.spire.ca_ttl)
    return moment(planned.prepared or active.expires), moment(planned.at or active.expires)


def _clock(settings: Settings, active: Authority) -> str:
    prepared, used = _by_itself(settings, active)
    return f"the next is prepared {prepared}, and used from {used}"


def _next(settings: Settings, active: Authority) -> dict[str, str]:
    prepared, used = _by_itself(settings, active)
    return {"nextPrepare": prepared, "nextActivate": used}
