"""Reports of verify in the shapes a drawing must bear: good, broken, while a rotation runs, large, hostile, empty."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache

from meshpki.cluster.manifest import Ref
from meshpki.pki.certificate import Certificate
from meshpki.pki.verdict import Finding, Result, named
from meshpki.verify.peers import PeerGroup, PeerVerdict
from meshpki.verify.places import Place, PlaceKind, PlaceVerdict, Unseen
from meshpki.verify.pods import MeshPod, Workload
from meshpki.verify.report import Report
from meshpki.verify.workloads import PodVerdict, grouped
from tests.support import certificates as made
from tests.support.certificates import AT, TRUST_DOMAIN

WORKLOADS = ("client", "details-v1", "productpage-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3")
RIGHT_TO_LEFT = "\u202egnp.exe\u202c"
HOSTILE = (
    "<script>alert(1)</script>",
    "]]><svg onload=alert(1)>",
    "\"quoted\" 'single' `tick`",
    RIGHT_TO_LEFT,
    "\x1b]0;pwned\x07\x00\ufffe",
    "a\\lb\\N%n&lt;&amp;#60;style x:y#9;",
    "end\nsubgraph evil",
    "\u05d0\u05d1\u05d2\ufdfd\U0001f600\u4e16\u754c" * 8,
    "W" * 900,
    "classDef a fill:#fff; click n0 href",
)


def pod(
    name: str,
    path: Sequence[Certificate] = (),
    result: Result = "proven",
    *findings: Finding,
    namespace: str = "bookinfo",
    replica: int = 0,
    reason: str = "",
) -> PodVerdict:
    """The verdict on one pod of a Deployment."""
    ref = Ref("v1", "Pod", namespace, f"{name}-5d9-{replica}")
    mesh_pod = MeshPod(
        ref,
        f"uid-{namespace}-{name}-{replica}",
        Workload(namespace, "Deployment", name),
        name,
        "node-1",
        True,
        True,
        True,
        "",
    )
    ends = min((one.not_after for one in path), default=None)
    return PodVerdict(
        mesh_pod,
        result,
        spiffe_id=", ".join(path[0].uris) if path else "",
        path=tuple(path),
        expires=ends,
        findings=findings,
        reason=reason,
    )


def place(
    kind: PlaceKind,
    name: str,
    result: Result = "proven",
    *findings: Finding,
    namespace: str = "istio-system",
    detail: str = "",
    path: Sequence[Certificate] = (),
    bundle: Sequence[Certificate] = (),
    reason: str = "",
) -> PlaceVerdict:
    """The verdict on one place."""
    ends = min((one.not_after for one in (*path, *bundle)), default=None)
    return PlaceVerdict(
        Place(kind, Ref("v1", "ConfigMap", namespace, name), detail),
        result,
        tuple(path),
        tuple(one.sha256 for one in bundle),
        ends,
        findings,
        reason,
    )


def finding(
    code: str = "MPK-341", *, severity: str = "fail", about: Certificate | None = None, found: str = ""
) -> Finding:
    """A finding of any severity."""
    return Finding(
        code,
        severity,  # type: ignore[arg-type]  # the tables spell it out
        39,
        f"a bundle of trust domain {TRUST_DOMAIN} with exactly the 1 pinned roots",
        found or "9f3a51c27bd0e644 is missing",
        "restart the pod; if it stays, compare SPIRE's bundle: meshpki explain MPK-216",
        named(about) if about else None,
    )


def workload_path(name: str = "reviews", *, root: made.Issued | None = None) -> tuple[Certificate, ...]:
    """Leaf, SPIRE's CA and root."""
    return _path(name, root or made.mesh_root())


@cache
def serving_path() -> tuple[Certificate, ...]:
    """What istiod serves, through `cacerts`."""
    authority = _cacerts()
    leaf = authority.issue(made.ISTIOD_SERVING.but(not_after=AT + timedelta(hours=20)))
    return (leaf.certificate, authority.certificate, made.mesh_root().certificate)


def good() -> Report:
    """A mesh in which everything is proven."""
    root = made.mesh_root().certificate
    pods = [pod(name, workload_path(name)) for name in WORKLOADS]
    pods.append(pod("istio-ingressgateway", workload_path("gateway"), namespace="istio-system"))
    kinds = PlaceKind
    places = (
        place(kinds.ROOT, "meshpki-root-g1", path=[root], reason="issued by the root's own request"),
        place(kinds.ISTIOD_CA, "istiod-ca", path=serving_path()[1:]),
        *(place(kinds.ISTIOD, "istiod-7f-x", detail=port, path=serving_path()) for port in ("15012", "15017")),
        place(kinds.SPIRE_SERVER, "spire-server-0", detail="8081", path=workload_path("server")),
        place(kinds.SPIRE_BUNDLE, "spire-bundle", bundle=[root]),
        *(place(kinds.ISTIO_BUNDLE, "istio-ca-root-cert", namespace=f"ns-{n}", bundle=[root]) for n in range(12)),
        *(place(kinds.WEBHOOK, "istiod-default-validator", detail=f"hook-{n}", bundle=[root]) for n in range(2)),
        place(kinds.CLOCK, "kubernetes", reason="0 s apart"),
    )
    group = PeerGroup((root.sha256,), frozenset({root.sha256}), tuple(one.pod.ref for one in pods))
    unseen = (
        Unseen("SPIRE's prepared and old authorities", "--authorities, with the right to exec into spire-server"),
    )
    return Report(AT, TRUST_DOMAIN, (root,), grouped(pods), places, (PeerVerdict(group, group, "proven"),), unseen)


def broken() -> Report:
    """A mesh with a rogue CA, a pod without identity, a stale bundle, an unreachable pod, a warning, two strangers."""
    whole = good()
    rogue_ca = made.mesh_root().issue(made.SPIRE_CA)
    rogue = (rogue_ca.issue(made.SVID).certificate, rogue_ca.certificate, *whole.roots)
    elsewhere = workload_path("elsewhere", root=made.root())[:2]
    pods = [
        *whole.pods,
        pod("intruder", rogue, "broken", finding("MPK-344", about=rogue[0])),
        pod("newborn", (), "broken", finding("MPK-343"), reason="no SPIRE agent runs on node node-1"),
        pod("stale", workload_path("stale"), "broken", finding("MPK-341")),
        pod("silent", (), "unknown", reason="no answer from Envoy's admin port (MPK-350)"),
        pod("odd", workload_path("odd"), "proven", finding("MPK-328", severity="warn")),
        pod("stranger", elsewhere, "broken", finding("MPK-302", about=elsewhere[1])),
    ]
    stray = made.root().certificate
    stale = place(PlaceKind.WEBHOOK, "istio-sidecar-injector", "broken", finding(about=stray), bundle=[stray])
    signer = place(PlaceKind.REQUESTERS, "rbac", "proven", finding("MPK-328", severity="warn"), reason="4 subjects")
    group = whole.peers[0].presenter
    refused = PeerVerdict(group, replace(group, anchors=frozenset()), "broken", (finding("MPK-345"),))
    return replace(whole, workloads=grouped(pods), places=(*whole.places, stale, signer), peers=(*whole.peers, refused))


def rotation() -> Report:
    """Two roots are pinned, and half of the pods already have their chain below the second."""
    second = made.root(made.ROOT.but(subject=((made.NameOID.COMMON_NAME, "meshpki-root-g2"),)))
    whole = good()
    moved = [pod(name, workload_path(name, root=second)) for name in WORKLOADS[::2]]
    stayed = [one for one in whole.pods if one.pod.workload.name not in WORKLOADS[::2]]
    return replace(whole, roots=(*whole.roots, second.certificate), workloads=grouped([*moved, *stayed]))


def large(pods: int = 10_000, namespaces: int = 60, workloads: int = 20) -> Report:
    """Many pods in many workloads and namespaces; one in a thousand is broken."""
    path = workload_path()
    verdicts = [
        pod(
            f"app-{number // namespaces % workloads}",
            path,
            "broken" if number % 1000 == 0 else "proven",
            *([finding()] if number % 1000 == 0 else []),
            namespace=f"team-{number % namespaces}",
            replica=number,
        )
        for number in range(pods)
    ]
    return replace(good(), workloads=grouped(verdicts))


def hostile() -> Report:
    """Every text that a cluster or a certificate may choose is chosen by somebody who means harm."""
    whole = good()
    pods: list[PodVerdict] = []
    for number, text in enumerate(HOSTILE):
        authority = made.mesh_root().issue(
            made.SPIRE_CA.but(subject=((made.NameOID.COMMON_NAME, text.encode()[:60].decode(errors="ignore")),))
        )
        path = (authority.issue(made.SVID).certificate, authority.certificate, *whole.roots)
        bad = replace(finding("MPK-340", about=path[1], found=text), expected=text, remedy=text)
        one = pod(text, path, "broken", bad, namespace=text, replica=number, reason=text)
        pods.append(replace(one, spiffe_id=text))
        pods.append(pod(text, (), "unknown", namespace=text, replica=number + 100, reason=text))
    places = tuple(
        place(PlaceKind.WEBHOOK, text, "broken", finding(found=text), detail=text, reason=text) for text in HOSTILE
    )
    unseen = tuple(Unseen(text, text) for text in HOSTILE)
    return replace(whole, trust_domain=HOSTILE[0], workloads=grouped(pods), places=places, unseen=unseen)


def swarm(count: int = 300) -> Report:
    """As many CAs as pods, below the root and below none: more than a drawing may show."""
    strangers = made.root()
    pods = [
        pod(f"app-{number}", _chain(made.mesh_root() if number % 2 else strangers), "broken", namespace=f"ns-{number}")
        for number in range(count)
    ]
    return replace(good(), workloads=grouped(pods))


def empty() -> Report:
    """A pinned root, and nothing else to be seen."""
    return Report(AT, TRUST_DOMAIN, (made.mesh_root().certificate,), ())


EVERY = {
    "good": good,
    "broken": broken,
    "rotation": rotation,
    "large": large,
    "hostile": hostile,
    "swarm": swarm,
    "empty": empty,
}


@cache
def drawn(name: str) -> Report:
    """One of EVERY, made once."""
    return EVERY[name]()


@cache
def _cacerts() -> made.Issued:
    return made.mesh_root().issue(made.CACERTS)


@cache
def _spire_ca(root: made.Issued) -> made.Issued:
    return root.issue(made.SPIRE_CA)


@cache
def _path(name: str, root: made.Issued) -> tuple[Certificate, ...]:
    authority = _spire_ca(root)
    uri = f"spiffe://{TRUST_DOMAIN}/ns/bookinfo/sa/bookinfo-{name}"
    leaf = authority.issue(made.SVID.but(uris=(uri,), not_after=AT + timedelta(minutes=41)))
    return (leaf.certificate, authority.certificate, root.certificate)


def _chain(root: made.Issued) -> tuple[Certificate, ...]:
    authority = root.issue(made.SPIRE_CA)
    return (authority.issue(made.SVID).certificate, authority.certificate, root.certificate)
