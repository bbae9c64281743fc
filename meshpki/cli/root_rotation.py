"""A root rotation from the open cluster to its run: where it stands, what is to do, what forbids it, what is asked."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from meshpki.cli import output
from meshpki.cli.ca_rotation import Asked, Named, announce, opened, refuse
from meshpki.cli.draining import Drained, drained
from meshpki.cli.holding import mesh_state, one_run
from meshpki.cli.root_forms import Intent, Outcome
from meshpki.cli.root_run import RootRun
from meshpki.cli.root_wish import Wish, agrees, known
from meshpki.cli.session import SystemClock
from meshpki.cluster.client import Clock
from meshpki.cluster.manifest import Query
from meshpki.components import probe, spire_authorities
from meshpki.components.spire import schedulable
from meshpki.components.trust import istiod_certificate
from meshpki.rotate import compromise, goals, journey, preflight, retire
from meshpki.rotate.clocks import Deadline, deadlines
from meshpki.rotate.exposure import of_root
from meshpki.rotate.generations import listed
from meshpki.rotate.journey import Standing
from meshpki.settings import Settings
from meshpki.workflow.work import Limits

# The natural clocks have to leave room for a run that is several times as slow as expected.
_ROOM = 3


def rotate_root(asked: Asked, wish: Wish) -> Intent | Outcome | Drained:
    """Rotate the root, or go on, or go back; raises the refusal, or the error of the stage that failed."""
    known(wish)
    cluster, settings = opened(asked)
    return rotated(cluster, settings, asked, wish, SystemClock())


def rotated(cluster: Named, settings: Settings, asked: Asked, wish: Wish, clock: Clock) -> Intent | Outcome | Drained:
    """The same of a cluster that is open."""
    before = mesh_state(cluster)
    here = journey.standing(cluster, settings)
    agrees(here, wish)
    open_still = None if here else compromise.owed(cluster, settings)
    if open_still is not None:
        return drained(cluster, settings, asked, open_still)
    wish = _of_an_expired_root(cluster, here, _of_a_compromised_root(cluster, settings, here, wish))
    wish = replace(wish, past_return=here is not None and here.past_return)
    intent = _intent(cluster, settings, here, wish)
    if asked.dry_run:
        return intent
    announce(cluster, intent.lines(), asked)
    with one_run(cluster, before) as leased:
        return RootRun(leased, settings, wish, Limits(asked.timeout), intent, clock).carried_out()


def _of_a_compromised_root(cluster: Named, settings: Settings, here: Standing | None, wish: Wish) -> Wish:
    """Whoever goes on must close what the root let in, also where the run that said so never came to pin another."""
    pin = journey.required_pin(cluster)
    noted = here.compromised if here else pin.generation in compromise.noted(listed(cluster, settings))
    if wish.compromised or not noted:
        return wish
    output.progress(
        output.plain("an earlier run said that the old root's key is known to somebody else: --compromised")
    )
    return replace(wish, compromised=True)


def _of_an_expired_root(cluster: Named, here: Standing | None, wish: Wish) -> Wish:
    """Nothing accepts anything under a root that has ended: what a probe would count has failed already."""
    old = here.older.root if here else journey.required_pin(cluster).root
    if wish.back or old.not_after > datetime.now(UTC):
        return wish
    output.progress(output.plain(f"{old.subject} is expired: no probe, and pods that do not follow are left behind"))
    return replace(wish, expired=True, probe=False)


def _intent(cluster: Named, settings: Settings, here: Standing | None, wish: Wish) -> Intent:
    """What is to be done; raises everything for which beginning it, or going on, would not be safe.

    Nothing holds up a way back: whoever goes it has a reason.
    """
    nodes, now = cluster.list(Query("v1", "Node")), SystemClock().now
    pin, due = journey.required_pin(cluster), _deadlines(cluster, settings)
    turned = here is not None and wish.back != here.backward
    stages = goals.order(pin.roots[0 if turned else -1], now())
    names = (goals.NEW_ROOT, *(stage.name for stage in stages))
    first = here.stage.name if here else goals.NEW_ROOT
    planned = journey.estimate(names[names.index(first) :], len(nodes), wish.soak)
    ends = now() + planned * _ROOM
    ahead: Mapping[str, int] = {}
    if not wish.back:
        seen = preflight.look(cluster, settings, now, ends, wish.excepted)
        _examine(seen, settings, wish)
        ahead = {} if here else preflight.targets(seen)
    exposed = of_root(now() + planned) if wish.compromised else None
    beside = probe.made(settings, sorted(schedulable(nodes)), wish.target) if wish.probe else ""
    return Intent(
        context=cluster.context,
        pin=pin,
        standing=here,
        first=first,
        planned=planned,
        deadlines=due,
        back=wish.back,
        until=wish.until,
        server=cluster.host,
        exposed=exposed,
        ahead=ahead,
        probe=beside,
        stages=stages,
        ends=ends,
    )


def _examine(seen: preflight.Seen, settings: Settings, wish: Wish) -> None:
    found = preflight.examine(seen, settings)
    bearable = preflight.bearable_past_return if wish.past_return else preflight.bearable
    borne = [one for one in found if wish.pressing and bearable(one)]
    for one in borne:
        output.progress(output.plain(f"all the same: {one.what} ({one.code})"))
    refuse([one for one in found if one not in borne])


def _deadlines(cluster: Named, settings: Settings) -> tuple[Deadline, ...]:
    """What happens by itself next, so that it is known before a yes."""
    slots = (spire_authorities.slots(cluster, pod) for pod in spire_authorities.servers(cluster, settings))
    return deadlines(slots, settings.spire.ca_ttl, cluster.get(istiod_certificate(settings)))


def retire_root(asked: Asked, name: str) -> str:
    """Destroy the key of a generation that the mesh has left, after asking; raises PreconditionError (MPK-444)."""
    cluster, settings = opened(asked)
    before = mesh_state(cluster)
    certificate = retire.checked(cluster, settings, journey.required_pin(cluster), name)
    lines = [f"the key of {name} is destroyed: Certificate and Secret {certificate.namespace}/{name}"]
    if asked.dry_run:
        return output.plain("\n".join([*lines, output.DRY_RUN]))
    announce(cluster, lines, asked)
    with one_run(cluster, before) as leased:
        gone = retire.retire(leased, certificate, SystemClock())
    return output.plain("\n".join(f"deleted {ref}" for ref in gone))
