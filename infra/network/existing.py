"""An existing network, looked at before anything is placed in it."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network

import pulumi_aws as aws

from infra.network.subnets import SMALLEST_SUBNET
from infra.settings import SettingsError


async def check_public_subnets(ids: Sequence[str], stack: str) -> None:
    """Refuse public subnets that a load balancer cannot grow in, or that are in one zone: AWS would take the first kind, and
    fail when traffic grows.

    Raises:
        SettingsError: names the key and the subnets.
    """
    found = {each: await aws.ec2.get_subnet_output(id=each).future() for each in ids}
    subnets = {each: subnet for each, subnet in found.items() if subnet is not None}
    small = [
        f"{each} is a /{IPv4Network(subnet.cidr_block).prefixlen}"
        for each, subnet in subnets.items()
        if IPv4Network(subnet.cidr_block).prefixlen > SMALLEST_SUBNET
    ]
    zones = [subnet.availability_zone for subnet in subnets.values()]
    if small or len(set(zones)) != len(zones):
        wrong = f"{', '.join(small)}, too small" if small else f"two are in one zone ({', '.join(zones)})"
        raise SettingsError(
            f"configuration of stack {stack}:\n  - simple378:publicSubnetIds: {wrong}; a load balancer needs a /{SMALLEST_SUBNET} or "
            f"larger in each of its zones, and one subnet a zone; set others with `pulumi config set --path "
            f"'simple378:publicSubnetIds[0]' SUBNET --stack {stack}`"
        )
