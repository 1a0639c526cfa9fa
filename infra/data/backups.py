"""Backups of the database by AWS Backup: daily, copied to another region, and restored once a week to see that they can be.

Besides RDS's own, which allow any point in time of the last days but live and end with the region.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.operations.alarms import Alarm, Metric, create_alarms
from infra.operations.topics import Tier

# UTC. Backups are begun and finished before RDS's own window and the maintenance (infra.data.database); tests are restored
# on a working day, so that somebody looks at them.
_BACKUP_SCHEDULE = "cron(0 16 * * ? *)"
_TEST_SCHEDULE = "cron(0 9 ? * MON *)"
# Minutes.
_START_WITHIN = 60
_COMPLETE_WITHIN = 180
# Days back from which the newest backup is restored.
_TESTED_DAYS = 7
# Hours that a restored database stays for people to look at it.
_LOOK_HOURS = 4
_POLICIES = {
    kind: f"arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyFor{kind}"
    for kind in ("Backup", "Restores")
}


@dataclass(frozen=True, slots=True)
class BackupsArgs:
    """`days` is how long a backup is kept, here and in `copy_region`. Restored databases get the subnet group of the real one:
    an account need not have a default network."""

    name: str
    database_arn: pulumi.Input[str]
    subnet_group: pulumi.Input[str]
    copy_region: str
    days: int
    topics: Mapping[Tier, pulumi.Input[str]]
    protect: bool


class Backups(pulumi.ComponentResource):
    """Two vaults, a plan, a plan of restore tests, and the role that makes them."""

    def __init__(self, name: str, args: BackupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:data:Backups", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # Vaults with backups in them are deleted only in an environment that is not protected.
        protected = pulumi.ResourceOptions(parent=self, protect=args.protect)
        vault = aws.backup.Vault(
            f"{name}-vault", name=args.name, force_destroy=not args.protect, opts=protected
        )
        copies = aws.backup.Vault(
            f"{name}-copies",
            name=f"{args.name}-copies",
            region=args.copy_region,
            force_destroy=not args.protect,
            opts=protected,
        )
        role, attached = self._role(name, args.name)
        ready = pulumi.ResourceOptions(parent=self, depends_on=attached)
        plan = aws.backup.Plan(
            f"{name}-plan",
            name=args.name,
            rules=[
                aws.backup.PlanRuleArgs(
                    rule_name="daily",
                    target_vault_name=vault.name,
                    schedule=_BACKUP_SCHEDULE,
                    start_window=_START_WITHIN,
                    completion_window=_COMPLETE_WITHIN,
                    lifecycle=aws.backup.PlanRuleLifecycleArgs(delete_after=args.days),
                    copy_actions=[
                        aws.backup.PlanRuleCopyActionArgs(
                            destination_vault_arn=copies.arn,
                            lifecycle=aws.backup.PlanRuleCopyActionLifecycleArgs(delete_after=args.days),
                        )
                    ],
                )
            ],
            opts=child,
        )
        aws.backup.Selection(
            f"{name}-selection",
            plan_id=plan.id,
            name="database",
            iam_role_arn=role.arn,
            resources=[args.database_arn],
            opts=ready,
        )
        tests = aws.backup.RestoreTestingPlan(
            f"{name}-tests",
            # The only names in AWS that take underscores and no hyphens.
            name=args.name.replace("-", "_"),
            schedule_expression=_TEST_SCHEDULE,
            recovery_point_selection=aws.backup.RestoreTestingPlanRecoveryPointSelectionArgs(
                algorithm="LATEST_WITHIN_WINDOW",
                include_vaults=[vault.arn],
                recovery_point_types=["SNAPSHOT"],
                selection_window_days=_TESTED_DAYS,
            ),
            opts=child,
        )
        aws.backup.RestoreTestingSelection(
            f"{name}-tested",
            restore_testing_plan_name=tests.name,
            name="database",
            protected_resource_type="RDS",
            protected_resource_arns=[args.database_arn],
            iam_role_arn=role.arn,
            restore_metadata_overrides={"dbSubnetGroupName": args.subnet_group},
            validation_window_hours=_LOOK_HOURS,
            opts=ready,
        )
        create_alarms(name, backup_alarms(), prefix=f"{args.name}-backup", topics=args.topics, parent=self)
        self.register_outputs({})

    def _role(self, name: str, prefix: str) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "backup.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        role = aws.iam.Role(
            f"{name}-role",
            name=f"{prefix}-backup",
            description="AWS Backup: takes, copies and restores backups of the database of Simple378",
            assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        attached: list[pulumi.Resource] = [
            aws.iam.RolePolicyAttachment(
                f"{name}-may-{kind.lower()}",
                role=role.name,
                policy_arn=arn,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for kind, arn in _POLICIES.items()
        ]
        return role, attached


def backup_alarms() -> tuple[Alarm, ...]:
    """A backup, copy or restore test that failed, of any database in the region: AWS Backup counts no finer."""
    return tuple(
        Alarm(
            suffix=kind,
            description=f"A {kind.replace('-', ' ')} of a database failed in AWS Backup",
            guide="Strategy 4: backup tested, stored in a separate location",
            tier=Tier.WARNING,
            threshold=0,
            metrics={"failed": Metric("AWS/Backup", metric, {"ResourceType": "RDS"}, "Sum")},
        )
        for kind, metric in (
            ("backup", "NumberOfBackupJobsFailed"),
            ("copy", "NumberOfCopyJobsFailed"),
            ("restore-test", "NumberOfRestoreJobsFailed"),
        )
    )
