"""The JSON Schema of a plan: what ships is valid, and what the reader refuses by its key is not."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from rollout.cli import app
from rollout.plan import BUILT_IN, PlanError, parse_plan, plan_text
from rollout.plan.schema import schema
from tests.rollout.golden import approved

TEXT = plan_text("phase-c")[0]


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize(
    "name",
    [
        *BUILT_IN,
        *(f"docs/plans/{name}.yaml" for name in ("abort", "comparison", "min-requests", "two-periods")),
    ],
)
def test_the_plans_that_ship_are_valid(validator: Any, name: str) -> None:
    assert not [*validator.iter_errors(yaml.safe_load(plan_text(name)[0]))]


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("hold_timeout: 10m", "hold_time: 10m", []),
        ("hold_timeout: 10m", "", []),
        ("window: 2m", "window: 2 minutes", ["stages", 0, "window"]),
        ("window: 2m", "window: 0", ["stages", 0, "window"]),
        ("{weight: 5,", "{weight: 0,", ["stages", 0, "weight"]),
        ("limit: 2s", "limit: 2000", ["criteria", "latency_p95", "limit"]),
        ("{limit: 1,", "{limit: 101,", ["criteria", "error_rate", "limit"]),
        ("{limit: 1,", "{limit: 1, breaches: 1.5,", ["criteria", "error_rate", "breaches"]),
        ("{to: 5}", "{to: 500}", ["criteria", "error_rate", "rollback"]),
        ("rollback: previous", "rollback: later", ["criteria", "latency_p95", "rollback"]),
        ("{limit: 0,", "{limit: 0, of: 2,", ["criteria", "db_connection_errors"]),
        ("name: phase-c", "name: phase-c\nalarms: {prod: {to: 5}}", ["alarms", "prod"]),
    ],
)
def test_what_a_plan_may_not_say_is_invalid_and_refused(
    validator: Any, old: str, new: str, path: list[Any]
) -> None:
    text = TEXT.replace(old, new, 1)
    assert text != TEXT
    assert [*{tuple(error.absolute_path) for error in validator.iter_errors(yaml.safe_load(text))}] == [
        tuple(path)
    ]
    with pytest.raises(PlanError):
        parse_plan(text)


def test_the_command_prints_it() -> None:
    ran = CliRunner().invoke(app, ["plan", "--schema"])
    assert ran.exit_code == 0
    assert json.loads(ran.output) == schema()


def test_the_schema_is_as_approved() -> None:
    assert approved("plan-schema.json", json.dumps(schema(), indent=1) + "\n")
