"""The options of `meshpki verify`, said once: what to look at, what counts, how it is told, and what to judge by."""

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from meshpki.cli import output
from meshpki.cli.options import DURATION, duration

# more connections than these the API server's own limits would queue
WIDEST = 512


class Form(StrEnum):
    """How the report is written; the exit code never depends on it."""

    TABLE = "table"
    WIDE = "wide"
    SHORT = "short"
    TREE = "tree"
    JSON = "json"
    YAML = "yaml"
    JUNIT = "junit"
    GITHUB = "github"


class FailOn(StrEnum):
    """From which severity on a finding fails the command."""

    FAIL = "fail"
    WARN = "warn"


class Rules(StrEnum):
    """By which rules a file is judged."""

    SPIFFE = "spiffe"
    PATH = "path"


def show_schema(asked: bool) -> None:
    """Print the JSON Schema of -o json, and end."""
    if asked:
        from meshpki.cli.verdicts import schema

        output.data(schema())
        raise typer.Exit


Workloads = Annotated[
    list[str] | None, typer.Argument(metavar="[WORKLOAD]...", help="Names such as reviews-v3; none means all.")
]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Look at one namespace only.")]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Look at all of them, as without -n.")]
Selector = Annotated[str, typer.Option("--selector", "-l", help="Look at pods with these labels.")]
Authorities = Annotated[
    bool,
    typer.Option("--authorities", help="Ask spire-server for its CAs, too; needs the right to exec into it."),
]
RootFingerprints = Annotated[
    list[str] | None,
    typer.Option(
        "--root-fingerprint",
        metavar="SHA256",
        help="The root that must be pinned, known from elsewhere. May be repeated.",
    ),
]

Width = Annotated[
    int | None,
    typer.Option(min=1, max=WIDEST, metavar="N", help="How many Envoys are asked at a time; 64 by default."),
]

Output = Annotated[Form, typer.Option("--output", "-o", help=", ".join(Form))]
Strict = Annotated[
    bool, typer.Option("--strict", help="Fail on what could not be judged, and on missing key identifiers.")
]
Failing = Annotated[FailOn, typer.Option("--fail-on", help="warn: fail on warnings, too.")]
MinValidity = Annotated[
    str, typer.Option(metavar="DURATION|%", help="Fail where a proven path has less left: 168h, or 10% of a lifetime.")
]
Ignores = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="CODE=SCOPE", help="Let a finding be: MPK-341='bookinfo/*'. May be repeated."),
]
JUnitFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write JUnit XML, too; always, even where the command fails.")
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Look again and again until Ctrl-C (exit code 130).")]
Every = Annotated[
    timedelta | None, typer.Option(parser=duration, metavar=DURATION, help="With --watch: how often; 5s by default.")
]
Schema = Annotated[
    bool,
    typer.Option(
        "--schema", is_eager=True, callback=show_schema, help="Print the JSON Schema of -o json, and do nothing else."
    ),
]

Chain = Annotated[Path | None, typer.Option("--file", metavar="CHAIN.pem", help="Judge a chain, leaf first.")]
Dump = Annotated[Path | None, typer.Option("--config-dump", metavar="FILE", help="Judge a dump of an Envoy's secrets.")]
Anchors = Annotated[Path | None, typer.Option(metavar="ROOT.pem", help="What the file must lead to.")]
At = Annotated[str, typer.Option(metavar="TIME", help="When it must be valid, in RFC 3339; now by default.")]
RuleSet = Annotated[
    Rules | None, typer.Option("--rules", help="spiffe (default), or path: RFC 5280 alone, any kind of leaf.")
]
TrustDomain = Annotated[str, typer.Option(metavar="TD", help="The leaf's; by default the one that the anchors bear.")]
MaxDepth = Annotated[int | None, typer.Option(min=0, max=50, metavar="N", help="Most intermediates; 1 by default.")]
Usages = Annotated[str, typer.Option("--eku", metavar="USAGE,...", help="What the leaf is for: clientAuth,serverAuth.")]

Settings = Annotated[
    list[Path] | None, typer.Option("--settings", "-f", help="Settings; without it, those kept in the cluster.")
]
