"""What pre-flight says of a foundation that was changed by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pulumi.automation import CommandError, CommandResult

from rollout.procedure import drift

URN = "urn:pulumi:prod::simple378::simple378:edge:LoadBalancer$aws:lb/listener:Listener::edge-listener"


class FakeEngine:
    """Stand-in for the engine: what its preview answers, or raises, after ``seconds``."""

    def __init__(self, answer: Any, seconds: float = 0) -> None:
        self.answer, self.seconds = answer, seconds
        self.ran: tuple[str, ...] = ()

    async def json(self, stack: str, *args: str) -> Any:
        self.ran = (stack, *args)
        await asyncio.sleep(self.seconds)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def problem(engine: FakeEngine) -> str:
    return asyncio.run(drift.problem(engine, "prod"))  # type: ignore[arg-type]


def test_nothing_to_change() -> None:
    steps = [{"op": op, "urn": URN} for op in ("same", "read", "refresh")]
    engine = FakeEngine({"steps": steps})
    assert problem(engine) == ""
    assert engine.ran == ("prod", "preview", "--refresh", "--show-sames", "--json")


def test_what_would_change_is_named() -> None:
    steps = [
        {"op": "update", "urn": URN, "detailedDiff": {"defaultActions[0].type": {}, "port": {}}},
        {"op": "create", "urn": "urn::from-cloudfront"},
    ]
    assert problem(FakeEngine({"steps": steps})) == (
        "prod is not as its program declares, an update would update edge-listener (defaultActions[0].type, port), create "
        "from-cloudfront; look at `pulumi preview --refresh -s prod`, then `pulumi up --refresh -s prod`"
    )
    many = [{"op": "delete", "urn": f"urn::rule-{n}"} for n in range(8)]
    assert "delete rule-4 and 3 more; " in problem(FakeEngine({"steps": many}))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (CommandError(CommandResult("", "error: no passphrase", 255)), "failed: no passphrase"),
        (ValueError("Expecting value"), "printed no JSON: Expecting value"),
    ],
)
def test_what_is_not_known_is_not_well(answer: Exception, said: str) -> None:
    assert problem(FakeEngine(answer)) == f"`pulumi preview --refresh -s prod` {said}"


def test_it_takes_no_longer_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "LIMIT", 0.01)
    assert "did not end within 0.01 s: run it by hand" in problem(FakeEngine({}, seconds=5))
