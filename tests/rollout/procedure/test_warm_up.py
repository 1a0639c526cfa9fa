"""The candidate is warmed up before its first users, if the plan asks for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import httpx
import pytest

from rollout.aws.probes import COLOUR_HEADER, TEST_HEADER, HttpProbes, ProbeLog
from rollout.control.testing import run_virtually
from rollout.journal.notes import WarmedUp, note_to_json, parse_note
from rollout.plan import PlanError, WarmUp, load_plan, parse_plan, plan_text
from rollout.procedure.warm_up import in_words, warm_up

PHASE_C = plan_text("phase-c")[0]


@dataclass
class Colour:
    """``wrong``: what is wrong with the n-th answer."""

    wrong: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.1
    asked: list[tuple[str, str]] = field(default_factory=list)
    at_once: int = 0
    most: int = 0

    async def ask(self, role: str, path: str) -> str:
        number = len(self.asked)
        self.asked.append((role, path))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(self.seconds)
        self.at_once -= 1
        return self.wrong.get(number, "")


def warmed(rule: WarmUp, colour: Colour, limit: float | None = None) -> tuple[WarmedUp, list[str]]:
    said: list[str] = []
    return run_virtually(warm_up(rule, "candidate", colour.ask, said.append, limit=limit)), said


def test_so_many_requests_are_sent_so_many_at_a_time() -> None:
    colour = Colour()
    found, said = warmed(WarmUp(50, 7, "/api"), colour)
    assert (found.requests, found.failed, colour.most) == (50, 0, 7)
    assert colour.asked == [("candidate", "/api")] * 50
    assert said == ["warmed up candidate: 50 requests in 0.8 s"]
    assert warmed(WarmUp(3, 10), Colour())[0].requests == 3


def test_it_says_how_far_it_is() -> None:
    _, said = warmed(WarmUp(12, 1), Colour(seconds=1))
    assert said[0] == "warming up candidate: 5 of 12 requests"


def test_what_fails_is_named() -> None:
    wrong = {3: "500", 5: "500", 8: "no answer within 2 s"}
    found, said = warmed(WarmUp(20), Colour(wrong), 30)
    assert found.failed == 3
    assert in_words(found) == "3 of 20 requests failed: 500 (2), no answer within 2 s (1)"
    assert said == [f"warmed up candidate: {in_words(found)} in 0.2 s"]
    assert parse_note(note_to_json(found)) == found


def test_the_first_failure_ends_that_of_a_release() -> None:
    colour = Colour({3: "500"})
    found, _ = warmed(WarmUp(200, 1), colour)
    assert (found.failed, found.requests, len(colour.asked)) == (1, 4, 4)


def test_that_of_an_undo_has_a_time_limit() -> None:
    found, said = warmed(WarmUp(200, 2), Colour(seconds=9), 30)
    assert (found.requests, found.failed, found.took_s) == (6, 0, 30)
    assert said[-1] == "warmed up candidate: 6 requests in 30 s, of the 200 that the plan asks for"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("{requests: 0}", "warm_up.requests is 0: it takes a whole number from 1"),
        ("{requests: 10, concurrency: 0}", "warm_up.concurrency is 0"),
        ("{requests: 10, path: api}", "warm_up.path is api: a path begins with /"),
        ("{concurrency: 3}", "warm_up.requests: this key is missing"),
    ],
)
def test_a_plan_with_a_wrong_warm_up_is_refused(keys: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        parse_plan(f"{PHASE_C}warm_up: {keys}\n")


def test_the_guide_asks_for_none() -> None:
    assert load_plan("phase-c").warm_up is None
    assert parse_plan(f"{PHASE_C}warm_up: {{requests: 9}}\n").scaled(10).warm_up == WarmUp(9, 10, "/")


@pytest.mark.parametrize(
    ("status", "colour", "wrong"),
    [(200, "green", ""), (302, "green", ""), (404, "green", "404"), (200, "blue", "another colour answered")],
)
async def test_a_request_goes_through_the_test_route(status: int, colour: str, wrong: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers[TEST_HEADER] == "s"
        assert (request.headers[COLOUR_HEADER], request.url.path) == ("green", "/api")
        return httpx.Response(status, headers={COLOUR_HEADER: colour})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        probes = HttpProbes(
            client, None, "http://alb", "s", {"candidate": "green"}, {}, 2, ProbeLog(lambda: 0.0)
        )
        assert await probes.ask("candidate", "/api") == wrong
