"""`meshpki preflight`: every check that `up` makes before its first write, all of them told."""

from typing import Annotated

import typer

from meshpki.cli import options, output
from meshpki.cli.format import Format
from meshpki.errors import PRECONDITION

EXAMPLES = """\b
Examples:
  meshpki preflight --context prod -f mesh.yaml
  meshpki preflight --ignore clock -o json     a check is only a warning then, whatever comes of it
\b
Checks: api, rights, kubernetes-version, platform, cert-manager, istio, spire, namespaces,
istio-shape, cacerts, trust-domain, storage, root-fingerprint, root-pin, approver-policy, approval, istioctl, clock,
pod-security, terminating, rotation;
of a root of your own besides: root-settings, root-kind, root-secret, root-chain, root-is-ca, root-validity, root-lasts,
root-key-usage, root-path-length, root-strength, root-constraints, root-rules.
\b
Exit codes: 0 every check holds or was ignored, 2 settings, 4 one does not hold, or there is no cluster.
"""


def preflight(
    files: options.Files = None,
    *,
    ignore: options.Ignore = None,
    context: options.Context = "",
    kubeconfig: options.Kubeconfig = None,
    artifact_dir: options.ArtifactDir = None,
    form: Annotated[Format, typer.Option("--output", "-o", help="text or json")] = Format.TEXT,
) -> None:
    """Run every check that `up` makes before its first write, and what is there already; writes nothing."""
    from meshpki.cli import preflight_forms as forms
    from meshpki.cli.mesh import Wanted, looked_over

    wanted = Wanted(
        context, kubeconfig, files=options.given(files), artifact_dir=artifact_dir, ignore=options.given(ignore)
    )
    outcome = looked_over(wanted)
    output.data(forms.as_json(outcome) if form is Format.JSON else forms.text(outcome))
    if outcome.refused:
        raise typer.Exit(PRECONDITION)
