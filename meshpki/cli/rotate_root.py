"""`meshpki rotate root`: the trust anchor itself replaced, stage by stage, each proven before the next."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from meshpki.cli import options, output, schema
from meshpki.cli.format import Format

EXAMPLES = """\b
Examples:
  meshpki rotate root --dry-run                the stages, and how many targets each has left
  meshpki rotate root                          from the old root to a new one, under live traffic
  meshpki rotate root --report proof.html      the same, and the proof of it as one page
  meshpki rotate root --until trust            stop where every verifier holds both; the same command goes on
  meshpki rotate root --abort                  back to the old root, from any stage before the taint
  meshpki rotate root --compromised            the old root's key is lost: waits for nobody, then closes connections
  meshpki rotate root --retire meshpki-root-g1 destroy the old root's key; until then it is kept
\b
Exit codes: 0 done and no request known to be lost (the verdict says whether that is proven), 1 a stage failed or went
back, 2 usage, 4 it would not be safe and nothing was written, 124 somebody did not follow in time, 130 interrupted.
Running again goes on from where the mesh stands.
"""


STAGES = "new-root, trust-istiod, prepare, trust, activate, istiod-ca, moved, taint, forget"
Until = Annotated[str, typer.Option("--until", metavar="STAGE", help=f"Stop when this stage is through, of {STAGES}.")]
Abort = Annotated[bool, typer.Option("--abort", help="Go back to the root that the mesh comes from.")]
MaxWait = Annotated[
    timedelta,
    typer.Option(
        "--max-wait",
        "--timeout",
        parser=options.duration,
        metavar=options.DURATION,
        help="How long each gate may take: 90s, 5m.",
    ),
]
Soak = Annotated[
    timedelta,
    typer.Option(
        parser=options.duration, metavar=options.DURATION, help="How long all must stand before a gate opens."
    ),
]
Excepted = Annotated[
    list[str] | None, typer.Option("--except", metavar="NAMESPACE/POD", help="Do not wait for this pod.")
]
NoProbe = Annotated[
    bool, typer.Option("--no-probe", help="Send no requests meanwhile; that none was lost is not proven then.")
]
ProbeTarget = Annotated[
    str, typer.Option("--probe-target", metavar="HOST:PORT[/PATH]", help="Call this Service of yours too, by GET.")
]
Compromised = Annotated[
    bool, typer.Option("--compromised", help="Somebody else knows the old root's key: at once, and no way back.")
]
Retire = Annotated[
    str, typer.Option("--retire", metavar="NAME", help="Destroy the key of a root that the mesh has left.")
]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write the proof as one HTML page, failed or not.")
]
_MINUTES, _AT_ONCE = options.Default(minutes=5), options.Default(0)


def root(
    *,
    until: Until = "",
    abort: Abort = False,
    max_wait: MaxWait = _MINUTES,
    soak: Soak = _AT_ONCE,
    excepted: Excepted = None,
    no_probe: NoProbe = False,
    compromised: Compromised = False,
    probe_target: ProbeTarget = "",
    retire: Retire = "",
    report: Report = None,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    context: options.Context = "",
    kubeconfig: options.Kubeconfig = None,
    form: Annotated[Format, typer.Option("--output", "-o", help="text or json")] = Format.TEXT,
    _schema: Annotated[bool, schema.option("rotate-root-report")] = False,
) -> None:
    """Replace the root under live traffic: trust the new one everywhere, move everything, then drop the old one."""
    from meshpki.cli.ca_rotation import Asked
    from meshpki.cli.root_forms import Outcome
    from meshpki.cli.root_page import keep_page
    from meshpki.cli.root_rotation import retire_root, rotate_root
    from meshpki.cli.root_wish import Wish

    asked = Asked(context, kubeconfig, dry_run=dry_run, ask=not yes, timeout=max_wait)
    if retire:
        output.data(retire_root(asked, retire))
        return
    wish = Wish(
        until=until,
        back=abort,
        soak=soak,
        excepted=frozenset(excepted or ()),
        probe=not no_probe,
        target=probe_target,
        report=report,
        compromised=compromised,
    )
    done = rotate_root(asked, wish)
    output.data(done.told(form))
    if report and isinstance(done, Outcome):
        keep_page(done, report)
    if done.exit_code:
        raise typer.Exit(done.exit_code)
