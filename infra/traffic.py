"""The traffic layer (`<env>-traffic`): the listener rule with its weights, and nothing else.

It is updated at every traffic stage and at every rollback. It reads the foundation's outputs and its own of the
deployment before, and registers one resource of the cloud.
"""

from __future__ import annotations

from typing import Any

import pulumi

from infra.edge.traffic_rule import TrafficRule, TrafficRuleArgs
from infra.generation import Traffic, check_generation
from infra.settings_traffic import TrafficSettings
from infra.stacks import Colour, OtherStack, StackName
from infra.weights import split


def deploy(stack: StackName) -> None:
    """Register the layer's resources and export its outputs."""
    settings = TrafficSettings.load()
    wanted = settings.traffic
    foundation = OtherStack(stack.environment)
    before = OtherStack(stack.name)
    weights = split(settings.stable, settings.candidate_weight)

    def guard(recorded: list[Any]) -> str:
        generation, stable, candidate_weight, listener_arn = recorded
        deployed = (
            None if generation is None else Traffic(int(generation), Colour(stable), int(candidate_weight))
        )
        check_generation(deployed, wanted, stack.name)
        return str(listener_arn)

    # The rule waits for its listener, and the listener's name for the guard: a refused deployment registers no rule.
    listener_arn = pulumi.Output.all(
        before.get("generation"),
        before.get("stable"),
        before.get("candidateWeight"),
        foundation.require("listenerArn"),
    ).apply(guard)
    target_groups = foundation.require("targetGroups")

    rule = TrafficRule(
        "traffic",
        TrafficRuleArgs(
            listener_arn=listener_arn,
            origin_secret=foundation.require("originSecret"),
            target_groups={colour: _arn(target_groups, colour) for colour in Colour},
            weights=weights,
            protect=settings.protect,
        ),
    )

    pulumi.export("ruleArn", rule.arn)
    pulumi.export("stable", settings.stable.value)
    pulumi.export("candidate", settings.stable.other.value)
    pulumi.export("candidateWeight", settings.candidate_weight)
    pulumi.export("generation", settings.generation)
    pulumi.export("weights", {colour.value: weight for colour, weight in weights.items()})


def _arn(target_groups: pulumi.Output[Any], colour: Colour) -> pulumi.Output[str]:
    return target_groups.apply(lambda groups: str(groups[colour.value]["arn"]))
