"""How long istiod's CA shall live, from what was asked for and what is."""

from datetime import timedelta

import pytest

from meshpki.cluster.manifest import Object
from meshpki.rotate.lifetime import (
    WORKLOAD_TTL,
    RenewBefore,
    lifetimes,
    longest_workload_ttl,
    of_certificate,
    read_renew_before,
    written,
)
from meshpki.settings import IstiodCA

HOUR = timedelta(hours=1)
NOW = IstiodCA(1440 * HOUR, 360 * HOUR)


def ca(duration: float, renew_before: float) -> IstiodCA:
    return IstiodCA(duration * HOUR, renew_before * HOUR)


@pytest.mark.parametrize(
    ("duration", "renewal", "expected"),
    [
        (None, None, NOW),
        (1440, None, NOW),
        (720, None, ca(720, 180)),
        (300, None, ca(300, 75)),
        (2880, None, ca(2880, 720)),
        (100, None, ca(100, 25)),
        (720, "360h", ca(720, 360)),
        (720, "15d", ca(720, 360)),
        (720, "33%", ca(720, 237.6)),
        (None, "240h", ca(1440, 240)),
        (None, "10%", ca(1440, 144)),
    ],
)
def test_a_duration_takes_the_renewal_along_unless_that_is_asked_for_too(
    duration: int | None, renewal: str | None, expected: IstiodCA
) -> None:
    asked = None if renewal is None else read_renew_before(renewal)
    assert lifetimes(NOW, None if duration is None else duration * HOUR, asked) == expected


def test_durations_that_do_not_divide_are_cut_to_whole_seconds() -> None:
    assert lifetimes(IstiodCA(7 * HOUR, HOUR), 5 * HOUR).renew_before == timedelta(seconds=5 * 3600 // 7)


@pytest.mark.parametrize("text", ["", "%", "0%", "100%", "-5%", "1.5%", "12", "3w", "x"])
def test_a_renewal_that_is_neither_duration_nor_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_renew_before(text)


def test_a_share_is_of_the_duration_that_is_asked_for() -> None:
    assert RenewBefore(percent=25).of(720 * HOUR) == 180 * HOUR


def test_lifetimes_are_written_as_people_read_them() -> None:
    assert written(NOW) == "1440h, renewed 360h before its end"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"duration": "1440h0m0s", "renewBefore": "360h0m0s"}, NOW),
        ({"duration": "1440h"}, None),
        ({"duration": "long", "renewBefore": "1h"}, None),
        ({}, None),
    ],
)
def test_a_certificate_tells_its_lifetime_or_nothing(spec: Object, expected: IstiodCA | None) -> None:
    assert of_certificate({"spec": spec}) == expected


def pod(name: str, kind: str = "containers", **env: str) -> Object:
    variables = [{"name": key, "value": value} for key, value in env.items()]
    return {"spec": {kind: [{"name": name, "env": [*variables, {"name": "X", "valueFrom": {}}]}, {"name": "app"}]}}


@pytest.mark.parametrize(
    ("pods", "hours"),
    [
        ([], 24),
        ([pod("istio-proxy")], 24),
        ([pod("istio-proxy", SECRET_TTL="1h")], 24),
        ([pod("istio-proxy", SECRET_TTL="48h0m0s"), pod("istio-proxy", SECRET_TTL="72h0m0s")], 72),
        ([pod("istio-proxy", "initContainers", SECRET_TTL="48h")], 48),
        ([pod("discovery", DEFAULT_WORKLOAD_CERT_TTL="90d")], 2160),
        ([pod("app", SECRET_TTL="900h")], 24),
        ([pod("istio-proxy", SECRET_TTL="for ever")], 24),
    ],
    ids=["none", "unsaid", "shorter", "longest", "native", "istiod", "no proxy", "nonsense"],
)
def test_the_longest_life_that_istiod_is_asked_for_is_found_and_is_a_day_at_least(
    pods: list[Object], hours: int
) -> None:
    assert longest_workload_ttl(pods) == hours * HOUR >= WORKLOAD_TTL
