"""How long istiod's CA shall live and when it is renewed: what was asked for, beside what is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from meshpki.cluster.manifest import Object
from meshpki.settings import IstiodCA, go_duration
from meshpki.settings.durations import parse

# Istio 1.29: security/pkg/nodeagent SECRET_TTL of a proxy, and pilot's DEFAULT_WORKLOAD_CERT_TTL, are both 24 hours.
WORKLOAD_TTL = timedelta(hours=24)
_VARIABLES = ("SECRET_TTL", "DEFAULT_WORKLOAD_CERT_TTL")
_CONTAINERS = ("istio-proxy", "discovery")
_HUNDRED = 100


@dataclass(frozen=True)
class RenewBefore:
    """When to renew: a time before the end, or a share of the duration in per cent."""

    before: timedelta = timedelta(0)
    percent: int = 0

    def of(self, duration: timedelta) -> timedelta:
        """The time before the end of a certificate that lives that long."""
        return _whole(duration * self.percent / _HUNDRED) if self.percent else self.before


def read_renew_before(text: str) -> RenewBefore:
    """What `240h`, `10d` or `33%` asks for; raises ValueError."""
    if not text.endswith("%"):
        return RenewBefore(parse(text))
    percent = int(text.removesuffix("%"))
    if not 0 < percent < _HUNDRED:
        raise ValueError("is no share between 1% and 99%")
    return RenewBefore(percent=percent)


def lifetimes(now: IstiodCA, duration: timedelta | None = None, renewal: RenewBefore | None = None) -> IstiodCA:
    """What to wish for: a duration alone takes the renewal along in the same ratio, so that 300h after 360h can be."""
    wanted = now.duration if duration is None else duration
    if renewal is not None:
        return IstiodCA(wanted, renewal.of(wanted))
    if wanted == now.duration:
        return now
    return IstiodCA(wanted, _whole(now.renew_before * (wanted / now.duration)))


def written(wish: IstiodCA) -> str:
    """As people read it: `720h, renewed 180h before its end`."""
    return f"{go_duration(wish.duration)}, renewed {go_duration(wish.renew_before)} before its end"


def of_certificate(live: Object) -> IstiodCA | None:
    """What a Certificate says of itself; None where it names no such durations."""
    spec = live.get("spec", {})
    try:
        return IstiodCA(parse(str(spec["duration"])), parse(str(spec["renewBefore"])))
    except (KeyError, ValueError):
        return None


def longest_workload_ttl(pods: Iterable[Object]) -> timedelta:
    """The longest life that istiod, or a proxy of these pods, asks for its leaves; Istio's own default at least."""
    asked = [_asked(container.get("env") or []) for pod in pods for container in _proxies(pod)]
    return max([WORKLOAD_TTL, *asked])


def _proxies(pod: Object) -> Iterable[Mapping[str, list[Object]]]:
    spec = pod.get("spec", {})
    containers = (*(spec.get("initContainers") or []), *(spec.get("containers") or []))
    return (one for one in containers if one.get("name") in _CONTAINERS)


def _asked(variables: Iterable[Object]) -> timedelta:
    named = {str(one.get("name")): str(one.get("value", "")) for one in variables}
    return max((_duration(named[name]) for name in _VARIABLES if name in named), default=timedelta(0))


def _duration(text: str) -> timedelta:
    """Of a pod that somebody else wrote; what is no duration, istiod does not heed either."""
    try:
        return parse(text)
    except ValueError:
        return timedelta(0)


def _whole(duration: timedelta) -> timedelta:
    return timedelta(seconds=int(duration.total_seconds()))
