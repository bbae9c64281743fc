"""`meshpki rotate`: every CA of the mesh replaced while traffic flows, with the proof that it is in use."""

from datetime import timedelta
from typing import Annotated

import typer

from meshpki.cli import options, output, rotate_root
from meshpki.cli.format import Format
from meshpki.errors import UsageError
from meshpki.rotate.lifetime import RenewBefore, read_renew_before

_EXIT_CODES = """\b
Exit codes: 0 done and proven, 1 a step failed, 2 usage, 4 a precondition does not hold and nothing was written,
124 time-out, 130 interrupted. Running again goes on from where it stood.
"""
_OF_ISTIOD = """\b
Examples:
  meshpki rotate --duration 720h               istiod's CA, from now on for 30 days
  meshpki rotate --duration 300h --renew-before 25%
  meshpki rotate                               the same again: a new key, the same lifetime
  meshpki rotate istiod-ca --compromised       at once, and what the lost key is still good for
"""
_OF_SPIRE = """\b
Examples:
  meshpki rotate spire-ca                      its workloads follow within half of an SVID's life
  meshpki rotate spire-ca --restart-agents     every workload on it at once
  meshpki rotate spire-ca --wait               wait until they have followed by themselves
  meshpki rotate spire-ca --compromised        at once, and what the lost key is still good for
"""
EXAMPLES = f"""{_OF_ISTIOD}  meshpki rotate spire-ca --restart-agents     SPIRE's CA, and every workload on it at once
  meshpki rotate root --dry-run                the root: the stages, and how much each has left
{_EXIT_CODES}"""


def _renew_before(text: str | RenewBefore) -> RenewBefore:
    if isinstance(text, RenewBefore):
        return text
    try:
        return read_renew_before(text)
    except ValueError as error:
        raise typer.BadParameter(f"`{text}` {error}; write it as 240h or 33%") from error


Duration = Annotated[
    timedelta | None,
    typer.Option(
        parser=options.duration, metavar=options.DURATION, help="How long the CA lives from now on: 720h, 30d."
    ),
]
Renewal = Annotated[
    RenewBefore | None,
    typer.Option(
        "--renew-before",
        parser=_renew_before,
        metavar="DURATION|%",
        help="When it is renewed; else scaled with --duration.",
    ),
]
Compromised = Annotated[
    bool, typer.Option("--compromised", help="The key is known to somebody else: at once, and what that means.")
]
Timeout = Annotated[
    timedelta,
    typer.Option(parser=options.duration, metavar=options.DURATION, help="How long each gate may take: 90s, 5m."),
]
Form = Annotated[Format, typer.Option("--output", "-o", help="text or json")]
_MINUTES = options.Default(minutes=3)

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


def _typed(context: typer.Context, option: str) -> bool:
    """Whether an option stands on the line, if only to say what holds anyway."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


@app.callback(epilog=EXAMPLES)
def rotate(
    context_of_typer: typer.Context,
    *,
    duration: Duration = None,
    renewal: Renewal = None,
    compromised: Compromised = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    timeout: Timeout = _MINUTES,
    context: options.Context = "",
    kubeconfig: options.Kubeconfig = None,
    form: Form = Format.TEXT,
) -> None:
    """Replace a CA of the mesh under live traffic; without a name it is istiod's, as `rotate istiod-ca`."""
    if context_of_typer.invoked_subcommand is None:
        istiod_ca(
            duration=duration,
            renewal=renewal,
            compromised=compromised,
            dry_run=dry_run,
            yes=yes,
            timeout=timeout,
            context=context,
            kubeconfig=kubeconfig,
            form=form,
        )
    elif any(_typed(context_of_typer, name) for name in context_of_typer.params):
        name = context_of_typer.invoked_subcommand
        what = "options stand before the name of the CA"
        raise UsageError("MPK-411", what, remedy=f"write them behind it: meshpki rotate {name} ...")


@app.command("istiod-ca", epilog=_OF_ISTIOD + _EXIT_CODES)
def istiod_ca(
    *,
    duration: Duration = None,
    renewal: Renewal = None,
    compromised: Compromised = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    timeout: Timeout = _MINUTES,
    context: options.Context = "",
    kubeconfig: options.Kubeconfig = None,
    form: Form = Format.TEXT,
) -> None:
    """Have istiod's CA issued anew under the same root, until every istiod signs with it."""
    from meshpki.cli.ca_rotation import Asked, opened, rotate_istiod_ca

    asked = Asked(context, kubeconfig, compromised=compromised, dry_run=dry_run, ask=not yes, timeout=timeout)
    output.data(rotate_istiod_ca(*opened(asked), asked, duration, renewal).told(form))


@app.command("spire-ca", epilog=_OF_SPIRE + _EXIT_CODES)
def spire_ca(
    *,
    restart_agents: Annotated[
        bool,
        typer.Option(
            "--restart-agents",
            help="Restart spire-server and its agents, one at a time: all certificates move at once.",
        ),
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait until all certificates have moved by themselves: half of an SVID's life."),
    ] = False,
    compromised: Compromised = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    timeout: Timeout = _MINUTES,
    context: options.Context = "",
    kubeconfig: options.Kubeconfig = None,
    form: Form = Format.TEXT,
) -> None:
    """Have every spire-server mint another CA under the same root, and sign with it."""
    from meshpki.cli.ca_rotation import Asked, opened, rotate_spire_ca

    asked = Asked(context, kubeconfig, compromised=compromised, dry_run=dry_run, ask=not yes, timeout=timeout)
    output.data(rotate_spire_ca(*opened(asked), asked, restart_agents=restart_agents, wait=wait).told(form))


app.command("root", epilog=rotate_root.EXAMPLES)(rotate_root.root)
