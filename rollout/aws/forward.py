"""The actions of the listener rule that divides traffic, as ELBv2's API has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def forward_actions(groups: Mapping[str, str], weight: int) -> list[dict[str, Any]]:
    """``weight`` percent to the candidate and the rest to stable, without stickiness. ``groups`` are target group ARNs by role."""
    forward = {
        "TargetGroups": [
            {"TargetGroupArn": groups["stable"], "Weight": 100 - weight},
            {"TargetGroupArn": groups["candidate"], "Weight": weight},
        ],
        "TargetGroupStickinessConfig": {"Enabled": False},
    }
    return [{"Type": "forward", "ForwardConfig": forward}]


def all_on(group: str, actions: list[dict[str, Any]]) -> bool:
    """Whether a rule with these actions sends every request to one target group, and no client is stuck to another."""
    if [action["Type"] for action in actions] != ["forward"]:
        return False
    forward = actions[0].get("ForwardConfig")
    if forward is None:
        return bool(actions[0].get("TargetGroupArn") == group)
    served = {each["TargetGroupArn"] for each in forward["TargetGroups"] if each.get("Weight", 1)}
    return served == {group} and not forward.get("TargetGroupStickinessConfig", {}).get("Enabled")
