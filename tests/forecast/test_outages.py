from datetime import datetime

import pytest

from meshpki.forecast.observation import Observation, Svid
from meshpki.forecast.outages import Hits, Part, outage, outages
from tests.support.certificates import AT, HOUR
from tests.support.forecasts import DAY, MINUTE, certificate, seen, slots, svid

LATER = AT + 12 * HOUR
SHORT = certificate(-MINUTE, 2 * MINUTE, ca=True)
DIES = 100 * MINUTE / 60  # eleven failures, 10 s apart
DEAD = 1040 * MINUTE / 60


@pytest.mark.parametrize(
    ("observation", "part", "node", "first"),
    [
        # an SVID stays where it is until it ends: the least of those that nobody renews
        (seen(), Part.AGENT, "node-1", AT + 45 * MINUTE),
        (seen(), Part.AGENT, "node-2", AT + 40 * MINUTE),
        (seen(), Part.SPIRE_SERVER, "", AT + 40 * MINUTE),
        # nothing of SPIRE's depends on istiod, but what istiod itself signed
        (seen(), Part.ISTIOD, "", None),
        (seen(svids=(svid("a", HOUR), svid("b", 2 * HOUR, from_spire=False))), Part.ISTIOD, "", AT + 2 * HOUR),
        (seen(svids=(svid("b", HOUR, from_spire=False),)), Part.SPIRE_SERVER, "", None),
        # a CA too short for spire-server to call itself dead: its end caps every SVID
        (seen(spire_ca=SHORT), Part.CERT_MANAGER, "", AT + 2 * MINUTE),
        (
            seen(spire_ca=SHORT, slots=(slots(AT + 2 * MINUTE, AT + 4 * MINUTE),)),
            Part.CERT_MANAGER,
            "",
            AT + 4 * MINUTE,
        ),
        (seen(svids=()), Part.CERT_MANAGER, "", AT + 23 * HOUR),
        (seen(spire_ca=None), Part.CERT_MANAGER, "", None),
        # otherwise an SVID ends that nobody renewed since the server gave up for not getting another CA
        (seen(), Part.CERT_MANAGER, "", AT + 11 * HOUR + DIES + 27 * MINUTE),
        (seen(at=LATER), Part.CERT_MANAGER, "", LATER + DIES + 27 * MINUTE),
        (
            seen(at=LATER, slots=(slots(AT + 23 * HOUR, AT + 35 * HOUR),)),
            Part.CERT_MANAGER,
            "",
            AT + 23 * HOUR + DIES + 27 * MINUTE,
        ),
        (seen(), Part.ROOT, "", AT + 900 * DAY),
    ],
)
def test_the_first_request_fails_when_the_first_certificate_ends_that_the_stopped_part_would_have_renewed(
    observation: Observation, part: Part, node: str, first: datetime | None
) -> None:
    found = outage(observation, part, node).first
    assert (found.at if found else None) == first


def test_the_first_failure_without_cert_manager_is_told_with_its_latest_moment() -> None:
    first = outage(seen(), Part.CERT_MANAGER).first
    assert first is not None
    assert first.until == AT + 11 * HOUR + DEAD + HOUR


def test_no_failure_of_spire_is_foretold_for_after_the_end_of_its_last_ca() -> None:
    effects = outage(seen(spire_ca=certificate(-10 * MINUTE, 20 * MINUTE, ca=True)), Part.CERT_MANAGER).effects
    ends = AT + 20 * MINUTE
    assert all(one.at <= ends and (one.until or one.at) <= ends for one in effects if one.hits is Hits.REQUESTS)


def test_what_happens_without_cert_manager_stands_in_order_of_time() -> None:
    effects = outage(seen(), Part.CERT_MANAGER).effects
    assert [(one.hits, one.at) for one in effects] == [
        (Hits.NEW, AT),
        (Hits.NOTHING, AT + 11 * HOUR),
        (Hits.NEW, AT + 11 * HOUR + DIES),
        (Hits.REQUESTS, AT + 11 * HOUR + DIES + 27 * MINUTE),
        (Hits.REQUESTS, AT + 23 * HOUR),
        (Hits.NOTHING, AT + 40 * DAY),
        (Hits.CONTROL_PLANE, AT + 55 * DAY),
    ]


@pytest.mark.parametrize(("at", "said"), [(AT, False), (LATER, True)])
def test_a_prepared_ca_that_may_be_there_unseen_is_spoken_of(at: datetime, *, said: bool) -> None:
    told = " ".join(one.what for one in outage(seen(at=at), Part.CERT_MANAGER).effects)
    assert ("were not seen" in told) is said


@pytest.mark.parametrize("part", [Part.SPIRE_SERVER, Part.AGENT, Part.ISTIOD, Part.CERT_MANAGER])
def test_what_starts_anew_fails_at_once_whatever_part_stops(part: Part) -> None:
    first = outage(seen(), part, "node-1" if part is Part.AGENT else "").effects[0]
    assert (first.at, first.hits) == (AT, Hits.NEW)


def test_the_last_of_the_certificates_is_told_too_and_those_that_end_together_are_counted() -> None:
    effects = outage(seen(), Part.SPIRE_SERVER).effects
    assert [one.what for one in effects[1:]] == [
        "SVID bookinfo/reviews-v1 ends: peers refuse its new connections, but for TLS sessions that they resume",
        "the last of 3 SVIDs ends",
    ]
    together = outage(seen(svids=(svid("a", HOUR), svid("b", HOUR))), Part.SPIRE_SERVER).effects
    assert together[-1].what == "SVID bookinfo/a and 1 more ends: peers refuse its new connections"


@pytest.mark.parametrize(
    ("svids", "part", "latest"),
    [
        # a client judges a server's chain at resumption, too, and all end together: nothing goes on
        ((svid("a", HOUR), svid("b", HOUR)), Part.SPIRE_SERVER, None),
        ((svid("client", MINUTE), svid("b", HOUR)), Part.SPIRE_SERVER, AT + HOUR),
        # the other node's are renewed, and their sessions end with that, before the certificates of now do
        ((svid("client", MINUTE), svid("b", HOUR, node="node-2")), Part.AGENT, AT + HOUR),
        ((svid("client", HOUR), svid("b", MINUTE, node="node-2")), Part.AGENT, None),
        ((svid("client", MINUTE, from_spire=False), svid("b", HOUR)), Part.ISTIOD, AT + HOUR),
    ],
)
def test_a_client_goes_on_at_most_until_the_last_certificate_of_a_server_ends(
    svids: tuple[Svid, ...], part: Part, latest: datetime | None
) -> None:
    first = outage(seen(svids=svids), part, "node-1" if part is Part.AGENT else "").first
    assert first is not None
    assert first.until == latest


def test_every_part_and_every_node_with_a_pod_of_the_mesh_is_thought_to_stop() -> None:
    assert [(one.part, one.node) for one in outages(seen())] == [
        (Part.CERT_MANAGER, ""),
        (Part.SPIRE_SERVER, ""),
        (Part.AGENT, "node-1"),
        (Part.AGENT, "node-2"),
        (Part.ISTIOD, ""),
        (Part.ROOT, ""),
    ]


def test_each_effect_says_how_it_is_known() -> None:
    assert all(effect.source for one in outages(seen()) for effect in one.effects)
