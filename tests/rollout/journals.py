"""Hand-made journals: the policy decides on a small scripted world, at time scale 10."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.journal import Record, utc
from rollout.journal.header import FORMAT
from rollout.plan import parse_plan, plan_text
from rollout.policy import RULES, IllegalEvent, Phase, decide, initial_state
from rollout.policy.events import (
    Decision,
    Event,
    Health,
    Metrics,
    MetricsError,
    Operator,
    Started,
    Tick,
    Traffic,
    event_to_json,
)

START = 1_766_196_000.0  # 2025-12-20 02:00:00 UTC
SCALE = 10.0
PERIOD = 6.0
DELAY = 9.0  # from a period's end to its publication
RATE = 100  # requests per second on both sides together

Measured = Mapping[str, Any]  # errors (share), p95 (s), db (count)
GOOD: Measured = {"errors": 0.0002, "p95": 0.12, "db": 0}


@dataclass
class World:
    """What the candidate does. ``candidate(weight)`` measures it; a failed metrics query is an empty mapping."""

    candidate: Callable[[float], Measured] = lambda weight: GOOD
    failed_probes: Callable[[float], tuple[str, ...]] = lambda t: ()
    operator: Mapping[float, str] = field(default_factory=dict)  # t -> command
    stop_at: float = 400.0
    update_s: float = 1.8
    no_data: bool = False
    query_fails: bool = False


@dataclass
class _Writer:
    records: list[Record] = field(default_factory=list)

    def add(self, kind: str, t: float, body: Mapping[str, Any]) -> int:
        seq = len(self.records) + 1
        self.records.append(Record(seq, utc(START + t), kind, round(t, 3), body))
        return seq


def header(**more: Any) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "policy": RULES,
        "plan": plan_text("phase-c")[0],
        "time_scale": SCALE,
        "env": "local",
        "stable": "blue",
        "candidate": "green",
        "versions": {"stable": "v1", "candidate": "v2"},
        "start": START,
    } | more


class _Run:
    """The policy against a world, on a clock of tenths of seconds, journaled as the controller does."""

    def __init__(self, world: World, **more: Any) -> None:
        self.world, self.state = world, initial_state()
        begins = header(**more)
        self.plan = parse_plan(begins["plan"]).scaled(SCALE)
        self.journal = _Writer()
        self.journal.add("rollout", 0, begins)
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.begins = Started(0, undo=begins.get("kind") == "undo", reason=begins.get("reason") or None)
        self.history = [(0.0, 100.0 if self.begins.undo else 0.0)]  # (t, weight) at the load balancer

    def run(self) -> tuple[Record, ...]:
        self.hear(self.begins)
        for step in range(1, int(self.world.stop_at * 10)):
            self._finish_due(step / 10)
            if self.state.phase is Phase.FINISHED and not self.due:
                break
            self._step(step)
        return tuple(self.journal.records)

    def _step(self, step: int) -> None:
        t, world = step / 10, self.world
        if t in world.operator:
            self.hear(Operator(t, world.operator[t]))
        if step % 5 == 0:
            self.hear(Health(t, "candidate", world.failed_probes(t)))
            self.hear(Health(t, "stable", ()))
            self.hear(Tick(t))
        start = t - DELAY - PERIOD
        if start >= 0 and step % int(PERIOD * 10) == int(DELAY * 10) % int(PERIOD * 10):
            self._publish(t, start)

    def hear(self, event: Event) -> None:
        try:
            self.state, decisions = decide(self.plan, self.state, event)
        except IllegalEvent as error:
            self.journal.add("rejected", event.t, {**event_to_json(event), "why": str(error)})
            return
        self.journal.add("event", event.t, event_to_json(event))
        for decision in decisions:
            self._act(self.journal.add("decision", event.t, decision.to_json()), decision)

    def _act(self, effect: int, decision: Decision) -> None:
        if decision.decision not in ("set_weight", "promote"):
            return
        name = {"effect": effect, "act": decision.decision.value}
        self.journal.add("intent", decision.t, {**name, "weight": decision.weight})
        done = decision.t + self.world.update_s

        def finish() -> None:
            self.journal.add("result", done, {**name, "ok": True, "preview_s": 0.6, "update_s": 1.1})
            if decision.decision == "set_weight" and decision.weight is not None:
                self.history.append((done, decision.weight))
                self.hear(Traffic(done, decision.weight))

        self.due.append((done, finish))

    def _finish_due(self, t: float) -> None:
        for item in sorted(self.due, key=lambda item: item[0]):
            if item[0] <= t:
                self.due.remove(item)
                item[1]()

    def _publish(self, t: float, start: float) -> None:
        if self.world.query_fails:
            self.hear(MetricsError(t, "Throttling: Rate exceeded"))
            return
        weight = [weight for since, weight in self.history if since <= start + PERIOD / 2][-1]
        for colour, share, measured in (
            ("candidate", weight / 100, self.world.candidate(weight)),
            ("stable", 1 - weight / 100, GOOD),
        ):
            requests = int(RATE * PERIOD * share)
            if self.world.no_data and weight and colour == "candidate":
                self.hear(Metrics(t, colour, start, start + PERIOD, requests=0))
            elif requests:
                errors = round(requests * measured["errors"])
                how = {"what": "attribution", "colour": colour, "start": start, "target_5xx": errors}
                self.journal.add("note", t, {**how, "unanswered": 0, "elb_502_504": 0})
                end = start + PERIOD
                self.hear(Metrics(t, colour, start, end, requests, errors, measured["p95"], measured["db"]))


def make(world: World, **more: Any) -> tuple[Record, ...]:
    return _Run(world, **more).run()


def good_release(**more: Any) -> tuple[Record, ...]:
    return make(World(), **more)


def bad_release(**more: Any) -> tuple[Record, ...]:
    """5 % of the candidate's requests fail."""
    return make(World(candidate=lambda weight: {**GOOD, "errors": 0.053}), **more)


def slow_at_half(**more: Any) -> tuple[Record, ...]:
    """P95 is above its limit from 50 % on; held at 25 %, then resumed by a person, then aborted."""
    slow = {**GOOD, "p95": 2.31, "errors": 0.004}
    return make(
        World(
            candidate=lambda weight: slow if weight >= 50 else GOOD, operator={95.0: "resume", 130.0: "abort"}
        ),
        **more,
    )


def failing_probe(**more: Any) -> tuple[Record, ...]:
    return make(World(failed_probes=lambda t: ("deep",) if t > 9 else ()), **more)


def metrics_missing(**more: Any) -> tuple[Record, ...]:
    return make(World(no_data=True), **more)


def metrics_failing(**more: Any) -> tuple[Record, ...]:
    return make(World(query_fails=True), **more)


def undone(**more: Any) -> tuple[Record, ...]:
    """A promoted release is taken back by the operator."""
    return make(World(), **{"kind": "undo", "reason": "orders are lost"} | more)
