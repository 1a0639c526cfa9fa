"""AWS Backup: vaults, plans and what they select, and plans that test whether backups can be restored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..convert import encode
from ..spec import (
    BOOLEAN,
    INTEGER,
    STRING,
    Block,
    Call,
    Create,
    Describe,
    Failure,
    Field,
    ListOf,
    MapOf,
    Operation,
    Props,
    ResourceType,
    Update,
    output,
)
from .rules import known, matches, one_of, table, within

_GONE = ("ResourceNotFoundException",)
_ROLE = matches(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/.+", "the ARN of a role")
_SCHEDULE = matches(r"(cron|rate)\(.+\)", "a cron(...) or rate(...) expression")
_RESTORE_NAME = matches(r"[A-Za-z0-9_]{1,50}", "1 to 50 letters, digits and underscores")

VAULT = ResourceType(
    token="aws:backup/vault:Vault",
    service="backup",
    fields=(
        Field(
            "name",
            "BackupVaultName",
            required=True,
            replace=True,
            checks=(matches(r"[a-zA-Z0-9_-]{2,50}", "2 to 50 letters, digits, hyphens and underscores"),),
        ),
        Field("forceDestroy", type=BOOLEAN, default=False, shown=False),
        output("arn", "BackupVaultArn"),
    ),
    create=Create("create_backup_vault", id="BackupVaultName"),
    read=Describe(Call("describe_backup_vault", {"BackupVaultName": "{id}"}), "", gone=_GONE),
    delete=Call("delete_backup_vault", {"BackupVaultName": "{id}"}),
    unique=("name",),
)

_LIFECYCLE = Block((Field("deleteAfter", "DeleteAfterDays", INTEGER, checks=(within(1, 36_500),)),))
_COPY = Block(
    (
        Field("destinationVaultArn", "DestinationBackupVaultArn", required=True),
        Field("lifecycle", "Lifecycle", _LIFECYCLE),
    )
)
_RULE = Block(
    (
        Field(
            "ruleName",
            "RuleName",
            required=True,
            checks=(matches(r"[a-zA-Z0-9_.-]{1,50}", "1 to 50 letters, digits and -_."),),
        ),
        Field("targetVaultName", "TargetBackupVaultName", required=True),
        Field("schedule", "ScheduleExpression", checks=(_SCHEDULE,)),
        Field("scheduleExpressionTimezone", "ScheduleExpressionTimezone", default="Etc/UTC"),
        Field("startWindow", "StartWindowMinutes", INTEGER, default=60, checks=(within(60, 100_000_000),)),
        Field("completionWindow", "CompletionWindowMinutes", INTEGER, default=180),
        Field("lifecycle", "Lifecycle", _LIFECYCLE),
        Field("copyActions", "CopyActions", ListOf(_COPY, unordered=True, key="destinationVaultArn")),
    )
)


def _plan_rules(inputs: Props) -> Iterator[Failure]:
    for index, rule in enumerate(inputs["rules"] if known(inputs["rules"]) else ()):
        if not known(rule):
            continue
        start, complete = rule["startWindow"], rule["completionWindow"]
        if known(start) and known(complete) and complete < start + 60:
            yield Failure(
                f"rules[{index}].completionWindow",
                f"must be at least startWindow and 60 minutes, is {complete}",
            )


_PLAN_FIELDS = (
    Field("name", "BackupPlanName", required=True, replace=True),
    Field("rules", "Rules", ListOf(_RULE, unordered=True, key="ruleName", at_least=1), required=True),
)


def _update_plan(operation: Operation) -> None:
    if operation.changed("rules"):
        operation.aws.call(
            "update_backup_plan",
            BackupPlanId=operation.id,
            BackupPlan=encode(Block(_PLAN_FIELDS), operation.inputs),
        )


PLAN = ResourceType(
    token="aws:backup/plan:Plan",
    service="backup",
    fields=(*_PLAN_FIELDS, output("arn", "BackupPlanArn"), output("version", "VersionId")),
    create=Create("create_backup_plan", id="BackupPlanId", inside="BackupPlan"),
    read=Describe(
        Call("get_backup_plan", {"BackupPlanId": "{id}"}),
        "",
        gone=_GONE,
        absent=lambda api: "DeletionDate" in api,
        more=lambda operation, api: api["BackupPlan"],
    ),
    update=(_update_plan,),
    delete=Call("delete_backup_plan", {"BackupPlanId": "{id}"}),
    unique=("name",),
    rules=_plan_rules,
)

SELECTION = ResourceType(
    token="aws:backup/selection:Selection",
    service="backup",
    fields=(
        Field("planId", "BackupPlanId", required=True, replace=True),
        Field(
            "name",
            "BackupSelection.SelectionName",
            required=True,
            replace=True,
            checks=(matches(r"[a-zA-Z0-9_.-]{1,50}", "1 to 50 letters, digits and -_."),),
        ),
        Field("iamRoleArn", "BackupSelection.IamRoleArn", required=True, replace=True, checks=(_ROLE,)),
        Field("resources", "BackupSelection.Resources", ListOf(STRING, unordered=True), replace=True),
    ),
    create=Create("create_backup_selection", id="SelectionId"),
    read=Describe(
        Call("get_backup_selection", {"BackupPlanId": "{planId}", "SelectionId": "{id}"}), "", gone=_GONE
    ),
    delete=Call("delete_backup_selection", {"BackupPlanId": "{planId}", "SelectionId": "{id}"}),
)

_CHOICE = Block(
    (
        Field(
            "algorithm",
            "Algorithm",
            required=True,
            checks=(one_of("LATEST_WITHIN_WINDOW", "RANDOM_WITHIN_WINDOW"),),
        ),
        Field("includeVaults", "IncludeVaults", ListOf(STRING, unordered=True, at_least=1), required=True),
        Field(
            "recoveryPointTypes",
            "RecoveryPointTypes",
            ListOf(STRING, unordered=True, at_least=1),
            required=True,
        ),
        Field("selectionWindowDays", "SelectionWindowDays", INTEGER, default=30, checks=(within(1, 365),)),
    )
)
_TEST_FIELDS = (
    Field("recoveryPointSelection", "RecoveryPointSelection", _CHOICE, required=True),
    Field("scheduleExpression", "ScheduleExpression", required=True, checks=(_SCHEDULE,)),
    Field("scheduleExpressionTimezone", "ScheduleExpressionTimezone", default="Etc/UTC"),
    Field("startWindowHours", "StartWindowHours", INTEGER, default=24, checks=(within(1, 168),)),
)


def _update_test(operation: Operation) -> None:
    if operation.changed(*(field.name for field in _TEST_FIELDS)):
        operation.aws.call(
            "update_restore_testing_plan",
            RestoreTestingPlanName=operation.id,
            RestoreTestingPlan=encode(Block(_TEST_FIELDS), operation.inputs),
        )


RESTORE_TESTING_PLAN = ResourceType(
    token="aws:backup/restoreTestingPlan:RestoreTestingPlan",
    service="backup",
    fields=(
        Field("name", "RestoreTestingPlanName", required=True, replace=True, checks=(_RESTORE_NAME,)),
        *_TEST_FIELDS,
        output("arn", "RestoreTestingPlanArn"),
    ),
    create=Create("create_restore_testing_plan", id="RestoreTestingPlanName", inside="RestoreTestingPlan"),
    read=Describe(
        Call("get_restore_testing_plan", {"RestoreTestingPlanName": "{id}"}), "RestoreTestingPlan", gone=_GONE
    ),
    update=(_update_test,),
    delete=Call("delete_restore_testing_plan", {"RestoreTestingPlanName": "{id}"}),
    unique=("name",),
)

_TESTED = {"RestoreTestingPlanName": "{restoreTestingPlanName}", "RestoreTestingSelectionName": "{id}"}
_SELECTED = "RestoreTestingSelection"


def _plain(api: Any) -> Any:
    return {_SELECTED: api[_SELECTED], "RestoreTestingPlanName": api[_SELECTED]["RestoreTestingPlanName"]}


RESTORE_TESTING_SELECTION = ResourceType(
    token="aws:backup/restoreTestingSelection:RestoreTestingSelection",
    service="backup",
    fields=(
        Field("restoreTestingPlanName", "RestoreTestingPlanName", required=True, replace=True),
        Field(
            "name",
            f"{_SELECTED}.RestoreTestingSelectionName",
            required=True,
            replace=True,
            checks=(_RESTORE_NAME,),
        ),
        Field("protectedResourceType", f"{_SELECTED}.ProtectedResourceType", required=True, replace=True),
        Field("iamRoleArn", f"{_SELECTED}.IamRoleArn", required=True, checks=(_ROLE,)),
        Field("protectedResourceArns", f"{_SELECTED}.ProtectedResourceArns", ListOf(STRING, unordered=True)),
        Field("restoreMetadataOverrides", f"{_SELECTED}.RestoreMetadataOverrides", MapOf()),
        Field(
            "validationWindowHours",
            f"{_SELECTED}.ValidationWindowHours",
            INTEGER,
            default=0,
            checks=(within(0, 168),),
        ),
    ),
    create=Create("create_restore_testing_selection", id="RestoreTestingSelectionName"),
    read=Describe(
        Call("get_restore_testing_selection", _TESTED),
        "",
        gone=_GONE,
        more=lambda operation, api: _plain(api),
    ),
    update=(
        Update(
            Call("update_restore_testing_selection", _TESTED),
            ("iamRoleArn", "protectedResourceArns", "restoreMetadataOverrides", "validationWindowHours"),
            whole=True,
        ),
    ),
    delete=Call("delete_restore_testing_selection", _TESTED),
    unique=("restoreTestingPlanName", "name"),
)

TABLE = table(VAULT, PLAN, SELECTION, RESTORE_TESTING_PLAN, RESTORE_TESTING_SELECTION)
