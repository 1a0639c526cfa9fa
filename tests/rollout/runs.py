"""A rollout under test: the policy fed with events that are written as a replay file has them."""

from __future__ import annotations

from typing import Any

from rollout.plan import Plan, load_plan
from rollout.policy import State, decide, initial_state
from rollout.policy.events import parse_event

PLAN = load_plan("phase-c")


class Run:
    """A rollout under test: feed it events, look at the decisions of the last one and of all."""

    def __init__(self, plan: Plan = PLAN) -> None:
        self.plan = plan
        self.state: State = initial_state()
        self.all: list[dict[str, Any]] = []

    def __call__(self, t: float, event: str, **keys: Any) -> list[dict[str, Any]]:
        self.state, decisions = decide(self.plan, self.state, parse_event({"t": t, "event": event, **keys}))
        now = [decision.to_json() for decision in decisions]
        self.all += now
        return now

    def metrics(
        self, t: float, start: float, *, end: float | None = None, colour: str = "candidate", **keys: Any
    ) -> list[dict[str, Any]]:
        values = {"requests": 100, "errors": 0, "p95": 0.2, "db_connection_errors": 0} | keys
        return self(
            t, "metrics", colour=colour, start=start, end=start + 60 if end is None else end, **values
        )

    def ticks(self, start: int, stop: int, step: int = 1) -> list[dict[str, Any]]:
        return [decision for t in range(start, stop + 1, step) for decision in self(t, "tick")]


def brief(decisions: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(d["decision"], d.get("weight"), d["criterion"]) for d in decisions]


def at_weight(weight: int, plan: Plan = PLAN) -> tuple[Run, float]:
    """A rollout whose window at ``weight`` has just opened, and the time at which it did."""
    run = Run(plan)
    run(0, "started")
    t = 1.0
    run(t, "traffic", weight=5)
    for stage in plan.stages:
        if stage.weight == weight:
            return run, t
        t += stage.window
        start = t - 60
        if plan.criteria.comparison:
            run.metrics(t, start, colour="stable")
        run.metrics(t, start)
        assert run.all[-1]["decision"] == "set_weight", run.all
        t += 1
        run(t, "traffic", weight=run.all[-1]["weight"])
    raise AssertionError(weight)
