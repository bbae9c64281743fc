"""The release lines that meshpki installs: one row each, with the Kubernetes it is for and who says so."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

Line = tuple[int, int]


@dataclass(frozen=True)
class Release:
    """A minor line of a component; `oldest` is its first patch that will do, Kubernetes bounds are inclusive.

    `tested` is the very version that runs in the lab, of the registrar a stand-in; `component` is its key under
    `versions` in YAML. `seen` is when the source was read.
    """

    component: str
    line: Line
    oldest: int
    tested: str
    kubernetes: tuple[Line, Line]
    source: str
    seen: date


OLDEST: Line = (1, 0)
NO_BOUND: Line = (1, 999)

RELEASES = (
    Release(
        "certManager",
        (1, 21),
        1,  # 1.21.0 panics on `renewal.policy: Disabled`, which the root CA relies on
        "v1.21.2",
        ((1, 33), (1, 36)),
        "cert-manager website, content/docs/releases/README.md",
        date(2026, 8, 22),
    ),
    Release(
        "approverPolicy",
        (0, 28),
        0,
        "v0.28.0",
        (OLDEST, NO_BOUND),
        "approver-policy v0.28.0, go.mod: cert-manager v1.21.2; its Chart.yaml bounds no Kubernetes",
        date(2026, 11, 26),
    ),
    Release(
        "spire",
        (1, 15),
        0,
        "1.15.3",
        ((1, 31), NO_BOUND),
        "spire v1.15.3, test/integration/suites/k8s/integration_k8s_min_version.txt",
        date(2026, 11, 26),
    ),
    Release(
        "spireControllerManager",
        (0, 6),
        0,
        "0.6.4",
        (OLDEST, NO_BOUND),
        "spire-controller-manager v0.6.4, README.md, Compatibility: any SPIRE since 1.0; it bounds no Kubernetes",
        date(2026, 11, 26),
    ),
    Release(
        "spiffeCSI",
        (0, 2),
        0,
        "0.2.6",
        ((1, 16), NO_BOUND),
        "spiffe-csi v0.2.6, README.md, Dependencies",
        date(2026, 11, 26),
    ),
    Release(
        "csiNodeDriverRegistrar",
        (2, 16),
        0,
        "v2.16.0",
        ((1, 13), NO_BOUND),
        "node-driver-registrar, README.md, Compatibility",
        date(2026, 11, 26),
    ),
    Release(
        "istio",
        (1, 29),
        0,
        "1.29.1",
        ((1, 31), (1, 35)),
        "istio.io, Supported Releases, as endoflife.date keeps it in products/istio.md",
        date(2026, 8, 22),
    ),
)


def components() -> tuple[str, ...]:
    """The components whose versions are held to these rows."""
    return tuple(dict.fromkeys(row.component for row in RELEASES))


def release_of(component: str, version: str) -> Release | None:
    """The row that a version such as `1.29.1` belongs to, None where no row speaks for it."""
    major, minor, patch = version.removeprefix("v").partition("-")[0].split(".")
    for row in RELEASES:
        if row.component == component and row.line == (int(major), int(minor)) and int(patch) >= row.oldest:
            return row
    return None


def kubernetes_range(releases: Iterable[Release]) -> tuple[Line, Line]:
    """The oldest and the newest Kubernetes minor that all these releases support, both inclusive."""
    rows = tuple(releases)
    return max(row.kubernetes[0] for row in rows), min(row.kubernetes[1] for row in rows)


def dotted(line: Line) -> str:
    """A minor line as it is written: 1.33."""
    return f"{line[0]}.{line[1]}"


def in_words(kubernetes: tuple[Line, Line]) -> str:
    """The Kubernetes that two inclusive bounds leave, both, one or neither of which upstream names."""
    oldest, newest = kubernetes
    if newest != NO_BOUND:
        return f"Kubernetes {dotted(oldest)} to {dotted(newest)}"
    return "any Kubernetes" if oldest == OLDEST else f"Kubernetes {dotted(oldest)} or newer"
