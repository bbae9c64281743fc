"""The end of a rotation from a compromised root that was killed before it: what is still open is closed."""

import json
from dataclasses import dataclass

from meshpki.cli import output
from meshpki.cli.ca_rotation import Asked, Named, announce, follow
from meshpki.cli.format import Format
from meshpki.cli.holding import mesh_state, one_run
from meshpki.cli.moments import Run
from meshpki.cli.root_json import KIND
from meshpki.cli.session import SystemClock
from meshpki.components.trust import root_name
from meshpki.errors import OK
from meshpki.rotate import compromise
from meshpki.settings import Settings
from meshpki.workflow.plan import Plan
from meshpki.workflow.run import run
from meshpki.workflow.work import Limits


@dataclass(frozen=True)
class Drained:
    """What was closed, or is to be: the root, and the workloads that only their owners can replace."""

    context: str
    root: str
    beyond_reach: tuple[str, ...]
    run: Run | None = None

    exit_code = OK

    def lines(self) -> list[str]:
        """What it is about."""
        said = f"{self.root} is trusted nowhere; what was accepted under it before is"
        done = f"{said} {'closed' if self.run else 'to be closed: every pod of the mesh is replaced'}"
        return [done, *(f"to be replaced by its owner: {one}" for one in self.beyond_reach)]

    def told(self, form: Format) -> str:
        """See Told."""
        if form is Format.TEXT:
            return output.plain("\n".join(self.lines()))
        rows = self.run.board.rows() if self.run else []
        told = {"dryRun": self.run is None, "drained": self.root, "steps": rows, "beyondReach": list(self.beyond_reach)}
        return json.dumps({**KIND, "context": self.context, **told}, indent=2)


def drained(cluster: Named, settings: Settings, asked: Asked, generation: int) -> Drained:
    """Replace what is still from before; raises the error of the workload that hangs (MPK-445)."""
    before = mesh_state(cluster)
    planned = Drained(cluster.context, root_name(generation), compromise.beyond_reach(cluster))
    if asked.dry_run:
        return planned
    announce(cluster, planned.lines(), asked)
    clock = SystemClock()
    plan = Plan((compromise.drain(settings, generation, clock),))
    with one_run(cluster, before) as leased:
        done = follow(plan, clock, run(plan, leased, clock, Limits(asked.timeout)))
    return Drained(planned.context, planned.root, planned.beyond_reach, done)
