"""How the network's address range is divided into subnets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

# The range is cut in sixteen: public subnets come from the lower half, private ones from the upper.
_EXTRA_BITS = 4
MOST_ZONES = 8
# A load balancer needs a /27 with 8 free addresses in each zone, so the range must be a /23 or larger; AWS's largest VPC
# is a /16.
SMALLEST_SUBNET = 27
SMALLEST_RANGE = SMALLEST_SUBNET - _EXTRA_BITS
LARGEST_RANGE = 16


@dataclass(frozen=True, slots=True)
class ZoneSubnets:
    """The two subnets of an availability zone."""

    zone: str
    public: IPv4Network
    private: IPv4Network


def plan_subnets(cidr: IPv4Network, zones: Sequence[str]) -> tuple[ZoneSubnets, ...]:
    """A public and a private subnet for each zone. Adding a zone at the end leaves the others' ranges as they are.

    Raises:
        ValueError: more zones than half of the parts.
    """
    if len(zones) > MOST_ZONES:
        raise ValueError(f"{len(zones)} availability zones, at most {MOST_ZONES} fit")
    parts = list(cidr.subnets(prefixlen_diff=_EXTRA_BITS))
    return tuple(ZoneSubnets(zone, parts[i], parts[MOST_ZONES + i]) for i, zone in enumerate(zones))
