"""The traffic layer: one rule, weights by colour, guarded by the generation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.layers.traffic.generation import GenerationError, Traffic, check_generation
from infra.layers.traffic.weights import split
from infra.stacks import Colour, StackError
from tests.infra.engine import Recording, deploy
from tests.infra.examples import SECRET_OUTPUTS, STACKS, TRAFFIC

BLUE, GREEN = Colour.BLUE, Colour.GREEN
RULE = "aws:lb/listenerRule:ListenerRule"


def run(stable: str, weight: int, generation: int = 7, before: dict[str, Any] | None = None) -> Recording:
    config = {
        **TRAFFIC,
        "simple378:stable": stable,
        "simple378:candidateWeight": str(weight),
        "simple378:generation": str(generation),
    }
    return deploy("prod-traffic", config, {**STACKS, "prod-traffic": before or {}}, SECRET_OUTPUTS)


@pytest.mark.parametrize(
    ("stable", "weight", "blue", "green"),
    [(BLUE, 0, 100, 0), (BLUE, 5, 95, 5), (BLUE, 100, 0, 100), (GREEN, 0, 0, 100), (GREEN, 25, 25, 75)],
)
def test_weights(stable: Colour, weight: int, blue: int, green: int) -> None:
    assert split(stable, weight) == {BLUE: blue, GREEN: green}


@given(st.sampled_from(Colour), st.integers(0, 100))
def test_weights_add_up_and_swapping_the_roles_is_the_rest(stable: Colour, weight: int) -> None:
    assert sum(split(stable, weight).values()) == 100
    assert split(stable, weight) == split(stable.other, 100 - weight)


@pytest.mark.parametrize("weight", [-1, 101])
def test_weights_outside_of_percent(weight: int) -> None:
    with pytest.raises(ValueError, match="not from 0 to 100"):
        split(BLUE, weight)


def test_registers_one_resource_of_the_cloud() -> None:
    recording = run("blue", 25)
    assert [resource.type for resource in recording.cloud] == [RULE]
    assert [resource.type for resource in recording.resources] == ["simple378:edge:TrafficRule", RULE]
    assert recording.one(RULE).ignore_changes == ()


def test_the_rule() -> None:
    rule = run("blue", 25).one(RULE)
    assert rule.inputs == {
        "listenerArn": "arn:listener",
        "priority": 100,
        "conditions": [
            {
                "httpHeader": {
                    "httpHeaderName": "X-Origin-Verify",
                    "values": ["an-origin-secret-of-32-characters"],
                }
            }
        ],
        "actions": [
            {
                "type": "forward",
                "forward": {
                    "targetGroups": [{"arn": "arn:blue", "weight": 75}, {"arn": "arn:green", "weight": 25}],
                    "stickiness": {"enabled": False, "duration": 1},
                },
            }
        ],
        "tags": {"simple378:environment": "prod", "simple378:role": "traffic-rule"},
    }
    assert any(path.startswith("conditions") for path in rule.secrets)
    assert not any(path.startswith("actions") for path in rule.secrets)
    assert rule.protect


def test_while_the_secret_is_rotated_the_rule_lets_in_what_is_sent_and_what_will_be() -> None:
    foundation = {
        **STACKS["prod"],
        "originSecretNext": "the-next-one",
        "originSecretPrevious": "the-one-before",
    }
    names = ["originSecretNext", "originSecretPrevious"]
    secrets = {"prod": [*SECRET_OUTPUTS["prod"], *names]}
    recording = deploy("prod-traffic", TRAFFIC, {**STACKS, "prod": foundation}, secrets)
    (condition,) = recording.one(RULE).inputs["conditions"]
    current = "an-origin-secret-of-32-characters"
    assert condition["httpHeader"]["values"] == [current, "the-next-one", "the-one-before"]
    assert recording.outputs["originSecrets"] == 3


def test_promotion_leaves_the_rule_as_it_was() -> None:
    released = run("blue", 100, 7)
    promoted = run("green", 0, 8, released.outputs)
    assert promoted.one(RULE).inputs == released.one(RULE).inputs
    assert (promoted.outputs["stable"], promoted.outputs["candidate"]) == ("green", "blue")


def test_outputs() -> None:
    assert run("green", 25).outputs == {
        "ruleArn": "arn:traffic-rule",
        "stable": "green",
        "candidate": "blue",
        "candidateWeight": 25,
        "generation": 7,
        "originSecrets": 1,
        "weights": {"blue": 25, "green": 75},
    }


DEPLOYED = {"generation": 7, "stable": "blue", "candidateWeight": 25}


@pytest.mark.parametrize(
    ("stable", "weight", "generation"),
    [("blue", 0, 8), ("green", 25, 8), ("blue", 25, 7), ("blue", 25, 1000)],
)
def test_newer_or_the_same_is_deployed(stable: str, weight: int, generation: int) -> None:
    assert run(stable, weight, generation, DEPLOYED).outputs["generation"] == generation


@pytest.mark.parametrize(
    ("stable", "weight", "generation", "why"),
    [
        ("blue", 25, 6, "is older than what is deployed"),
        ("blue", 50, 1, "is older than what is deployed"),
        ("blue", 50, 7, "is not what is deployed"),
        ("green", 25, 7, "is not what is deployed"),
    ],
)
def test_stale_or_unnumbered_is_refused_before_the_rule(
    stable: str, weight: int, generation: int, why: str
) -> None:
    recording: list[Recording] = []
    with pytest.raises(GenerationError) as refused:
        recording.append(run(stable, weight, generation, DEPLOYED))
    assert why in str(refused.value)
    assert "generation 7, stable blue, candidate weight 25 %" in str(refused.value)
    assert "pulumi config set simple378:generation 8 --stack prod-traffic" in str(refused.value)


def test_first_deployment_may_have_any_generation() -> None:
    check_generation(None, Traffic(1, BLUE, 0), "prod-traffic")


def test_without_a_foundation_says_what_to_deploy() -> None:
    with pytest.raises(StackError, match=r"stack prod has no output 'targetGroups'.*pulumi up --stack prod"):
        deploy("prod-traffic", TRAFFIC)
