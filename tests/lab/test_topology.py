import json
import subprocess
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshpki.errors import PreconditionError
from meshpki.lab.home import DEFAULT_NAME
from meshpki.lab.topology import (
    PODS,
    SERVICES,
    Topology,
    asked,
    cgroup,
    host_link,
    link,
    node_links,
    plan,
    refuse_shared,
    switch_links,
)

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,9}[a-z0-9]", fullmatch=True)
LONGEST_LINK = 15  # IFNAMSIZ without its final zero


@pytest.fixture
def two() -> Topology:
    return plan("lab", 2)


@given(NAMES, st.integers(1, 9))
def test_every_lab_has_addresses_of_one_subnet_each_once(name: str, count: int) -> None:
    topology = plan(name, count)
    addresses = [topology.host, *(node.address for node in topology.nodes)]
    assert len(set(addresses)) == count + 1
    assert len({ip_network(f"{address}/24", strict=False) for address in addresses}) == 1
    assert len({node.name for node in topology.nodes} | {node.cgroup for node in topology.nodes}) == 2 * count


@given(NAMES, st.integers(1, 9))
def test_pods_and_services_and_nodes_never_share_addresses(name: str, count: int) -> None:
    topology = plan(name, count)
    pods = [ip_network(node.pods) for node in topology.nodes]
    assert len(set(pods)) == count
    assert all(subnet.subnet_of(ip_network(PODS)) for subnet in pods)
    for reserved in (ip_network(PODS), ip_network(SERVICES)):
        assert not any(ip_address(node.address) in reserved for node in topology.nodes)


@given(NAMES)
def test_the_kernel_takes_the_name_of_every_labs_link(name: str) -> None:
    assert len(link(name)) <= LONGEST_LINK
    assert link(name).startswith("mpk-")
    assert cgroup(name).startswith("/meshpki/")


def test_a_lab_beside_the_default_one_has_a_subnet_of_its_own(two: Topology) -> None:
    assert plan(DEFAULT_NAME, 1).host == "10.250.0.1"
    assert two.host.startswith("10.250.")
    assert two.host != "10.250.0.1"


@pytest.mark.parametrize("links", ["", "[]", "[{}]", '[{"ifname": "mpk-lab"}]'])
def test_a_network_that_no_other_link_bears_is_this_labs(two: Topology, links: str) -> None:
    refuse_shared(two, links)


def test_a_network_that_another_labs_link_bears_is_not_shared(two: Topology) -> None:
    with pytest.raises(PreconditionError, match="mpk-other") as error:
        refuse_shared(two, '[{}, {"ifname": "mpk-other"}]')
    assert (error.value.code, error.value.remedy[-22:]) == ("MPK-519", "MESHPKI_LAB_NAME=other")


def test_the_kernel_is_asked_for_the_hosts_address_and_answers_in_json() -> None:
    said = subprocess.run(asked(replace(plan("lab", 1), host="127.0.0.1")), capture_output=True, text=True, check=True)
    assert "lo" in [row.get("ifname") for row in json.loads(said.stdout)]


def test_nodes_are_found_by_name(two: Topology) -> None:
    assert (two.first.name, two.nodes[1].name) == ("lab-1", "lab-2")
    assert two.node("lab-2") == two.nodes[1]
    assert two.node("lab-3") is None


def test_adding_a_node_moves_none(two: Topology) -> None:
    assert plan("lab", 1).nodes == two.nodes[:1]


def test_the_host_and_every_node_hang_on_the_switch(two: Topology) -> None:
    host = host_link(two, 77).splitlines()
    assert host[0] == "link add mpk-lab type veth peer name uplink netns 77"
    assert host[1] == f"address add {two.host}/24 dev mpk-lab"
    inside = switch_links(two, {"lab-1": 11, "lab-2": 12}).splitlines()
    assert inside[:3] == ["link add switch type bridge", "link set switch up", "link set uplink master switch up"]
    assert inside[3:] == [
        "link add port0 type veth peer name eth0 netns 11",
        "link set port0 master switch up",
        "link add port1 type veth peer name eth0 netns 12",
        "link set port1 master switch up",
    ]


def test_a_node_knows_services_and_the_other_nodes_pods_and_no_way_out(two: Topology) -> None:
    first, second = two.nodes
    routes = [one for one in node_links(two, first).splitlines() if one.startswith("route")]
    assert routes == [
        f"route add {SERVICES} dev eth0 src {first.address}",
        f"route add {second.pods} via {second.address}",
    ]
