"""What somebody else does by hand in the lab's account while a release is under way, and how it is taken back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Conditions = list[dict[str, Any]]


def break_rule(elbv2: Any, rule: str, kept: Path) -> None:
    """Changes the rule's conditions by ModifyRule so that no request has their header's value; ``kept`` keeps them."""
    before = _conditions(elbv2, rule)
    kept.write_text(json.dumps(before))
    elbv2.modify_rule(RuleArn=rule, Conditions=[_never(condition) for condition in before])


def restore_rule(elbv2: Any, rule: str, kept: Path) -> None:
    """The conditions as they were, whoever has changed them since."""
    before = json.loads(kept.read_text())
    if _conditions(elbv2, rule) != before:
        elbv2.modify_rule(RuleArn=rule, Conditions=before)


def _conditions(elbv2: Any, rule: str) -> Conditions:
    """As ModifyRule takes them: DescribeRules repeats the values of some beside their configuration."""
    found: Sequence[Mapping[str, Any]] = elbv2.describe_rules(RuleArns=[rule])["Rules"][0]["Conditions"]
    return [
        {key: value for key, value in condition.items() if key == "Field" or key.endswith("Config")}
        for condition in found
    ]


def _never(condition: Mapping[str, Any]) -> dict[str, Any]:
    name = condition["HttpHeaderConfig"]["HttpHeaderName"]
    return {**condition, "HttpHeaderConfig": {"HttpHeaderName": name, "Values": ["changed-by-hand"]}}
