"""istiod's intermediate CA, the Secret `cacerts`."""

from datetime import UTC, datetime

from meshpki.cluster.client import Reader
from meshpki.cluster.manifest import only
from meshpki.cluster.render import render
from meshpki.components.trust import issued, istiod_certificate, pinned, requests_of
from meshpki.pki.chain import proves
from meshpki.settings import Settings, go_duration
from meshpki.workflow.step import Failed, Gate, Readiness, Ready, Step, Waiting


def istiod_ca(settings: Settings) -> Step:
    """The step of the Certificate whose Secret istiod mounts; istiod reads it at start, so it comes before istiod."""
    certificate = istiod_certificate(settings)
    return Step(
        name="istiod-ca",
        summary=f"intermediate CA of istiod, {go_duration(settings.istiod_ca.duration)}",
        needs=("root-ca",),
        manifests=render(
            "istiod-ca",
            namespace=settings.namespaces.istio,
            duration=go_duration(settings.istiod_ca.duration),
            renew_before=go_duration(settings.istiod_ca.renew_before),
        ),
        gates=(
            Gate(
                name="issued",
                proves="cacerts is issued for its newest generation and chains to the pinned root",
                check=lambda reader: judge_istiod_ca(reader, settings),
                hint=f"look at `kubectl -n {certificate.namespace} describe certificate cacerts`",
                code="MPK-213",
                watches=(only(certificate), requests_of(certificate)),
            ),
        ),
    )


def judge_istiod_ca(reader: Reader, settings: Settings) -> Readiness:
    """Whether cacerts is ready, a CA, and has a path to the pinned root."""
    readiness, chain = issued(reader, istiod_certificate(settings))
    if not chain:
        return readiness
    pin = pinned(reader)
    if pin is None:
        return Waiting("no root is pinned yet")
    now = datetime.now(UTC)
    why = "it is no CA" if not chain[0].is_ca else proves(chain, pin.roots, now, pin.max_depth)
    if why:
        return Failed(f"cacerts does not chain to the pinned root {pin.root.sha256}: {why}")
    return Ready(f"{(chain[0].not_after - now).days}d left, under the pinned root")
