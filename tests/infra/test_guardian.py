"""The guardian layer: what is deployed, what its function may do, and what is in its zip."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.layers.guardian.settings import LEAST_AFTER, GuardianSettings
from infra.operations import guardian
from infra.settings import SettingsError
from rollout.journal import guard
from tests.infra.engine import Recording, deploy
from tests.infra.examples import GUARDIAN, STACKS, TRAFFIC_OUTPUTS
from tests.infra.test_imports import CHECKOUT

RULE = TRAFFIC_OUTPUTS["ruleArn"]
FUNCTION = "aws:lambda/function:Function"


@pytest.fixture(scope="module")
def recording() -> Recording:
    return deployed()


def deployed(**settings: str) -> Recording:
    changed = {f"simple378:{key}": value for key, value in settings.items()}
    return deploy("prod-guardian", GUARDIAN | changed, {**STACKS, "prod-traffic": TRAFFIC_OUTPUTS})


def allowed(recording: Recording) -> dict[str, list[str]]:
    """Resources by action."""
    document = json.loads(recording.one("aws:iam/rolePolicy:RolePolicy").inputs["policy"])
    assert all(statement["Effect"] == "Allow" for statement in document["Statement"])
    return {
        action: statement["Resource"] for statement in document["Statement"] for action in statement["Action"]
    }


def test_it_may_describe_and_modify_one_rule_and_nothing_else(recording: Recording) -> None:
    rights = allowed(recording)
    assert rights["elasticloadbalancing:ModifyRule"] == [RULE]
    assert {action for action, resources in rights.items() if resources == ["*"]} == {
        "elasticloadbalancing:DescribeRules",
        "elasticloadbalancing:DescribeTargetHealth",
    }
    assert rights["s3:GetObject"] == ["arn:aws:s3:::releases/simple378/prod/*"]
    # Neither a journal nor a lease: it cannot pretend to be a controller.
    assert rights["s3:PutObject"] == [
        "arn:aws:s3:::releases/simple378/prod/aborted/*",
        "arn:aws:s3:::releases/simple378/prod/guardian.json",
    ]
    assert rights["sns:Publish"] == ["arn:aws:sns:eu-central-1:123456789012:simple378-prod-immediate"]
    assert not [action for action in rights if "*" in action or action.startswith("iam:")]


def test_it_is_started_every_minute_by_its_own_schedule_alone(recording: Recording) -> None:
    rule = recording.one("aws:cloudwatch/eventRule:EventRule")
    assert rule.inputs["scheduleExpression"] == "rate(1 minute)"
    assert guard.EVERY == 60
    assert recording.one("aws:cloudwatch/eventTarget:EventTarget").inputs["arn"] == "arn:guardian-function"
    permission = recording.one("aws:lambda/permission:Permission").inputs
    assert permission["principal"] == "events.amazonaws.com"
    assert permission["sourceArn"] == "arn:aws:events:us-east-1:123456789012:rule/guardian-schedule"


def test_the_function_is_told_what_to_watch(recording: Recording) -> None:
    inputs = recording.one(FUNCTION).inputs
    assert inputs["timeout"] == guard.LOOK_LIMIT
    assert inputs["environment"]["variables"] == {
        "SIMPLE378_ENV": "prod",
        "SIMPLE378_REGION": "eu-central-1",
        "SIMPLE378_STORE": "s3://releases/simple378",
        "SIMPLE378_RULE": RULE,
        "SIMPLE378_TOPIC": "arn:aws:sns:eu-central-1:123456789012:simple378-prod-immediate",
        "SIMPLE378_AFTER": "600",
    }
    # Not before it may do what it is for.
    assert recording.one(FUNCTION).depends_on >= {"guardian-rights"}


def test_people_are_told_of_its_errors_and_of_its_silence(recording: Recording) -> None:
    alarms = {
        alarm.inputs["metricName"]: alarm.inputs
        for alarm in recording.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    }
    errors, silent = alarms["Errors"], alarms["Invocations"]
    assert (errors["threshold"], errors["comparisonOperator"]) == (0, "GreaterThanThreshold")
    assert (silent["treatMissingData"], silent["comparisonOperator"]) == ("breaching", "LessThanThreshold")
    for alarm in (errors, silent):
        assert alarm["alarmActions"] == ["arn:aws:sns:eu-central-1:123456789012:simple378-prod-immediate"]
        assert alarm["dimensions"] == {"FunctionName": "simple378-prod-guardian"}


def test_the_zip_is_what_the_handler_imports_and_nothing_heavy(tmp_path: Path) -> None:
    for module in guardian.MODULES:
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / module, tmp_path / module)
    code = f"import sys, {guardian.HANDLER.rpartition('.')[0]} as m; m.handle; print(*sys.modules)"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
    )
    ours = {name for name in loaded if name.partition(".")[0] == "rollout"}
    paths = {name.replace(".", "/") for name in ours}
    assert {f"{path}/__init__.py" if (CHECKOUT / path).is_dir() else f"{path}.py" for path in paths} == set(
        guardian.MODULES
    )
    # Lambda's Python has boto3, and what that needs.
    assert not {"yaml", "pydantic", "pulumi", "httpx", "apprise", "rich", "typer", "jinja2"} & loaded


def test_what_the_program_and_the_procedure_know_of_its_times() -> None:
    defaults: Any = GuardianSettings.model_fields
    assert defaults["after"].default == guard.AFTER
    assert guard.LEAST_AFTER <= LEAST_AFTER <= guard.AFTER
    assert guardian.TIMEOUT == guard.LOOK_LIMIT


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"store": "releases"}, "simple378:store is 'releases'"),
        ({"store": "s3://Releases"}, "simple378:store is 's3://Releases'"),
        ({"after": "60"}, "simple378:after is '60': input should be greater than or equal to 125"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        deployed(**settings)
    assert message in str(refused.value)


def test_a_store_without_folders() -> None:
    rights = allowed(deployed(store="s3://releases"))
    assert rights["s3:GetObject"] == ["arn:aws:s3:::releases/prod/*"]
