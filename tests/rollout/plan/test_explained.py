"""The words of plans that use every option between them, as approved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout.plan import BUILT_IN, Plan, load_plan, parse_plan, plan_text
from rollout.plan.explain import beside, explain, table
from rollout.plan.yaml import as_yaml
from tests.rollout.golden import approved

DOCS = Path(__file__).parents[3] / "docs" / "plans"
# Values on and beside those at which the words change.
CHANGES: dict[str, Any] = {
    "name": "every-option",
    "stages": [{"weight": 1, "window": "90s"}, {"weight": 100, "window": "1h30m"}],
    "criteria": {
        "error_rate": {"limit": 1.5, "breaches": 2, "of": 3, "min_requests": 2, "rollback": "hold"},
        "latency_p95": {"limit": "750ms", "breaches": 2, "of": 2, "min_requests": 20, "rollback": "previous"},
        "db_connection_errors": {"limit": 1, "rollback": {"to": 1}},
        "comparison": {"false_alarms": 1, "difference": 0.25, "rollback": "abort"},
    },
    "alarms": {"memory": "abort", "disk": "hold"},
    "hold_timeout": "1500ms",
    "warm_up": {"requests": 200, "concurrency": 20, "path": "/api/cases"},
}


def every_option() -> Plan:
    keys = yaml.safe_load(plan_text("phase-c")[0]) | CHANGES
    keys["metrics"]["min_periods"] = 2
    return parse_plan(yaml.safe_dump(keys, sort_keys=False))


@pytest.mark.parametrize("name", [*BUILT_IN, *sorted(path.stem for path in DOCS.glob("*.yaml"))])
def test_a_plan_is_explained_as_approved(name: str) -> None:
    plan = load_plan(name) if name in BUILT_IN else load_plan(str(DOCS / f"{name}.yaml"))
    assert approved(f"plan-{name}.txt", "\n".join(explain(plan)) + "\n")


def test_every_option_is_explained_as_approved() -> None:
    assert approved("plan-every-option.txt", "\n".join(explain(every_option())) + "\n")


@pytest.mark.parametrize("width", [80, 132])
def test_two_plans_beside_each_other_are_as_approved(width: int) -> None:
    lines = table(beside(load_plan("phase-c"), every_option()), width)
    assert approved(f"beside-{width}.txt", "\n".join(lines) + "\n")


def test_every_option_is_written_as_approved() -> None:
    assert approved("plan-every-option.yaml", as_yaml(every_option()))
