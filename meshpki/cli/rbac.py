"""`meshpki rbac`: the roles with which a command can do its work, to be applied by whoever may."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import output
from meshpki.cli.config import Format
from meshpki.cli.options import Files
from meshpki.errors import UsageError

if TYPE_CHECKING:
    from meshpki.roles.role import Subject

EXAMPLES = """\b
Examples:
  meshpki rbac verify --subject group:auditors | kubectl apply -f -
  meshpki rbac verify --subject serviceaccount:ci/verifier -f meshpki.yaml -o json
\b
Exit codes: 0 done, 2 bad subject or settings.
"""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LIMIT = 253

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The roles that commands need, ready to apply.")


@app.callback()
def roles() -> None:
    """The roles that commands need, ready to apply."""


@app.command(epilog=EXAMPLES)
def verify(
    subjects: Annotated[
        list[str] | None,
        typer.Option(
            "--subject", metavar="WHO", help="user:NAME, group:NAME or serviceaccount:NAMESPACE/NAME; may be repeated."
        ),
    ] = None,
    *,
    authorities: Annotated[
        bool, typer.Option("--authorities", help="With the right that `verify --authorities` takes: exec in SPIRE.")
    ] = False,
    form: Annotated[Format, typer.Option("--output", "-o", help="yaml or json")] = Format.YAML,
    files: Files = None,
) -> None:
    """Print the roles and bindings that `meshpki verify` needs, and no more: no Secret is among them.

    Without a subject the group meshpki-verifiers has them. Of settings the namespaces count; no cluster is asked.
    """
    from meshpki.roles.role import manifests
    from meshpki.settings import read
    from meshpki.verify.rights import PURPOSES, rights

    bound = [_subject(text) for text in subjects or ["group:meshpki-verifiers"]]
    items = list(manifests(rights(read(files or []), authorities=authorities), bound, PURPOSES))
    if form is Format.JSON:
        import json

        output.data(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2))
        return
    import yaml

    output.data(yaml.dump_all(items, Dumper=yaml.CSafeDumper, sort_keys=False, explicit_start=True))


def _subject(text: str) -> "Subject":
    from meshpki.roles.role import Subject

    kind, _, name = text.partition(":")
    namespace, _, account = name.partition("/")
    match kind:
        case "user" | "group" if 0 < len(name) <= _LIMIT and name.isprintable():
            return Subject(kind.capitalize(), name)
        case "serviceaccount" if _NAME.fullmatch(namespace) and _NAME.fullmatch(account):
            return Subject("ServiceAccount", account, namespace)
        case _:
            remedy = "write user:NAME, group:NAME or serviceaccount:NAMESPACE/NAME"
            raise UsageError("MPK-375", f"`{text}` names no subject of a binding", remedy=remedy)
