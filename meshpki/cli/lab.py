"""`meshpki lab`: the throw-away cluster on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from meshpki.cli import options, output
from meshpki.cli.format import Format

_HELP = """A real cluster with the upstream components, built from packages on this machine.

`native` needs Linux on amd64 and root; `kind` needs a Docker engine; `auto` takes that of the lab there is,
else kind where an engine answers.
"""
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=_HELP)


@app.command(epilog="Example: meshpki lab up --nodes 2 --install-packages")
def up(
    nodes: options.Nodes = None,
    driver: options.Driver = "auto",
    *,
    install_packages: options.InstallPackages = False,
    yes: options.Yes = False,
) -> None:
    """Build what is missing and start the lab, or repair a half-made one; a whole one is left as it is."""
    from meshpki.cli.on_lab import bring_up_lab

    made = bring_up_lab(nodes, driver, install_packages=install_packages or yes)
    output.progress(f"lab {made.context} is up; its kubeconfig:")
    output.data(str(made.kubeconfig))


@app.command(epilog="Example: meshpki lab down")
def down(driver: options.Driver = "auto") -> None:
    """Remove the lab: no process, mount, namespace, cgroup or rule is left. What was built is kept."""
    from meshpki.cli.making import telling
    from meshpki.lab.driver import choose

    with telling() as report:
        choose(driver).down(report)


@app.command(epilog="Example: meshpki lab status -o json")
def status(
    driver: options.Driver = "auto",
    form: Annotated[Format, typer.Option("--output", "-o", help="text or json")] = Format.TEXT,
) -> None:
    """Say what really runs, read from the running components; exit 0 only when the cluster answers."""
    from meshpki.cli.on_lab import past_proxies, running_lab
    from meshpki.cli.session import open_cluster
    from meshpki.lab.inventory import running

    made = past_proxies(running_lab(driver))
    rows = running(open_cluster(made.context, made.kubeconfig))
    if form is Format.JSON:
        import json

        output.data(json.dumps({"context": made.context, "components": rows}, indent=2))
        return
    width = max(map(len, rows))
    output.data("\n".join(f"{name:<{width}}  {output.plain(found)}" for name, found in rows.items()))


@app.command(
    name="exec",
    context_settings={"ignore_unknown_options": True},
    epilog="Example: meshpki lab exec -- kubectl get pods -A",
)
def execute(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...")],
    node: Annotated[str | None, typer.Option(help="Which node; the first where none is named.")] = None,
    driver: options.Driver = "auto",
) -> None:
    """Run a command inside a node, with its kubectl and istioctl at hand; its exit code is ours."""
    import subprocess

    from meshpki.lab.driver import choose

    raise typer.Exit(subprocess.run(choose(driver).exec_argv(tuple(command), node), check=False).returncode)


@app.command(epilog="Example: export KUBECONFIG=$(meshpki lab kubeconfig)")
def kubeconfig(driver: options.Driver = "auto") -> None:
    """Print the path of the lab's kubeconfig: export KUBECONFIG=$(meshpki lab kubeconfig)."""
    from meshpki.cli.on_lab import running_lab

    output.data(str(running_lab(driver).kubeconfig))


@app.command("load-image", epilog="Example: meshpki lab load-image my-app.tar")
def load_image(
    archive: Annotated[
        Path, typer.Argument(metavar="ARCHIVE", exists=True, dir_okay=False, help="A docker-archive, as `docker save`.")
    ],
    driver: options.Driver = "auto",
) -> None:
    """Give every node an image, so that no registry is asked for it."""
    from meshpki.lab.driver import choose

    choose(driver).load_image(archive)
