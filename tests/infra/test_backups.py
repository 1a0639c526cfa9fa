"""The database's backups: in another region, restored as a test, and none where the database is somebody else's."""

from __future__ import annotations

import json

import pytest

from infra.settings import SettingsError
from tests.infra.engine import Recording, deploy
from tests.infra.examples import FOUNDATION, STACKS

VAULT = "aws:backup/vault:Vault"


def run(**changes: str) -> Recording:
    return deploy("prod", FOUNDATION | {f"simple378:{key}": value for key, value in changes.items()}, STACKS)


def test_a_copy_of_every_daily_backup_is_in_another_region() -> None:
    recording = run(databaseCopyDays="50")
    (rule,) = recording.one("aws:backup/plan:Plan").inputs["rules"]
    assert rule["targetVaultName"] == recording.one(VAULT, "backups-vault").inputs["name"] == "simple378-prod"
    assert rule["lifecycle"] == {"deleteAfter": 50}
    assert rule["copyActions"] == [
        {"destinationVaultArn": "arn:backups-copies", "lifecycle": {"deleteAfter": 50}}
    ]
    assert recording.one(VAULT, "backups-copies").inputs["region"] == "eu-west-1"
    assert "region" not in recording.one(VAULT, "backups-vault").inputs
    assert recording.one("aws:backup/selection:Selection").inputs["resources"] == ["arn:database-instance"]


def test_the_newest_backup_is_restored_every_week() -> None:
    recording = run()
    plan = recording.one("aws:backup/restoreTestingPlan:RestoreTestingPlan").inputs
    assert plan["scheduleExpression"] == "cron(0 9 ? * MON *)"
    assert plan["recoveryPointSelection"]["algorithm"] == "LATEST_WITHIN_WINDOW"
    assert plan["recoveryPointSelection"]["includeVaults"] == ["arn:backups-vault"]
    tested = recording.one("aws:backup/restoreTestingSelection:RestoreTestingSelection").inputs
    assert (tested["protectedResourceType"], tested["protectedResourceArns"]) == (
        "RDS",
        ["arn:database-instance"],
    )
    assert tested["restoreMetadataOverrides"] == {"dbSubnetGroupName": "simple378-prod"}


def test_the_role_is_aws_backups_and_is_ready_before_it_is_used() -> None:
    recording = run()
    trust = json.loads(recording.one("aws:iam/role:Role", "backups-role").inputs["assumeRolePolicy"])[
        "Statement"
    ]
    assert [statement["Principal"] for statement in trust] == [{"Service": "backup.amazonaws.com"}]
    attached = recording.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert {each.inputs["policyArn"].rpartition("/")[2] for each in attached} == {
        "AWSBackupServiceRolePolicyForBackup",
        "AWSBackupServiceRolePolicyForRestores",
    }
    for token in (
        "aws:backup/selection:Selection",
        "aws:backup/restoreTestingSelection:RestoreTestingSelection",
    ):
        assert {each.name for each in attached} <= recording.one(token).depends_on


@pytest.mark.parametrize("suffix", ["backup", "copy", "restore-test"])
def test_people_are_told_of_what_failed(suffix: str) -> None:
    alarm = run().one("aws:cloudwatch/metricAlarm:MetricAlarm", f"backups-{suffix}").inputs
    assert alarm["threshold"] == 0
    assert [action.rpartition(":")[2] for action in alarm["alarmActions"]] == ["topics-warning"]


@pytest.mark.parametrize("settings", [{"databaseEndpoint": "db.example:5432"}, {"databaseCopyRegion": ""}])
def test_none_for_a_database_that_is_not_ours_or_without_a_region(settings: dict[str, str]) -> None:
    config = {**FOUNDATION, **{f"simple378:{key}": value for key, value in settings.items() if value}}
    if settings == {"databaseCopyRegion": ""}:
        del config["simple378:databaseCopyRegion"]
    made = deploy("prod", config, STACKS)
    assert not [resource for resource in made.cloud if resource.type.startswith("aws:backup/")]


def test_a_copy_in_the_databases_own_region_is_refused() -> None:
    with pytest.raises(
        SettingsError, match="simple378:databaseCopyRegion is eu-central-1, the database's own"
    ):
        run(databaseCopyRegion="eu-central-1")


@pytest.mark.parametrize(("mode", "days"), [("standard", 7), ("advanced", 465)])
def test_database_insights(mode: str, days: int) -> None:
    database = run(databaseInsights=mode).one("aws:rds/instance:Instance").inputs
    assert (
        database["performanceInsightsEnabled"],
        database["databaseInsightsMode"],
        database["performanceInsightsRetentionPeriod"],
    ) == (True, mode, days)
