"""What holds of weight commands whatever comes in between: commands at any moment, faults of the stack and of the API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.control.testing import FakeTraffic, run_virtually
from tests.rollout.control.test_effects import Ledger, World

WEIGHTS = (0, 5, 25, 50, 100)


class Watched(FakeTraffic):
    """Traffic that notes what must never be; raised here it would only be one more fault of an adapter."""

    ledger: Ledger
    on_disk = 0  # records that were durable
    at_work = 0
    increasing = False  # the newest command is an increase

    def __init__(self) -> None:
        super().__init__()
        self.violations: list[str] = []

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self.at_work:
            self.violations.append("two engines at once")
        self.at_work += 1
        try:
            yield
        finally:
            self.at_work -= 1

    async def set_weight(self, weight: int, *, increase: bool) -> Mapping[str, Any]:
        if increase:
            intents = [
                number
                for number, (kind, body) in enumerate(self.ledger.records, start=1)
                if kind == "intent" and body["weight"] == weight
            ]
            if self.on_disk < intents[-1]:
                self.violations.append("an increase without a durable intent")
        with self._alone():
            done = await super().set_weight(weight, increase=increase)
        if increase and not self.increasing:
            self.violations.append("an increase that a decrease did not stop")
        return done

    async def break_glass(self, weight: int) -> Mapping[str, Any]:
        with self._alone():
            return await super().break_glass(weight)


@dataclass(frozen=True)
class Step:
    pause: float  # seconds before it
    weight: int
    fault: str = ""  # of the traffic from then on


STEPS = st.lists(
    st.builds(
        Step,
        pause=st.sampled_from((0, 0.1, 0.6, 1.5, 2.6, 4, 30)),
        weight=st.sampled_from(WEIGHTS),
        fault=st.sampled_from(("", "", "broken_stack", "hanging_stack", "broken_api")),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(steps=STEPS, disk=st.sampled_from((0.0, 0.3, 5.0)))
def test_the_last_command_counts_and_a_decrease_always_arrives(steps: list[Step], disk: float) -> None:
    async def work() -> None:
        traffic = Watched()
        world = World(traffic)
        traffic.ledger = world.ledger

        async def durable() -> None:
            written = len(world.ledger.records)
            await asyncio.sleep(disk)
            traffic.on_disk = max(traffic.on_disk, written)

        world.ledger.disk = durable
        commanded, increase = 0, False
        for effect, step in enumerate(steps, start=1):
            await asyncio.sleep(step.pause)
            for fault in ("broken_stack", "hanging_stack", "broken_api"):
                setattr(traffic, fault, fault == step.fault)
            increase = step.weight > max(commanded, traffic.weight)
            commanded, traffic.increasing = step.weight, increase
            world.to(step.weight, increase=increase, effect=effect)
        traffic.broken_api = False
        await world.effects.drain(600)
        assert traffic.violations == []
        last = world.ledger.results("set_weight")[-1]
        if not increase:
            assert traffic.weight == commanded
            assert last["ok"] or last.get("joined")
        else:
            assert traffic.weight <= commanded
            assert last["ok"] == (traffic.weight == commanded)
        assert len({body["effect"] for kind, body in world.ledger.records if kind == "result"}) == len(steps)

    run_virtually(work())
