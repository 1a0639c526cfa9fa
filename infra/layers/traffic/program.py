"""The traffic layer (`<env>-traffic`): the listener rule with its weights, and nothing else.

It is updated at every traffic stage and at every rollback. It reads the foundation's outputs and its own previous
ones, and registers one cloud resource.
"""

from __future__ import annotations

import pulumi

from infra.edge.rules import ORIGIN_SECRETS
from infra.edge.traffic_rule import TrafficRule, TrafficRuleArgs
from infra.layers.traffic.generation import Traffic, check_generation
from infra.layers.traffic.settings import TrafficSettings
from infra.layers.traffic.weights import split
from infra.stacks import Colour, OtherStack, StackName


async def deploy(stack: StackName) -> None:
    """Register the layer's resources and export its outputs.

    Nothing is exported before the guard: the engine records what a program exported even if it fails afterwards.
    """
    settings = TrafficSettings.load()
    # This stack first and by itself: the engine must not write to the state while it is read.
    before = await OtherStack.read(stack.name)
    check_generation(_deployed(before), settings.traffic, stack.name)
    foundation = await OtherStack.read(stack.environment)

    weights = split(settings.stable, settings.candidate_weight)
    target_groups = foundation.require("targetGroups")
    accepted = [name for name in ORIGIN_SECRETS if name == ORIGIN_SECRETS[0] or foundation.get(name)]
    origin_secrets = [foundation.require_secret(name) for name in accepted]
    rule = TrafficRule(
        "traffic",
        TrafficRuleArgs(
            environment=stack.environment,
            listener_arn=foundation.require("listenerArn"),
            origin_secrets=origin_secrets,
            target_groups={colour: target_groups[colour.value]["arn"] for colour in Colour},
            weights=weights,
            protect=settings.protect,
        ),
    )

    pulumi.export("ruleArn", rule.arn)
    pulumi.export("stable", settings.stable.value)
    pulumi.export("candidate", settings.stable.other.value)
    pulumi.export("candidateWeight", settings.candidate_weight)
    pulumi.export("generation", settings.generation)
    pulumi.export("originSecrets", len(origin_secrets))
    pulumi.export("weights", {colour.value: weight for colour, weight in weights.items()})


def _deployed(before: OtherStack) -> Traffic | None:
    if before.get("generation") is None:
        return None
    return Traffic(
        generation=int(before.require("generation")),
        stable=Colour(before.require("stable")),
        candidate_weight=int(before.require("candidateWeight")),
    )
