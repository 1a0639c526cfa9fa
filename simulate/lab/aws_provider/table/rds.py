"""PostgreSQL instances with their subnet and parameter groups."""

from __future__ import annotations

from collections.abc import Iterator

from ..aws import ApiError
from ..convert import encode
from ..spec import (
    BOOLEAN,
    INTEGER,
    STRING,
    Api,
    Block,
    Call,
    Create,
    Describe,
    Failure,
    Field,
    ListOf,
    Mode,
    Operation,
    Props,
    ResourceType,
    TagCalls,
    Update,
    Value,
    output,
)
from .rules import known, matches, one_of, table, within

TAGS = TagCalls(
    add=Call("add_tags_to_resource", {"ResourceName": "{arn}"}),
    remove=Call("remove_tags_from_resource", {"ResourceName": "{arn}"}),
    list=Call("list_tags_for_resource", {"ResourceName": "{arn}"}),
    path="TagList",
)

_IDENTIFIER = matches(
    r"(?!.*--)[a-z][a-z0-9-]{0,62}(?<!-)",
    "1 to 63 lower-case letters, digits and single hyphens, from a letter",
)
_GROUP_NAME = matches(
    r"(?!default$)[a-z0-9][a-z0-9 ._-]{0,254}", "lower-case letters, digits, spaces and ._-, not 'default'"
)
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
_DAY = r"(mon|tue|wed|thu|fri|sat|sun)"


def _subnet_group_rules(inputs: Props) -> Iterator[Failure]:
    if known(inputs["subnetIds"]) and len(inputs["subnetIds"]) < 2:
        yield Failure("subnetIds", "a subnet group needs subnets in at least 2 zones")


SUBNET_GROUP = ResourceType(
    token="aws:rds/subnetGroup:SubnetGroup",
    service="rds",
    fields=(
        Field("name", "DBSubnetGroupName", required=True, replace=True, checks=(_GROUP_NAME,)),
        Field("description", "DBSubnetGroupDescription", default="Managed by Pulumi"),
        Field("subnetIds", "SubnetIds", ListOf(STRING, unordered=True), required=True),
        output("arn", "DBSubnetGroupArn"),
        output("vpcId", "VpcId"),
    ),
    create=Create("create_db_subnet_group", id="DBSubnetGroup.DBSubnetGroupName"),
    read=Describe(
        Call("describe_db_subnet_groups", {"DBSubnetGroupName": "{id}"}),
        "DBSubnetGroups.0",
        gone=("DBSubnetGroupNotFoundFault",),
        more=lambda operation, api: {"SubnetIds": [subnet["SubnetIdentifier"] for subnet in api["Subnets"]]},
    ),
    update=(
        Update(
            Call("modify_db_subnet_group", {"DBSubnetGroupName": "{id}"}),
            ("description", "subnetIds"),
            whole=True,
        ),
    ),
    delete=Call("delete_db_subnet_group", {"DBSubnetGroupName": "{id}"}),
    tags=TAGS,
    unique=("name",),
    rules=_subnet_group_rules,
)

_PARAMETER = Block(
    (
        Field("name", "ParameterName", required=True),
        Field("value", "ParameterValue", required=True),
        Field(
            "applyMethod", "ApplyMethod", default="immediate", checks=(one_of("immediate", "pending-reboot"),)
        ),
    )
)
_PARAMETERS_A_CALL = 20  # AWS's limit


def _put_parameters(operation: Operation) -> None:
    before = {each["name"]: each for each in operation.olds.get("parameters") or ()}
    after = {each["name"]: each for each in operation.inputs.get("parameters") or ()}
    changed = [encode(_PARAMETER, each) for name, each in after.items() if before.get(name) != each]
    for start in range(0, len(changed), _PARAMETERS_A_CALL):
        some = changed[start : start + _PARAMETERS_A_CALL]
        operation.aws.call("modify_db_parameter_group", DBParameterGroupName=operation.id, Parameters=some)
    reset = [
        {"ParameterName": name, "ApplyMethod": before[name]["applyMethod"]}
        for name in sorted(before.keys() - after.keys())
    ]
    if reset:
        operation.aws.call("reset_db_parameter_group", DBParameterGroupName=operation.id, Parameters=reset)


def _parameters(operation: Operation, _: Api) -> Api:
    shown = operation.aws.call("describe_db_parameters", DBParameterGroupName=operation.id, Source="user")[
        "Parameters"
    ]
    return {"Parameters": [each for each in shown if "ParameterValue" in each]}


def _delete_parameter_group(operation: Operation) -> None:
    """Refused as AWS does, and moto does not, while an instance has it."""
    for instance in operation.aws.call("describe_db_instances")["DBInstances"]:
        if operation.id in {group["DBParameterGroupName"] for group in instance["DBParameterGroups"]}:
            raise ApiError(
                "delete_db_parameter_group",
                "InvalidDBParameterGroupState",
                "One or more database instances are still members of this parameter group "
                f"{operation.id}, so the group cannot be deleted",
            )
    operation.aws.call("delete_db_parameter_group", DBParameterGroupName=operation.id)


PARAMETER_GROUP = ResourceType(
    token="aws:rds/parameterGroup:ParameterGroup",
    service="rds",
    fields=(
        Field("name", "DBParameterGroupName", required=True, replace=True, checks=(_IDENTIFIER,)),
        Field("family", "DBParameterGroupFamily", required=True, replace=True),
        Field("description", "Description", default="Managed by Pulumi", replace=True),
        Field("parameters", "Parameters", ListOf(_PARAMETER, unordered=True, key="name"), sent=False),
        output("arn", "DBParameterGroupArn"),
    ),
    create=Create(
        "create_db_parameter_group", id="DBParameterGroup.DBParameterGroupName", then=_put_parameters
    ),
    read=Describe(
        Call("describe_db_parameter_groups", {"DBParameterGroupName": "{id}"}),
        "DBParameterGroups.0",
        gone=("DBParameterGroupNotFound",),
        more=_parameters,
    ),
    update=(_put_parameters,),
    delete=_delete_parameter_group,
    tags=TAGS,
    unique=("name",),
)


def _instance_status(operation: Operation) -> str:
    return str(_instance(operation)["DBInstanceStatus"])


def _instance(operation: Operation) -> Api:
    found = operation.aws.call("describe_db_instances", DBInstanceIdentifier=operation.inputs["identifier"])
    instance: Api = found["DBInstances"][0]
    return instance


def _instance_gone(operation: Operation) -> bool:
    try:
        _instance_status(operation)
    except ApiError as error:
        if error.code == "DBInstanceNotFound":
            return True
        raise
    return False


# Properties that ModifyDBInstance takes under the create call's name.
_MODIFIED_ALIKE = (
    "allocatedStorage",
    "autoMinorVersionUpgrade",
    "backupRetentionPeriod",
    "backupWindow",
    "caCertIdentifier",
    "copyTagsToSnapshot",
    "databaseInsightsMode",
    "dbSubnetGroupName",
    "deletionProtection",
    "engineVersion",
    "instanceClass",
    "iops",
    "maintenanceWindow",
    "maxAllocatedStorage",
    "multiAz",
    "parameterGroupName",
    "password",
    "performanceInsightsEnabled",
    "performanceInsightsRetentionPeriod",
    "publiclyAccessible",
    "storageType",
    "vpcSecurityGroupIds",
)


def _modify_instance(operation: Operation) -> None:
    params = encode(
        INSTANCE.block, operation.inputs, [name for name in _MODIFIED_ALIKE if operation.changed(name)]
    )
    if operation.changed("engineVersion"):
        _refuse_upgrade(operation)
        params["AllowMajorVersionUpgrade"] = operation.inputs["allowMajorVersionUpgrade"]
    if operation.changed("port"):
        params["DBPortNumber"] = operation.inputs["port"]
    if operation.changed("enabledCloudwatchLogsExports"):
        before = set(operation.olds.get("enabledCloudwatchLogsExports") or ())
        after = set(operation.inputs.get("enabledCloudwatchLogsExports") or ())
        params["CloudwatchLogsExportConfiguration"] = {
            "EnableLogTypes": sorted(after - before),
            "DisableLogTypes": sorted(before - after),
        }
    if params:
        operation.aws.call(
            "modify_db_instance",
            DBInstanceIdentifier=operation.inputs["identifier"],
            ApplyImmediately=operation.inputs["applyImmediately"],
            **params,
        )


def _refuse_upgrade(operation: Operation) -> None:
    """What AWS refuses, and moto does not."""
    old, new = (
        version.partition(".")[0] for version in (_running(operation), operation.inputs["engineVersion"])
    )
    if old != new and not operation.inputs["allowMajorVersionUpgrade"]:
        raise ApiError(
            "modify_db_instance",
            "InvalidParameterCombination",
            "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version.",
        )


def _running(operation: Operation) -> str:
    return str(_instance(operation)["EngineVersion"])


def _delete_instance(operation: Operation) -> None:
    skip = operation.inputs["skipFinalSnapshot"]
    snapshot = {} if skip else {"FinalDBSnapshotIdentifier": operation.inputs["finalSnapshotIdentifier"]}
    operation.aws.call(
        "delete_db_instance",
        DBInstanceIdentifier=operation.inputs["identifier"],
        SkipFinalSnapshot=skip,
        DeleteAutomatedBackups=operation.inputs["deleteAutomatedBackups"],
        **snapshot,
    )


def _instance_more(_: Operation, api: Api) -> Api:
    """The description has other names than the create call."""
    return {
        "Port": api["Endpoint"]["Port"],
        "DBSubnetGroupName": api["DBSubnetGroup"]["DBSubnetGroupName"],
        "DBParameterGroupName": api["DBParameterGroups"][0]["DBParameterGroupName"],
        "VpcSecurityGroupIds": [group["VpcSecurityGroupId"] for group in api["VpcSecurityGroups"]],
        "EnableCloudwatchLogsExports": api.get("EnabledCloudwatchLogsExports", []),
    }


def _password(value: str) -> str | None:
    """The reason is printed, so it must not contain the value."""
    if not 8 <= len(value) <= 128:
        return "must have 8 to 128 characters"
    if any(character in '/@" ' or not " " <= character <= "~" for character in value):
        return 'must be printable ASCII without /, @, " and space'
    return None


def _gp3_iops(storage: Value, iops: int) -> Iterator[Failure]:
    """From "Amazon RDS DB instance storage"; PostgreSQL's."""
    if known(storage) and storage < 400:
        yield Failure(
            "iops",
            f"You can't specify IOPS or storage throughput for engine postgres and a storage size less than 400 (it is {storage})",
        )
    elif not 12_000 <= iops <= 64_000:
        yield Failure("iops", f"must be 12000 to 64000, is {iops}")


def _instance_rules(inputs: Props) -> Iterator[Failure]:
    if inputs["skipFinalSnapshot"] is False and "finalSnapshotIdentifier" not in inputs:
        yield Failure("finalSnapshotIdentifier", "is needed unless skipFinalSnapshot is true")
    least, most = inputs["allocatedStorage"], inputs.get("maxAllocatedStorage")
    if inputs.get("databaseInsightsMode") == "advanced" and (
        inputs["performanceInsightsEnabled"] is False
        or inputs.get("performanceInsightsRetentionPeriod") != 465
    ):
        yield Failure(
            "databaseInsightsMode",
            "advanced needs performanceInsightsEnabled and a retention period of 465 days",
        )
    if known(inputs.get("iops")) and inputs.get("storageType") == "gp3":
        yield from _gp3_iops(least, inputs["iops"])
    if known(least) and known(most) and most < least:
        yield Failure("maxAllocatedStorage", f"must be at least allocatedStorage {least}, is {most}")


INSTANCE = ResourceType(
    token="aws:rds/instance:Instance",
    service="rds",
    fields=(
        Field("identifier", "DBInstanceIdentifier", required=True, replace=True, checks=(_IDENTIFIER,)),
        Field("engine", "Engine", required=True, replace=True, checks=(one_of("postgres"),)),
        Field("engineVersion", "EngineVersion", mode=Mode.EITHER),
        Field(
            "instanceClass",
            "DBInstanceClass",
            required=True,
            checks=(matches(r"db\.[a-z0-9-]+\.[a-z0-9]+", "such as db.t4g.medium"),),
        ),
        Field("allocatedStorage", "AllocatedStorage", INTEGER, required=True, checks=(within(5, 65536),)),
        Field("maxAllocatedStorage", "MaxAllocatedStorage", INTEGER),
        Field(
            "storageType",
            "StorageType",
            mode=Mode.EITHER,
            checks=(one_of("standard", "gp2", "gp3", "io1", "io2"),),
        ),
        Field("iops", "Iops", INTEGER, mode=Mode.EITHER),
        Field("storageEncrypted", "StorageEncrypted", BOOLEAN, default=False, replace=True),
        Field(
            "dbName",
            "DBName",
            replace=True,
            checks=(matches(r"[A-Za-z_][A-Za-z0-9_]{0,62}", "a PostgreSQL name of at most 63"),),
        ),
        Field(
            "username",
            "MasterUsername",
            required=True,
            replace=True,
            checks=(matches(r"[A-Za-z][A-Za-z0-9_]{0,62}", "a user name"),),
        ),
        Field("password", "MasterUserPassword", required=True, shown=False, checks=(_password,)),
        Field("port", "Port", INTEGER, default=5432, checks=(within(1150, 65535),)),
        Field("multiAz", "MultiAZ", BOOLEAN, default=False),
        Field("availabilityZone", "AvailabilityZone", mode=Mode.EITHER, replace=True),
        Field("dbSubnetGroupName", "DBSubnetGroupName", required=True),
        Field("vpcSecurityGroupIds", "VpcSecurityGroupIds", ListOf(STRING, unordered=True), mode=Mode.EITHER),
        Field("parameterGroupName", "DBParameterGroupName", mode=Mode.EITHER),
        Field("publiclyAccessible", "PubliclyAccessible", BOOLEAN, default=False),
        Field("backupRetentionPeriod", "BackupRetentionPeriod", INTEGER, default=0, checks=(within(0, 35),)),
        Field(
            "backupWindow",
            "PreferredBackupWindow",
            mode=Mode.EITHER,
            checks=(matches(f"{_CLOCK}-{_CLOCK}", "hh:mm-hh:mm"),),
        ),
        Field(
            "maintenanceWindow",
            "PreferredMaintenanceWindow",
            mode=Mode.EITHER,
            checks=(matches(f"{_DAY}:{_CLOCK}-{_DAY}:{_CLOCK}", "ddd:hh:mm-ddd:hh:mm in lower case"),),
        ),
        Field("copyTagsToSnapshot", "CopyTagsToSnapshot", BOOLEAN, default=False),
        Field("deletionProtection", "DeletionProtection", BOOLEAN, default=False),
        Field("autoMinorVersionUpgrade", "AutoMinorVersionUpgrade", BOOLEAN, default=True),
        Field("performanceInsightsEnabled", "EnablePerformanceInsights", BOOLEAN, default=False, shown=False),
        Field(
            "performanceInsightsRetentionPeriod",
            "PerformanceInsightsRetentionPeriod",
            INTEGER,
            shown=False,
            checks=(one_of(7, *(31 * months for months in range(1, 24)), 731, 465),),
        ),
        Field(
            "databaseInsightsMode",
            "DatabaseInsightsMode",
            shown=False,
            checks=(one_of("standard", "advanced"),),
        ),
        Field(
            "enabledCloudwatchLogsExports",
            "EnableCloudwatchLogsExports",
            ListOf(STRING, unordered=True),
        ),
        Field("caCertIdentifier", "CACertificateIdentifier", mode=Mode.EITHER),
        # Parameters of the modify and delete calls only.
        Field("applyImmediately", type=BOOLEAN, default=False, shown=False),
        Field("allowMajorVersionUpgrade", type=BOOLEAN, default=False, shown=False),
        Field("deleteAutomatedBackups", type=BOOLEAN, default=True, shown=False),
        Field("skipFinalSnapshot", type=BOOLEAN, default=False, shown=False),
        Field(
            "finalSnapshotIdentifier",
            shown=False,
            checks=(matches(r"(?!.*--)[A-Za-z][A-Za-z0-9-]{0,254}(?<!-)", "a snapshot name"),),
        ),
        output("address", "Endpoint.Address"),
        output("arn", "DBInstanceArn"),
        output("endpoint", "Endpoint", decode=lambda raw: f"{raw['Address']}:{raw['Port']}"),
        output("engineVersionActual", "EngineVersion"),
        output("resourceId", "DbiResourceId"),
        output("status", "DBInstanceStatus"),
    ),
    create=Create(
        "create_db_instance",
        id="DBInstance.DbiResourceId",
        ready=lambda operation: _instance_status(operation) == "available",
    ),
    read=Describe(
        Call("describe_db_instances", {"DBInstanceIdentifier": "{identifier}"}),
        "DBInstances.0",
        gone=("DBInstanceNotFound", "DBInstanceNotFoundFault"),
        more=_instance_more,
    ),
    update=(_modify_instance,),
    delete=_delete_instance,
    deleted=_instance_gone,
    tags=TAGS,
    unique=("identifier",),
    rules=_instance_rules,
    import_inputs=lambda given: {"identifier": given},
)

TABLE = table(SUBNET_GROUP, PARAMETER_GROUP, INSTANCE)
