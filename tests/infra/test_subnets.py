"""The network's address plan."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.network.subnets import LARGEST_RANGE, MOST_ZONES, SMALLEST_RANGE, plan_subnets

CIDR = IPv4Network("10.78.0.0/16")


def test_two_zones() -> None:
    first, second = plan_subnets(CIDR, ["a", "b"])
    assert (str(first.public), str(first.private)) == ("10.78.0.0/20", "10.78.128.0/20")
    assert (str(second.public), str(second.private)) == ("10.78.16.0/20", "10.78.144.0/20")


@given(st.integers(LARGEST_RANGE, SMALLEST_RANGE), st.integers(1, MOST_ZONES))
def test_subnets_are_apart_large_enough_and_stay_when_a_zone_is_added(bits: int, zones: int) -> None:
    cidr = IPv4Network(f"10.0.0.0/{bits}")
    plan = plan_subnets(cidr, [str(i) for i in range(zones)])
    subnets = [subnet for zone in plan for subnet in (zone.public, zone.private)]
    # A load balancer needs a /27 in each of its zones.
    assert all(subnet.subnet_of(cidr) and subnet.prefixlen <= 27 for subnet in subnets)
    assert not any(one.overlaps(other) for one, other in combinations(subnets, 2))
    assert plan_subnets(cidr, [str(i) for i in range(zones - 1)]) == plan[:-1]


def test_too_many_zones() -> None:
    with pytest.raises(ValueError, match="at most 8 fit"):
        plan_subnets(CIDR, list("abcdefghi"))
