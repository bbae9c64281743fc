"""`meshpki verify`: the proof that every identity of the mesh chains to the pinned root."""

import typer

from meshpki.cli import verify_options as options
from meshpki.cli.options import Context, Kubeconfig
from meshpki.cli.verify_wish import Counting, OfFile, OfMesh, Telling, Wish, check
from meshpki.errors import OK

EXAMPLES = """\b
Examples:
  meshpki verify
  meshpki verify productpage-v1 reviews-v3 -n bookinfo
  meshpki verify -l app=reviews -o wide --strict --root-fingerprint 9f:3a:...
  meshpki verify --min-validity 10% --fail-on warn --ignore 'MPK-341=legacy/*'
  meshpki verify --junit-file verify.xml -o github
  meshpki verify --file chain.pem --anchors root.pem --at 2026-12-24T00:00:00Z
  istioctl proxy-config secret POD -o json | meshpki verify --config-dump - --anchors root.pem
\b
Exit codes: 0 all that could be judged is proven, 5 broken (with --strict also unknown, be it for want of a right;
with --fail-on warn also warnings, with --min-validity too little time left), 4 no pod could be judged, 2 options or a
file that is none, 130 interrupted, as every --watch ends. Of a file: 0 proven, 5 not proven, 2 not readable.
They never depend on -o.
"""


def verify(
    workloads: options.Workloads = None,
    *,
    namespace: options.Namespace = "",
    everywhere: options.Everywhere = False,
    selector: options.Selector = "",
    form: options.Output = options.Form.TABLE,
    strict: options.Strict = False,
    fail_on: options.Failing = options.FailOn.FAIL,
    min_validity: options.MinValidity = "",
    ignore: options.Ignores = None,
    junit_file: options.JUnitFile = None,
    watch: options.Watch = False,
    every: options.Every = None,
    authorities: options.Authorities = False,
    root_fingerprint: options.RootFingerprints = None,
    width: options.Width = None,
    _schema: options.Schema = False,
    file: options.Chain = None,
    config_dump: options.Dump = None,
    anchors: options.Anchors = None,
    at: options.At = "",
    rules: options.RuleSet = None,
    trust_domain: options.TrustDomain = "",
    max_depth: options.MaxDepth = None,
    eku: options.Usages = "",
    context: Context = "",
    kubeconfig: Kubeconfig = None,
    settings: options.Settings = None,
) -> None:
    """Prove for every workload that its certificate is its own and chains to the pinned root; or judge a file."""
    names, paths, ignores = tuple(workloads or ()), tuple(settings or ()), tuple(ignore or ())
    roots = tuple(root_fingerprint or ())
    wish = Wish(
        OfMesh(
            workloads=names,
            namespace=namespace,
            everywhere=everywhere,
            selector=selector,
            root_fingerprints=roots,
            authorities=authorities,
            width=width,
            context=context,
            kubeconfig=kubeconfig,
            settings=paths,
        ),
        OfFile(
            chain=file,
            dump=config_dump,
            anchors=anchors,
            at=at,
            rules=rules,
            trust_domain=trust_domain,
            max_depth=max_depth,
            usages=eku,
        ),
        Telling(form, junit_file, watch, every),
        Counting(min_validity, ignores, strict, fail_on),
    )
    code = run(wish)
    if code != OK:
        raise typer.Exit(code)


def run(wish: Wish) -> int:
    """Judge the file or the mesh, and answer with the exit code; raises UsageError before anything is looked at."""
    check(wish)
    from meshpki.cli.proving import judge_file, prove

    return judge_file(wish) if wish.names_a_file else prove(wish)
