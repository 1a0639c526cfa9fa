"""The guardian layer (`<env>-guardian`): a function on a schedule of one minute, what it may do, and alarms on it.

A stack of its own: nothing else depends on it, and it is replaced or removed without touching what serves users.
"""

from __future__ import annotations

import pulumi

from infra.layers.guardian.settings import GuardianSettings
from infra.operations.guardian import Guardian, GuardianArgs
from infra.operations.topics import Tier
from infra.settings import region
from infra.stacks import OtherStack, StackName


async def deploy(stack: StackName) -> None:
    """Register the layer's resources and export its outputs."""
    settings = GuardianSettings.load()
    foundation = await OtherStack.read(stack.environment)
    traffic = await OtherStack.read(f"{stack.environment}-traffic")
    guardian = Guardian(
        "guardian",
        GuardianArgs(
            name=f"{stack.resource_prefix}-guardian",
            environment=stack.environment,
            region=region(),
            store=settings.store,
            bucket=settings.bucket,
            prefix=settings.prefix(stack.environment),
            rule_arn=traffic.require("ruleArn"),
            topic_arn=foundation.require("topics")[Tier.IMMEDIATE.value],
            after=settings.after,
        ),
    )
    pulumi.export("functionName", guardian.function_name)
    pulumi.export("store", settings.store)
    pulumi.export("after", settings.after)
