"""`meshpki rbac`: the roles with which a command can do its work, to be applied by whoever may."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from meshpki.cli import options, output
from meshpki.cli.config import Format
from meshpki.cli.subjects import subjects_of

if TYPE_CHECKING:
    from meshpki.cluster.manifest import Object
    from meshpki.roles.role import Right

EXAMPLES = """\b
Examples:
  meshpki rbac {0} --subject group:{1} | kubectl apply -f -
  meshpki rbac {0} --subject serviceaccount:ci/{2} -f meshpki.yaml -o json
\b
Exit codes: 0 done, 2 bad subject or settings{3}.
"""
OF_DOWN = """\b
Examples:
  meshpki rbac down --context prod --subject group:platform | kubectl apply -f -
  meshpki rbac down --purge-ca --subject serviceaccount:ci/remover -o json
\b
Exit codes: 0 done, 2 bad subject, 4 no cluster, a right is missing to look at it, or no mesh is there.
"""
_SUBJECT = "user:NAME, group:NAME or serviceaccount:NAMESPACE/NAME; may be repeated."
Subjects = Annotated[list[str] | None, typer.Option("--subject", metavar="WHO", help=_SUBJECT)]
Form = Annotated[Format, typer.Option("--output", "-o", help="yaml or json")]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The roles that commands need, ready to apply.")


@app.callback()
def roles() -> None:
    """The roles that commands need, ready to apply."""


@app.command(epilog=EXAMPLES.format("verify", "auditors", "verifier", ""))
def verify(
    subjects: Subjects = None,
    *,
    authorities: Annotated[
        bool, typer.Option("--authorities", help="With the right that `verify --authorities` takes: exec in SPIRE.")
    ] = False,
    form: Form = Format.YAML,
    files: options.OfflineFiles = None,
) -> None:
    """Print the roles and bindings that `meshpki verify` needs, and no more: no Secret is among them.

    Without a subject the group meshpki-verifiers has them. Of settings the namespaces count; no cluster is asked.
    """
    from meshpki.settings import read
    from meshpki.verify.rights import PURPOSES, rights

    granted = rights(read(files or []), authorities=authorities)
    _print(granted, PURPOSES, subjects or ["group:meshpki-verifiers"], form)


@app.command(epilog=EXAMPLES.format("status", "oncall", "watcher", ""))
def status(
    subjects: Subjects = None,
    *,
    bundle: Annotated[
        bool, typer.Option("--support-bundle", help="With what `support-bundle` takes: the logs of pods.")
    ] = False,
    form: Form = Format.YAML,
    files: options.OfflineFiles = None,
) -> None:
    """Print the roles that `meshpki status` and `step status` need, and with them those of `verify`.

    They are enough for `certs`, `forecast`, `graph` and `report`, too. No Secret is among them: while a root rotation
    is under way its stage takes the roles of `operate`. Without a subject the group meshpki-watchers has them. Of
    settings namespaces and parts count; no cluster is asked.
    """
    from meshpki.roles.role import inside
    from meshpki.settings import read
    from meshpki.status import rights as standing
    from meshpki.verify import rights as looking

    settings = read(files or [])
    granted, purposes = inside(looking.rights(settings), looking.NAME, f"{standing.NAME}-verify", looking.PURPOSES)
    everything = (*granted, *standing.rights(settings, bundle=bundle))
    _print(everything, {**purposes, **standing.PURPOSES}, subjects or ["group:meshpki-watchers"], form)


@app.command(epilog=EXAMPLES.format("operate", "sre", "rotation", ""))
def operate(
    subjects: Subjects = None,
    *,
    nodes: Annotated[
        int, typer.Option(min=1, max=1000, help="On how many nodes the probe of `rotate root` runs.")
    ] = 10,
    form: Form = Format.YAML,
    files: options.OfflineFiles = None,
) -> None:
    """Print the roles that `meshpki rotate` needs, and with it `verify --authorities`.

    `--compromised` and `--retire` have a role each, which can be left out. Without a subject the group
    meshpki-operators has them. No cluster is asked.
    """
    from meshpki.roles.role import inside
    from meshpki.rotate import rights as rotate
    from meshpki.settings import read
    from meshpki.verify import rights as looking

    settings = read(files or [])
    reading = looking.rights(settings, authorities=True)
    granted, purposes = inside(reading, looking.NAME, f"{rotate.NAME}-verify", looking.PURPOSES)
    everything = (*granted, *rotate.rights(settings, nodes))
    _print(everything, {**purposes, **rotate.PURPOSES}, subjects or ["group:meshpki-operators"], form)


@app.command(epilog=EXAMPLES.format("install", "platform", "installer", ", 4 a release file is missing"))
def install(
    subjects: Subjects = None,
    *,
    form: Form = Format.YAML,
    files: options.OfflineFiles = None,
    artifact_dir: options.ArtifactDir = None,
) -> None:
    """Print the namespaces and the roles that `meshpki up`, `plan` and `preflight` need: each object by its name.

    Whoever makes a workload in a namespace can do there what its ServiceAccount may: keep these for whom you trust with
    the mesh. `down` has its own. Without a subject the group
    meshpki-installers has them. Istio's objects are those of the pinned istioctl; no cluster is asked.
    """
    from meshpki import artifacts, install_role, rendering
    from meshpki.install import Target, steps, wish_manifest
    from meshpki.roles.role import inside
    from meshpki.settings import read
    from meshpki.verify import rights as looking

    settings = read(files or [])
    planned = steps(settings, artifacts.obtain(settings, artifact_dir, told=output.told), Target())
    manifests = [one for stage in rendering.stages(planned, wish_manifest(settings)) for one in stage.manifests]
    granted, purposes = inside(looking.rights(settings), looking.NAME, f"{install_role.NAME}-verify", looking.PURPOSES)
    everything = (*granted, *install_role.rights(settings, manifests))
    spaces = list(install_role.namespaces(manifests))
    _print(everything, {**purposes, **install_role.PURPOSES}, subjects or ["group:meshpki-installers"], form, spaces)


@app.command(epilog=OF_DOWN)
def down(
    subjects: Subjects = None,
    *,
    purge_ca: Annotated[
        bool, typer.Option("--purge-ca", help="For `down --purge-ca`: the root and the CRDs, too.")
    ] = False,
    form: Form = Format.YAML,
    context: options.Context = "",
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Print the roles that `meshpki down` needs to remove the mesh that is there now: each object by its name.

    The cluster is asked for it, by an administrator's kubeconfig; what is made later under another name takes a new
    print. One part lists the Secrets of the mesh's namespaces: its holder could read the root's key. Without a subject
    the group meshpki-removers has them.
    """
    from meshpki.cli.session import open_cluster
    from meshpki.errors import PreconditionError
    from meshpki.remove.removal import decide
    from meshpki.remove.rights import PURPOSES, rights
    from meshpki.remove.seen import counted, look

    cluster = open_cluster(context, kubeconfig)
    seen = look(cluster)
    removal = decide(seen, purge=purge_ca)
    if removal.nothing:
        raise PreconditionError("MPK-385", "there is no mesh of meshpki's here", remedy="there is nothing to remove")
    _print(rights(seen, removal, counted(cluster)), PURPOSES, subjects or ["group:meshpki-removers"], form)


def _print(
    granted: "Iterable[Right]",
    purposes: Mapping[str, str],
    subjects: Sequence[str],
    form: Format,
    before: "Sequence[Object]" = (),
) -> None:
    from meshpki.roles.role import manifests

    items = [*before, *manifests(granted, subjects_of(subjects), purposes)]
    if form is Format.JSON:
        import json

        output.data(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2))
        return
    import yaml

    output.data(yaml.dump_all(items, Dumper=yaml.CSafeDumper, sort_keys=False, explicit_start=True))
