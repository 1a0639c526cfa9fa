"""What holds for the policy whatever happens: a Hypothesis state machine drives it with any legal events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rollout.plan import Comparison, Rollback, load_plan
from rollout.policy import IllegalEvent, Phase, decide, initial_state
from rollout.policy.events import Decision, DecisionKind, Event, Metrics, event_to_json, parse_event

PLAN = load_plan("phase-c")
LEGAL_WEIGHTS = {0.0, *(float(s.weight) for s in PLAN.stages)}
gaps = st.sampled_from([0.0, 0.5, 1.0, 5.0, 30.0, 61.0, 125.0, 400.0])


class Policy(RuleBasedStateMachine):
    plan = PLAN

    def __init__(self) -> None:
        super().__init__()
        self.state = initial_state()
        self.events: list[Event] = []
        self.decisions: list[Decision] = []
        self.t = 0.0
        self.adopted: set[float] = set()
        self.aborted = False
        self.hear("started")

    def hear(self, kind: str, **keys: Any) -> None:
        event = parse_event({"t": self.t, "event": kind, **keys})
        assert parse_event(event_to_json(event)) == event
        before = self.state
        try:
            after, decisions = decide(self.plan, before, event)
        except IllegalEvent:
            assert kind == "operator"
            return
        self.events.append(event)
        self.check(before.commanded, before.phase, decisions, kind)
        self.state = after
        self.decisions += decisions

    def check(self, commanded: float, phase: Phase, decisions: tuple[Decision, ...], kind: str) -> None:
        weights = [d for d in decisions if d.decision is DecisionKind.SET_WEIGHT]
        for decision in weights:
            assert decision.weight is not None
            if decision.weight > commanded:  # only a passed stage, the start or a resume may raise the weight
                assert decision.criterion in ("stage_passed", "started", "operator")
                following = PLAN.above(commanded)
                assert following is not None and following.weight == decision.weight  # nothing is skipped
                assert not self.aborted
            commanded = decision.weight
        for decision in decisions:
            assert decision.reason and decision.event == kind
        if kind in ("metrics_error", "alarm"):
            assert not any(d.criterion in ("error_rate", "latency_p95") for d in weights)

    @rule(gap=gaps)
    def tick(self, gap: float) -> None:
        self.t += gap
        self.hear("tick")

    @rule(gap=st.sampled_from([20.0, 300.0, 2000.0]))
    def resumed(self, gap: float) -> None:
        """Nobody watched: nothing rises by what fell due meanwhile."""
        before, since = self.state.commanded, self.t
        self.t += gap
        self.hear("resumed", since=since)
        assert self.state.commanded <= before

    @rule(gap=gaps, where=st.sampled_from(["commanded", "before", 0, 3, 5, 25, 60, 100]))
    def traffic(self, gap: float, where: Any) -> None:
        self.t += gap
        weight = where if isinstance(where, int) else getattr(self.state, where)
        if weight < self.state.commanded:
            self.adopted.add(weight)
        self.hear("traffic", weight=weight)

    @rule(gap=gaps, colour=st.sampled_from(["candidate", "stable"]), bad=st.booleans())
    def health(self, gap: float, colour: str, bad: bool) -> None:
        self.t += gap
        self.hear("health", colour=colour, failed=["deep"] if bad else [])

    @rule(
        gap=gaps,
        age=st.sampled_from([0.0, 30.0, 90.0, 200.0]),
        colour=st.sampled_from(["candidate", "candidate", "stable"]),
        requests=st.sampled_from([None, 0, 100, 100, 100]),
        errors=st.sampled_from([None, 0, 0, 0, 1, 3]),
        p95=st.sampled_from([None, 0.2, 0.2, 0.2, 2.0, 2.5]),
        db=st.sampled_from([None, 0, 0, 0, 0, 2]),
    )
    def metrics(self, gap: float, age: float, colour: str, **values: Any) -> None:
        self.t += gap
        end = self.t - age
        values["db_connection_errors"] = values.pop("db")
        if not values["requests"]:
            values["errors"] = None
        self.hear("metrics", colour=colour, start=end - 60, end=end, **values)

    @rule(gap=gaps, limited=st.sampled_from([0, 20, 500]))
    def edge(self, gap: float, limited: int) -> None:
        self.t += gap
        self.hear("metrics", colour="edge", start=self.t - 60, end=self.t, requests=500, rate_limited=limited)

    @rule(gap=gaps, value=st.sampled_from([500, 1500, 9000]))
    def limit(self, gap: float, value: int) -> None:
        self.t += gap
        self.hear("limit", value=value)

    @rule(command=st.sampled_from(["pause", "resume", "abort"]))
    def operator(self, command: str) -> None:
        self.hear("operator", command=command)
        if command == "abort" and self.state.phase is not Phase.FINISHED:
            assert self.state.commanded == 0 and self.state.phase in (Phase.ABORTED, Phase.VERIFYING)

    @invariant()
    def the_weight_is_a_stage_zero_or_adopted(self) -> None:
        assert self.state.commanded in LEGAL_WEIGHTS | self.adopted

    @invariant()
    def an_abort_is_for_good(self) -> None:
        self.aborted |= self.state.phase in (Phase.ABORTED, Phase.VERIFYING)
        if self.aborted:
            assert self.state.commanded == 0

    @invariant()
    def promotion_needs_every_window(self) -> None:
        if any(d.decision is DecisionKind.PROMOTE for d in self.decisions):
            assert self.state.phase is Phase.FINISHED and self.state.commanded == 100
            assert self.t >= sum(s.window for s in PLAN.stages)

    @invariant()
    def nothing_is_promoted_that_did_not_bake_to_the_end(self) -> None:
        """The bake follows the last command, no hold follows it, and no metric period is told whose like was not good."""
        kinds = [d.decision for d in self.decisions]
        if DecisionKind.PROMOTE not in kinds:
            return
        promoted = kinds.index(DecisionKind.PROMOTE)
        baked = max(i for i, kind in enumerate(kinds[:promoted]) if kind is DecisionKind.BAKE)
        assert not {DecisionKind.SET_WEIGHT, DecisionKind.HOLD} & set(kinds[baked:promoted])
        assert self.state.baking_since >= self.decisions[baked].t
        opened = self.state.window_start
        assert opened is not None and self.t >= opened + PLAN.stages[-1].window
        told = [p for p in self.state.periods if isinstance(p, Metrics) and p.role == "candidate"]
        since = [p for p in told if p.start >= opened]
        assert max(p.end for p in since) >= self.state.baking_since

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.state.periods) <= 64 and len(self.state.seen_history) <= 64

    def teardown(self) -> None:
        state = initial_state()
        again: list[Decision] = []
        for event in self.events:  # the same events always give the same decisions
            state, decisions = decide(self.plan, state, event)
            again += decisions
        assert again == self.decisions


class WithOptions(Policy):
    """The same rules hold for a plan that uses every option."""

    plan = PLAN.with_criteria(
        error_rate=replace(PLAN.criteria.error_rate, breaches=2, of=3, min_requests=100),
        latency_p95=replace(PLAN.criteria.latency_p95, breaches=2, of=2),
        comparison=Comparison(20, 0.5, Rollback.PREVIOUS),
    )


TestOptions = WithOptions.TestCase
TestOptions.settings = settings(max_examples=75, stateful_step_count=40, deadline=None)
TestPolicy = Policy.TestCase
TestPolicy.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
