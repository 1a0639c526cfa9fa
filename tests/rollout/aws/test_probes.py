"""Probes: what passes, what fails, and that one that hangs fails at its time-out."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from rollout.aws.probes import COLOUR_HEADER, DIGEST_HEADER, TEST_HEADER, VERSION_HEADER, HttpProbes, ProbeLog

COLOURS = {"candidate": "green", "stable": "blue"}


class Targets:
    """Stand-in for boto3's elbv2 client. ``others``: states in the target groups of these ARNs."""

    def __init__(self, *states: str, **others: tuple[str, ...]) -> None:
        self.states, self.others = states, others

    def describe_target_health(self, **request: Any) -> Any:
        return {
            "TargetHealthDescriptions": [
                {"Target": {"Id": f"10.0.0.{n}"}, "TargetHealth": {"State": state}}
                for n, state in enumerate(self.others.get(request["TargetGroupArn"], self.states))
            ]
        }


def probes(answer: Any, elbv2: Any = None, timeout: float = 2.0) -> HttpProbes:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    groups = {role: (colour, f"{colour}_probe") for role, colour in COLOURS.items()}
    log = ProbeLog(lambda: 0.0)
    elbv2 = elbv2 or Targets("healthy")
    return HttpProbes(client, elbv2, "http://lb", "secret-of-test", COLOURS, groups, timeout, log)


def round_of(one: HttpProbes, role: str = "candidate") -> tuple[str, ...]:
    return asyncio.run(one.round(role)).failed


def good(request: httpx.Request) -> httpx.Response:
    assert request.headers[TEST_HEADER] == "secret-of-test"
    return httpx.Response(200, headers={COLOUR_HEADER: request.headers[COLOUR_HEADER]})


def test_a_clean_round() -> None:
    one = probes(good)
    assert round_of(one) == ()
    assert round_of(one, "stable") == ()
    assert one.log.counted("candidate", 0, 1) == {}, "they are in no count of the users'"


@pytest.mark.parametrize("path", ["/health", "/ready", "/deep"])
def test_each_probe_fails_by_itself(path: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(503, headers={COLOUR_HEADER: "green"})
            if request.url.path == path
            else good(request)
        )

    one = probes(answer)
    assert round_of(one) == (path[1:],)
    assert one.log.counted("candidate", 0, 1) == {}


def versions_of(*headers: dict[str, str], colour: str = "green") -> tuple[str, ...]:
    """The versions of a round whose answers have these headers, path by path."""
    paths = dict(zip(("/health", "/ready", "/deep"), headers, strict=True))

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={COLOUR_HEADER: colour, **paths[request.url.path]})

    return asyncio.run(probes(answer).round("candidate")).versions


def test_a_round_says_each_version_that_answered() -> None:
    one, two = {VERSION_HEADER: "2.0.0"}, {VERSION_HEADER: "2.0.1"}
    assert versions_of(two, one, one) == ("2.0.0", "2.0.1")
    assert versions_of(one, one | {DIGEST_HEADER: "sha256:aa"}, {}) == ("2.0.0", "2.0.0@sha256:aa")
    assert versions_of({}, {VERSION_HEADER: " "}, {DIGEST_HEADER: "sha256:aa"}) == ()
    assert versions_of(one, one, one, colour="blue") == ()
    assert [len(text) for text in versions_of({}, {}, {VERSION_HEADER: "9" * 500})] == [100]


def test_an_answer_of_the_other_colour_is_a_failure() -> None:
    assert round_of(probes(lambda request: httpx.Response(200, headers={COLOUR_HEADER: "blue"}))) == (
        "health",
        "ready",
        "deep",
    )


def test_an_answer_of_the_load_balancer_is_counted_as_its_own() -> None:
    one = probes(lambda request: httpx.Response(502))
    assert round_of(one) == ("health", "ready", "deep")
    assert one.log.counted("candidate", 0, 1) == {"elb_502": 3}


def test_nobody_answers() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert round_of(probes(refuse)) == ("health", "ready", "deep")


@pytest.mark.parametrize(
    ("states", "failed"),
    [
        (("healthy", "healthy"), ()),
        (("healthy", "unhealthy"), ("targets",)),
        (("initial",), ("targets",)),
        (("healthy", "healthy", "healthy", "initial"), ()),
        (("initial", "unhealthy", "healthy"), ("targets",)),
        ((), ("targets",)),
        (("healthy", "draining"), ()),
        (("draining",), ("targets",)),
    ],
)
def test_every_registered_target_must_be_healthy_and_there_must_be_one(
    states: tuple[str, ...], failed: tuple[str, ...]
) -> None:
    assert round_of(probes(good, Targets(*states))) == failed


@pytest.mark.parametrize("group", ["green", "green_probe"])
def test_the_targets_of_users_and_those_of_probes_are_asked(group: str) -> None:
    others = {group: ("unhealthy", "healthy")}
    assert round_of(probes(good, Targets("healthy", **others))) == ("targets",)
    assert round_of(probes(good, Targets("healthy", **others)), "stable") == ()


def test_a_probe_that_hangs_fails_at_its_time_out() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/deep":
            await asyncio.Event().wait()
        return good(request)

    began = time.monotonic()
    assert round_of(probes(hang, timeout=0.05)) == ("deep",)
    assert time.monotonic() - began < 1
