"""Names of stacks, and what is read from them."""

from __future__ import annotations

import pytest

from infra.stacks import Colour, Layer, OtherStack, StackError, StackName, parse_stack_name


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("prod", StackName("prod", "prod", Layer.FOUNDATION, None)),
        ("prod-blue", StackName("prod-blue", "prod", Layer.COLOUR, Colour.BLUE)),
        ("local-green", StackName("local-green", "local", Layer.COLOUR, Colour.GREEN)),
        ("local2-traffic", StackName("local2-traffic", "local2", Layer.TRAFFIC, None)),
        ("prod-limits", StackName("prod-limits", "prod", Layer.LIMITS, None)),
        ("prod-guardian", StackName("prod-guardian", "prod", Layer.GUARDIAN, None)),
        ("prod-frontend", StackName("prod-frontend", "prod", Layer.FRONTEND, None)),
    ],
)
def test_layer_of_a_name(name: str, parsed: StackName) -> None:
    assert parse_stack_name(name) == parsed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "prod-backend",
            "belongs to no layer: the layers of 'prod' are prod, prod-blue, prod-green, prod-traffic, prod-limits, prod-guardian, prod-frontend",
        ),
        ("prod-", "belongs to no layer"),
        ("prod-eu-blue", "belongs to no layer"),
        ("Prod", "must be a letter followed by"),
        ("aVeryLongEnvironment", "must be a letter"),
        ("averylongenvironment", "at most 10"),
        ("-blue", "must be a letter"),
    ],
)
def test_names_of_no_layer(name: str, message: str) -> None:
    with pytest.raises(StackError) as refused:
        parse_stack_name(name)
    assert message in str(refused.value)


def test_longest_names_fit_into_a_target_group() -> None:
    assert len(f"{parse_stack_name('a' * 10).resource_prefix}-green-probe") <= 32


def test_a_missing_output_names_the_stack_and_the_command() -> None:
    stack = OtherStack("prod", {"vpcId": "vpc-1"}, ())
    assert stack.require("vpcId") == "vpc-1"
    assert stack.get("nothing") is None
    for read in (stack.require, stack.require_secret):
        with pytest.raises(
            StackError, match=r"stack prod has no output 'nothing' yet: .*`pulumi up --stack prod`"
        ):
            read("nothing")


def test_a_secret_output_is_not_read_in_clear() -> None:
    with pytest.raises(TypeError, match="is a secret"):
        OtherStack("prod", {"originSecret": "x"}, ["originSecret"]).require("originSecret")
