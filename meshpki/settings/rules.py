"""What must hold between values that are each right by themselves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations

from meshpki.settings.chain_file import is_pem
from meshpki.settings.durations import go_duration
from meshpki.settings.fields import flatten
from meshpki.settings.model import Settings
from meshpki.settings.releases import RELEASES, components, release_of

SHORTEST_DURATION = timedelta(hours=1)  # cert-manager, pkg/apis/certmanager/v1: MinimumCertificateDuration
SHORTEST_RENEWAL = timedelta(minutes=5)  # the same: MinimumRenewBefore


@dataclass(frozen=True)
class Breach:
    """A rule that is broken; `paths` are the keys it speaks of, the one to fix first."""

    code: str
    paths: tuple[str, ...]
    what: str
    remedy: str


@dataclass(frozen=True)
class _Order:
    """`longer` must be more than `times` the value of `shorter`, or at least that where `equal` will do."""

    code: str
    shorter: str
    longer: str
    remedy: str
    times: int = 1
    equal: bool = False


_ORDERS = (
    _Order(
        "MPK-018", "istiodCA.renewBefore", "istiodCA.duration", "renew later, or issue for longer: a third is usual"
    ),
    _Order("MPK-019", "istiodCA.duration", "root.duration", "an intermediate cannot outlive its root"),
    _Order(
        "MPK-020",
        "spire.svidTTL",
        "spire.caTTL",
        "SPIRE makes a new CA at a sixth of the old one's time left, and cuts SVIDs short",
        times=6,
        equal=True,
    ),
    _Order("MPK-021", "spire.caTTL", "root.duration", "the root must outlive two SPIRE CAs", times=2, equal=True),
)
_MINIMA = {
    "root.duration": SHORTEST_DURATION,
    "istiodCA.duration": SHORTEST_DURATION,
    "istiodCA.renewBefore": SHORTEST_RENEWAL,
    "spire.caTTL": SHORTEST_DURATION,
    "spire.svidTTL": timedelta(minutes=1),
}


def breaches(settings: Settings) -> Iterator[Breach]:
    """Every rule that the settings break (MPK-014, MPK-017 to MPK-022, MPK-285)."""
    values = flatten(settings)
    for judge in _JUDGES:
        yield from judge(values)


def _out_of_order(values: dict[str, object]) -> Iterator[Breach]:
    for rule in _ORDERS:
        if rule.longer == "root.duration" and values["root.existing.secretName"]:
            continue  # an existing CA's own end counts, which its chain tells
        short, long = values[rule.shorter], values[rule.longer]
        if not isinstance(short, timedelta) or not isinstance(long, timedelta):
            continue
        # compared by division: timedelta's own range ends sooner than Go's times two
        if short > long / rule.times or (short == long / rule.times and not rule.equal):
            bound = f"{'at most' if rule.equal else 'less than'} {'' if rule.times == 1 else f'1/{rule.times} of '}"
            what = f"{go_duration(short)} must be {bound}{rule.longer}, {go_duration(long)}"
            yield Breach(rule.code, (rule.shorter, rule.longer), what, rule.remedy)


def _too_short(values: dict[str, object]) -> Iterator[Breach]:
    for path, least in _MINIMA.items():
        value = values[path]
        if isinstance(value, timedelta) and value < least:
            what = f"{go_duration(value)} is less than {go_duration(least)}"
            yield Breach("MPK-022", (path,), what, f"write {go_duration(least)} or more")


def _shared_namespaces(values: dict[str, object]) -> Iterator[Breach]:
    paths = [path for path in values if path.startswith("namespaces.")]
    for one, other in combinations(paths, 2):
        if values[one] == values[other]:
            what = f"`{values[other]}` is {one} already"
            yield Breach("MPK-014", (other, one), what, "give each component a namespace of its own")


def _half_an_existing_root(values: dict[str, object]) -> Iterator[Breach]:
    secret, chain = "root.existing.secretName", "root.existing.chain"
    given = str(values[chain])
    if bool(values[secret]) != bool(given):
        missing = chain if values[secret] else secret
        remedy = "name the Secret of the CA and the file of its public chain, or neither"
        yield Breach("MPK-285", (missing, secret, chain), "is missing beside the other", remedy)
    elif given and not is_pem(given):
        yield Breach("MPK-285", (chain,), "is no PEM text", "a path is read in a settings file alone")


def _unsupported_releases(values: dict[str, object]) -> Iterator[Breach]:
    for component in components():
        version = str(values[f"versions.{component}"])
        if release_of(component, version) is None:
            tested = ", ".join(row.tested for row in RELEASES if row.component == component)
            what = f"`{version}` is on no release line that meshpki was tested with"
            yield Breach("MPK-017", (f"versions.{component}",), what, f"choose {tested}, or a later patch of it")


_JUDGES: tuple[Callable[[dict[str, object]], Iterator[Breach]], ...] = (
    _out_of_order,
    _too_short,
    _shared_namespaces,
    _half_an_existing_root,
    _unsupported_releases,
)
