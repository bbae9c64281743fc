"""The root of the command line: which commands there are, and what becomes of an error."""

import os
import shlex
import signal
import sys
from collections.abc import Callable
from types import FrameType

import typer

from meshpki.cli import (
    artifacts,
    certs,
    completion,
    config,
    down,
    explain,
    forecast,
    graph,
    inspect,
    lab,
    output,
    plan,
    preflight,
    rbac,
    render,
    report,
    rotate,
    status,
    step,
    support_bundle,
    terminal_options,
    up,
    verify,
    version,
)
from meshpki.errors import (
    FAILED,
    INTERRUPTED,
    OK,
    TERMINATED,
    TIMED_OUT,
    USAGE,
    GateTimeoutError,
    MeshpkiError,
    StepError,
)

_HELP = """Certificates of a service mesh, from nothing to provably right.

cert-manager holds the root; SPIRE and istiod live below it; every workload's identity is proven against it.
"""

app = typer.Typer(
    name="meshpki",
    cls=terminal_options.Everywhere,
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,  # `meshpki completion` prints it, and writes no file of the user's
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
app.callback()(terminal_options.meshpki)
app.command(epilog=up.EXAMPLES)(up.up)
app.command(epilog=down.EXAMPLES)(down.down)
app.command(epilog=preflight.EXAMPLES)(preflight.preflight)
app.command(epilog=plan.EXAMPLES)(plan.plan)
app.command(epilog=render.EXAMPLES)(render.render)
app.command(epilog=verify.EXAMPLES)(verify.verify)
app.command(epilog=status.EXAMPLES)(status.status)
app.command(epilog=certs.EXAMPLES)(certs.certs)
app.command(epilog=forecast.EXAMPLES)(forecast.forecast)
app.command(epilog=inspect.EXAMPLES)(inspect.inspect)
app.command(epilog=graph.EXAMPLES)(graph.graph)
app.command(epilog=report.EXAMPLES)(report.report)
app.command(epilog=support_bundle.EXAMPLES)(support_bundle.support_bundle)
app.add_typer(rotate.app, name="rotate")
app.add_typer(rbac.app, name="rbac")
app.add_typer(step.app, name="step")
app.add_typer(artifacts.app, name="artifacts")
app.add_typer(lab.app, name="lab")
app.add_typer(config.app, name="config")
app.command(epilog=explain.EXAMPLES)(explain.explain)
app.command(epilog=completion.EXAMPLES)(completion.completion)
app.command(epilog="Example: meshpki version -o json")(version.version)


def run() -> int:
    """Run the command line and give its exit code; an error of ours is told whole, an interrupt says how to go on."""
    signal.signal(signal.SIGTERM, _terminate)
    code = _told(lambda: app(standalone_mode=False))
    if code in (INTERRUPTED, TERMINATED, TIMED_OUT):
        # Python would wait for requests that are still under way; each of them is whole or not done at the server.
        sys.stdout.flush()
        os._exit(code)
    return code


def _told(command: Callable[[], object]) -> int:
    try:
        code = command()
    except MeshpkiError as error:
        output.failure(error)
        if isinstance(error, StepError | GateTimeoutError):
            output.progress(f"  again: {shlex.join(['meshpki', *sys.argv[1:]])}")
        return error.exit_code
    except SystemExit as end:
        code = _ended(end)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last place that can put a bug into words
        return _unforeseen(error)
    if code in (INTERRUPTED, TERMINATED):  # typer itself turns Ctrl-C into this exit code
        output.progress("stopped at a safe point; nothing is half-written. The same command goes on from here.")
    return code if isinstance(code, int) else 0


def _ended(end: SystemExit) -> int:
    """The exit code of a run that was told to end, or whose reader went away under Typer's own help."""
    if end.code == TERMINATED:
        return TERMINATED
    if not isinstance(end.__context__, BrokenPipeError):
        raise end
    output.hush(sys.__stdout__ or sys.stdout)
    return OK


def _unforeseen(error: Exception) -> int:
    shown = getattr(error, "show", None)
    if shown is not None:
        shown()  # a usage error of the command line itself, in typer's own words
        return int(getattr(error, "exit_code", USAGE))
    if os.environ.get("MESHPKI_DEBUG"):
        raise error
    output.progress(f"meshpki itself failed: {type(error).__name__}: {output.plain(str(error))}")
    output.progress("please report this, with what MESHPKI_DEBUG=1 shows")
    return FAILED


def _terminate(_number: int, _frame: FrameType | None) -> None:
    sys.exit(TERMINATED)
