"""`meshpki support-bundle`: one file for whoever helps, with nothing secret in it."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from meshpki.cli import options

EXAMPLES = """\b
Examples:
  meshpki support-bundle
  meshpki support-bundle --out mesh.tar.gz --since 15m -n bookinfo
  tar -xzOf mesh.tar.gz meshpki-support-bundle/manifest.json | jq .missing
\b
In it: public certificates, the reports of verify, status, certs and forecast, statuses, events, the components' logs,
versions and settings, with a SHA-256 each. Not in it: Secrets, which are not read, data of other ConfigMaps, values of
environment variables and annotations, the workloads' own logs, and this machine's kubeconfig and environment. Texts
are searched for keys, tokens and passwords; look through a bundle all the same before it leaves the house.
\b
Exit codes: 0 written, whatever the mesh is like and also where something could not be read, which the manifest tells;
2 the file is there already or cannot be written, 4 no cluster answers, 130 interrupted, and then there is no file.
"""

_HOUR = options.Default(hours=1)

Out = Annotated[Path | None, typer.Option(metavar="FILE.tar.gz", help="Where to; by default a name with the time.")]
Since = Annotated[
    timedelta,
    typer.Option(parser=options.duration, metavar=options.DURATION, help="How far back logs go: 90s, 5m, 1h."),
]
Lines = Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="How many lines of each log at most.")]
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="Workloads of this namespace only; the mesh's own parts are always in.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


def support_bundle(
    *,
    out: Out = None,
    since: Since = _HOUR,
    lines: Lines = 2000,
    namespace: Namespace = "",
    force: Force = False,
    context: options.Context = "",
    kubeconfig: options.Kubeconfig = None,
    files: options.Files = None,
) -> None:
    """Write one tar.gz of all that helps to see what is wrong, and of nothing secret; reads only."""
    from meshpki.cli.bundling import Asked, write_bundle

    write_bundle(Asked(out, since, lines, namespace, force, context, kubeconfig, tuple(files or ())))
