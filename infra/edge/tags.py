"""Tags by which `rollout abort` finds the rule and the target groups when no stack can be read (`rollout.aws.tagged`)."""

from __future__ import annotations

from infra.stacks import Colour

TRAFFIC_RULE = "traffic-rule"
TRAFFIC_GROUP = "traffic-group"
PROBE_GROUP = "probe-group"


def traffic_tags(environment: str, role: str, colour: Colour | None = None) -> dict[str, str]:
    """`role` is one of the constants above."""
    tags = {"simple378:environment": environment, "simple378:role": role}
    return tags | ({"simple378:colour": colour.value} if colour else {})
