"""The PostgreSQL database, its backups and its alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.data.database_alarms import database_alarms
from infra.data.storage import baseline_iops
from infra.data.upgrade import major
from infra.operations.alarms import create_alarms
from infra.operations.topics import Tier

PORT = 5432
# Milliseconds; a statement that takes longer is logged (Risk 8).
_SLOW_STATEMENT = 1000
# UTC; both far from the release window (Saturdays and other nights, 02:00 to 08:00).
_BACKUP_WINDOW = "20:00-21:00"
# Days that Database Insights keeps its data: the free ones, and those that its advanced mode needs.
_INSIGHTS_DAYS = {"standard": 7, "advanced": 465}
_MAINTENANCE_WINDOW = "tue:21:30-tue:22:30"


@dataclass(frozen=True, slots=True)
class DatabaseArgs:
    """Sizes in GiB, `iops` the I/O operations a second that are bought beyond the storage's own, if any, `backup_days` 1 to 35.
    `major_upgrade` allows `engine_version` to be of another major version than the running one, and makes the change at once."""

    name: str
    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    client_security_group_id: pulumi.Input[str]
    engine_version: str
    instance_class: str
    storage: int
    storage_limit: int
    iops: int | None
    multi_az: bool
    backup_days: int
    major_upgrade: bool
    insights: str
    final_snapshot: bool
    max_connections: int
    database_name: str
    user: str
    password: pulumi.Output[str]
    topics: Mapping[Tier, pulumi.Input[str]]
    protect: bool


class Database(pulumi.ComponentResource):
    """An RDS instance: encrypted, not public, TLS only, restorable to any point of the last `backup_days`."""

    host: pulumi.Output[str]
    port: pulumi.Output[int]
    arn: pulumi.Output[str]
    subnet_group: pulumi.Output[str]

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:data:Database", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        subnets = aws.rds.SubnetGroup(
            f"{name}-subnets",
            name=args.name,
            description="Private subnets of Simple378",
            subnet_ids=args.subnet_ids,
            opts=child,
        )
        group = aws.ec2.SecurityGroup(
            f"{name}-group",
            name=f"{args.name}-database",
            description="Database of Simple378: reached by its pods",
            vpc_id=args.vpc_id,
            tags={"Name": f"{args.name}-database"},
            opts=child,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-from-workload",
            security_group_id=group.id,
            description="Pods",
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            referenced_security_group_id=args.client_security_group_id,
            opts=child,
        )
        family = f"postgres{major(args.engine_version)}"
        parameters = aws.rds.ParameterGroup(
            f"{name}-parameters",
            # The family is in the name: a new major version needs a group beside the old one.
            name=f"{args.name}-{family}",
            family=family,
            description="Parameters of the database of Simple378",
            parameters=[
                _parameter("max_connections", args.max_connections, "pending-reboot"),
                _parameter("rds.force_ssl", 1),
                _parameter("log_min_duration_statement", _SLOW_STATEMENT),
            ],
            opts=child,
        )
        instance = aws.rds.Instance(
            f"{name}-instance",
            identifier=args.name,
            engine="postgres",
            engine_version=args.engine_version,
            instance_class=args.instance_class,
            allocated_storage=args.storage,
            max_allocated_storage=args.storage_limit,
            storage_type="gp3",
            iops=args.iops,
            storage_encrypted=True,
            db_name=args.database_name,
            username=args.user,
            password=args.password,
            port=PORT,
            multi_az=args.multi_az,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[group.id],
            parameter_group_name=parameters.name,
            publicly_accessible=False,
            backup_retention_period=args.backup_days,
            backup_window=_BACKUP_WINDOW,
            maintenance_window=_MAINTENANCE_WINDOW,
            copy_tags_to_snapshot=True,
            delete_automated_backups=False,
            deletion_protection=args.protect,
            skip_final_snapshot=not args.final_snapshot,
            # A snapshot keeps its name for ever, and the next database of this environment must find another one.
            final_snapshot_identifier=pulumi.Output.concat(args.name, "-final-", group.id)
            if args.final_snapshot
            else None,
            # Database Insights, which took the place of Performance Insights, keeps the names of its settings.
            performance_insights_enabled=True,
            performance_insights_retention_period=_INSIGHTS_DAYS[args.insights],
            database_insights_mode=args.insights,
            enabled_cloudwatch_logs_exports=["postgresql", "upgrade"],
            # A person decides when the database is upgraded; it must not happen just before a release.
            auto_minor_version_upgrade=False,
            allow_major_version_upgrade=args.major_upgrade,
            # A major upgrade does not wait for the maintenance window: the update that asked for it deletes the old parameter group
            # after it, which RDS allows only when no instance uses the group any more.
            apply_immediately=args.major_upgrade,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        create_alarms(
            name,
            database_alarms(
                instance.identifier,
                iops=args.iops or baseline_iops(args.storage),
                max_connections=args.max_connections,
                instance_class=args.instance_class,
                storage=args.storage,
            ),
            prefix=f"{args.name}-database",
            topics=args.topics,
            parent=self,
        )
        self.arn = instance.arn
        self.subnet_group = subnets.name
        self.host = instance.address
        self.port = instance.port
        self.register_outputs({"host": self.host, "port": self.port})


def _parameter(name: str, value: int, apply_method: str = "immediate") -> aws.rds.ParameterGroupParameterArgs:
    return aws.rds.ParameterGroupParameterArgs(name=name, value=str(value), apply_method=apply_method)
