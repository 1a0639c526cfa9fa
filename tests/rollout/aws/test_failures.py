"""What a failed call of AWS says: the call, the resource, the reason, the fix."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from rollout.aws import failures
from rollout.aws.failures import AWS_ERRORS, failure

ACTION, RESOURCE = "elasticloadbalancing:ModifyRule", "rule arn:rule"


def answer(code: str, message: str = "the message") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "ModifyRule")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (
            NoCredentialsError(),
            "there are no usable AWS credentials (Unable to locate credentials); log in, or set AWS",
        ),
        (
            answer("ExpiredToken"),
            "the AWS credentials have expired (the message); log in, or set AWS_PROFILE",
        ),
        (
            answer("InvalidClientTokenId"),
            "AWS does not accept the credentials (InvalidClientTokenId: the message); log",
        ),
        (
            answer("AccessDenied"),
            "access denied (the message); the role of these credentials needs that right",
        ),
        (
            answer("ThrottlingException"),
            "throttled (ThrottlingException: the message); something calls this API too",
        ),
        (answer("RuleNotFound"), "RuleNotFound: the message"),
        (answer("RuleNotFound", ""), "RuleNotFound"),
        (
            EndpointConnectionError(endpoint_url="https://elb"),
            "no answer (Could not connect to the endpoint URL",
        ),
        (ConnectTimeoutError(endpoint_url="https://elb"), "no answer (Connect timeout on endpoint URL"),
        (ReadTimeoutError(endpoint_url="https://elb"), "no answer (Read timeout on endpoint URL"),
    ],
)
def test_a_failure_names_call_resource_reason_and_fix(error: Exception, why: str) -> None:
    assert isinstance(error, AWS_ERRORS)
    assert failure(error, ACTION, RESOURCE).startswith(f"{ACTION} of {RESOURCE} failed: {why}")


@pytest.mark.parametrize(
    "text", ["two\nlines", "\x1b[31mtwo\x1b[0m lines", "two\r\x07 lines", "two\u202e lines"]
)
def test_what_aws_says_is_one_line_of_plain_text(text: str) -> None:
    assert failure(answer("Other", text), ACTION, RESOURCE).endswith("Other: two lines")


def test_a_long_answer_is_cut() -> None:
    assert len(failure(answer("Other", "x" * 5000), ACTION, RESOURCE)) < 600


def test_the_example() -> None:
    names: dict[str, Any] = vars(failures)
    assert doctest.testmod(failures, extraglobs=names).failed == 0
