"""The guardian: a function that looks every minute whether an open rollout still has somebody at work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

# What the function's handler imports of the release procedure; boto3 is in Lambda's runtime.
MODULES = (
    "rollout/__init__.py",
    "rollout/aws/__init__.py",
    "rollout/aws/clients.py",
    "rollout/aws/failures.py",
    "rollout/aws/forward.py",
    "rollout/aws/store.py",
    "rollout/control/__init__.py",
    "rollout/control/text.py",
    "rollout/guardian/__init__.py",
    "rollout/guardian/handler.py",
    "rollout/guardian/watchdog.py",
    "rollout/journal/__init__.py",
    "rollout/journal/card.py",
    "rollout/journal/guard.py",
    "rollout/journal/journal.py",
    "rollout/journal/notes.py",
    "rollout/journal/progress.py",
    "rollout/journal/store.py",
)
HANDLER = "rollout.guardian.handler.handle"
RUNTIME = "python3.13"
SCHEDULE = "rate(1 minute)"
# Seconds: one look is over before the next begins.
TIMEOUT = 50
# Minutes without an invocation after which people are told.
MISSED = 5
_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class GuardianArgs:
    """`name` is that of all resources; `prefix` begins the keys of the store's objects; `after` is in seconds."""

    name: str
    environment: str
    region: str
    store: str
    bucket: str
    prefix: str
    rule_arn: str
    topic_arn: str
    after: int


class Guardian(pulumi.ComponentResource):
    """The function, its schedule, the one role that it has, and alarms on its errors and its silence."""

    function_name: pulumi.Output[str]

    def __init__(self, name: str, args: GuardianArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:operations:Guardian", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"{name}-role",
            name=args.name,
            description="The guardian may read the release store and move one rule's traffic to stable",
            assume_role_policy=_document(
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "lambda.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ),
            opts=child,
        )
        policy = aws.iam.RolePolicy(
            f"{name}-rights", name="guardian", role=role.name, policy=rights(args), opts=child
        )
        function = aws.lambda_.Function(
            f"{name}-function",
            name=args.name,
            description="Sends an unwatched rollout's traffic to stable",
            role=role.arn,
            runtime=RUNTIME,
            architectures=["arm64"],
            handler=HANDLER,
            code=pulumi.AssetArchive(
                {module: pulumi.FileAsset(str(_CHECKOUT / module)) for module in MODULES}
            ),
            timeout=TIMEOUT,
            memory_size=256,
            environment=aws.lambda_.FunctionEnvironmentArgs(
                variables={
                    "SIMPLE378_ENV": args.environment,
                    "SIMPLE378_REGION": args.region,
                    "SIMPLE378_STORE": args.store,
                    "SIMPLE378_RULE": args.rule_arn,
                    "SIMPLE378_TOPIC": args.topic_arn,
                    "SIMPLE378_AFTER": str(args.after),
                }
            ),
            # Not before it may do what it is for: its first look would be an error.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        _schedule(name, args.name, function, child)
        _alarms(name, args, child)
        self.function_name = function.name
        self.register_outputs({"functionName": function.name})


def rights(args: GuardianArgs) -> str:
    """What the function may do: describe, modify the one rule, read the store and write its own marks there, page, log."""
    objects = f"arn:aws:s3:::{args.bucket}/{args.prefix}"
    return _document(
        # These two calls have no resources.
        _allow(["elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeTargetHealth"], "*"),
        _allow(["elasticloadbalancing:ModifyRule"], args.rule_arn),
        _allow(["s3:GetObject"], f"{objects}/*"),
        _allow(["s3:PutObject"], f"{objects}/aborted/*", f"{objects}/guardian.json"),
        # The whole bucket: with a condition on the prefix S3 would answer 403, not 404, for a missing key.
        _allow(["s3:ListBucket"], f"arn:aws:s3:::{args.bucket}"),
        _allow(["sns:Publish"], args.topic_arn),
        _allow(
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            f"arn:aws:logs:{args.region}:*:log-group:/aws/lambda/{args.name}:*",
        ),
    )


def _schedule(
    name: str, full_name: str, function: aws.lambda_.Function, opts: pulumi.ResourceOptions
) -> None:
    rule = aws.cloudwatch.EventRule(
        f"{name}-schedule",
        name=full_name,
        description="Starts the guardian",
        schedule_expression=SCHEDULE,
        opts=opts,
    )
    aws.lambda_.Permission(
        f"{name}-permission",
        function=function.name,
        statement_id="schedule",
        action="lambda:InvokeFunction",
        principal="events.amazonaws.com",
        source_arn=rule.arn,
        opts=opts,
    )
    aws.cloudwatch.EventTarget(
        f"{name}-target", rule=rule.name, target_id="guardian", arn=function.arn, opts=opts
    )


def _alarms(name: str, args: GuardianArgs, opts: pulumi.ResourceOptions) -> None:
    """Not by `create_alarms`: one of these fires below its threshold and on missing data, where silence is the failure."""

    def alarm(suffix: str, description: str, metric: str, **how: object) -> None:
        aws.cloudwatch.MetricAlarm(
            f"{name}-{suffix}",
            name=f"{args.name}-{suffix}",
            alarm_description=description,
            namespace="AWS/Lambda",
            metric_name=metric,
            dimensions={"FunctionName": args.name},
            statistic="Sum",
            period=60,
            alarm_actions=[args.topic_arn],
            ok_actions=[args.topic_arn],
            tags={"tier": "immediate"},
            opts=opts,
            **how,
        )

    alarm(
        "errors",
        "The guardian could not look or could not move traffic: its log says why",
        "Errors",
        comparison_operator="GreaterThanThreshold",
        threshold=0,
        evaluation_periods=1,
        treat_missing_data="notBreaching",
    )
    alarm(
        "silent",
        f"The guardian was not started for {MISSED} minutes: nobody takes an unwatched rollout back",
        "Invocations",
        comparison_operator="LessThanThreshold",
        threshold=1,
        evaluation_periods=MISSED,
        treat_missing_data="breaching",
    )


def _allow(actions: list[str], *resources: str) -> dict[str, object]:
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources)}


def _document(*statements: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
