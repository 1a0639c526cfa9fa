"""What happened in a rollout, from its journal: stages with verdicts, the incident, effects, metric periods.

The policy receives the events of the journal once more, so a stage's window, its good periods and why it ended are
what the policy saw and not a second interpretation. All times are seconds from the start of the rollout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rollout.journal import JournalError, Record
from rollout.journal.header import Header
from rollout.journal.notes import Attributed, Note, Reconciled, note_to_json
from rollout.plan import WHOLE, Plan, PlanError
from rollout.plan.criteria import CRITERIA
from rollout.policy import IllegalEvent, Phase, State, decide, initial_state, judge, verification
from rollout.policy.events import (
    BadEvent,
    Decision,
    EdgeMetrics,
    Event,
    Health,
    Metrics,
    Reason,
    Traffic,
    parse_event,
)
from rollout.policy.state import AT_WORK, changed
from rollout.policy.timeline import Retreat, Timeline

Body = Mapping[str, Any]


class Verdict(StrEnum):
    """How a stage ended."""

    SUCCESSFUL = "successful"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"  # too little data, or cut short by a person
    ERROR = "error"  # could not measure, or could not move the traffic
    OPEN = "open"  # the journal ends inside it


_VERDICTS = {
    Reason.STAGE_PASSED: Verdict.SUCCESSFUL,
    **{Reason(row.key): Verdict.FAILED for row in CRITERIA},
    Reason.COMPARISON: Verdict.FAILED,
    Reason.HEALTH: Verdict.FAILED,
    Reason.ALARM: Verdict.FAILED,
    Reason.INCONCLUSIVE: Verdict.INCONCLUSIVE,
    Reason.OPERATOR: Verdict.INCONCLUSIVE,
    Reason.HOLD_TIMEOUT: Verdict.INCONCLUSIVE,
    Reason.BLIND: Verdict.ERROR,
    Reason.TRAFFIC: Verdict.ERROR,
    Reason.FRONT_DOOR: Verdict.ERROR,
    Reason.IDENTITY: Verdict.ERROR,
    Reason.PREFLIGHT: Verdict.ERROR,
    Reason.TRAFFIC_MISSING: Verdict.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True)
class StageVisit:
    """One stay at a stage: its window opened when the weight was read back (``None``: it never was)."""

    weight: float
    window: float
    commanded_s: float
    seen_s: float | None
    left_s: float | None
    good_periods: int
    periods: int
    verdict: Verdict
    reason: str
    bake: bool = False  # after the last stage


@dataclass(frozen=True, slots=True)
class Effect:
    """One act on the world: when it was tried, when it ended (``None``: never), and what came of it."""

    act: str
    t: float
    ended: float | None
    took: float | None  # seconds; ``None``: it never ended, or the journal does not say
    ok: bool
    body: Body

    @property
    def stack_update(self) -> bool:
        """It was an update of a stack that was done (not an API call, not one that was stopped or joined)."""
        acts = ("set_weight", "promote", "raise_rate_limit", "reconcile")
        return self.act in acts and self.ok and not {"break_glass", "joined"} & self.body.keys()


@dataclass(frozen=True, slots=True)
class Account:
    """A rollout as its journal tells it; ``plan`` is scaled, so its durations are what the clocks really ran."""

    header: Header
    plan: Plan
    started: str
    ended_s: float
    phase: Phase
    stages: tuple[StageVisit, ...]
    commanded: tuple[tuple[float, float], ...]  # (t, weight)
    seen: tuple[tuple[float, float], ...]  # (t, weight) at each change
    periods: tuple[Metrics, ...]
    details: Mapping[
        tuple[str, float], Attributed
    ]  # (role, start of the period) -> how its numbers came about
    edge: tuple[EdgeMetrics, ...]
    rounds: tuple[Health, ...]
    decisions: tuple[Body, ...]
    effects: tuple[Effect, ...]
    notes: tuple[tuple[float, Note], ...]
    rejected: tuple[tuple[float, Body], ...]
    retreats: tuple[Retreat, ...]
    watched: tuple[Metrics, ...]  # stable's periods by which it was verified after an abort, or was not
    breach_s: float | None  # end of the first metric period, or the first probe round, that breached

    @property
    def time_scale(self) -> float:
        return self.header.time_scale

    @property
    def stable(self) -> str:
        """Its colour, as :attr:`candidate` is."""
        return self.header.stable

    @property
    def candidate(self) -> str:
        return self.header.candidate

    @property
    def outcome(self) -> str:
        """``promoted``, ``aborted``, ``undone``, ``watched``, ``held`` (traffic stays, a person decides) or ``unfinished``."""
        finish = self.finish
        if finish:
            return str(finish["outcome"])
        return "held" if self.phase in (Phase.HELD, Phase.PAUSED) else "unfinished"

    @property
    def finish(self) -> Body | None:
        return next((d for d in self.decisions if d["decision"] == "finish"), None)

    @property
    def first_weight(self) -> float:
        """The candidate's when it began."""
        return float(WHOLE) if self.header.promoted else 0.0

    @property
    def final_weight(self) -> float:
        return self.seen[-1][1] if self.seen else self.first_weight

    @property
    def highest_weight(self) -> float:
        return max(self.first_weight, *(weight for _, weight in self.seen), 0.0)

    @property
    def stack_updates(self) -> tuple[Effect, ...]:
        return tuple(effect for effect in self.effects if effect.stack_update)

    @property
    def deadlines_missed(self) -> int:
        """How many of the guide's deadlines (T+1 to T+5) the retreats missed, all together."""
        return sum(len(retreat.late(self.plan)) for retreat in self.retreats)

    def of(self, role: str) -> list[Metrics]:
        return [period for period in self.periods if period.role == role]


@dataclass(slots=True)
class _Reader:
    """Receives the journal's events in order and keeps what the account needs."""

    plan: Plan
    timeline: Timeline
    state: State = field(default_factory=initial_state)
    breach_s: float | None = None
    stages: list[StageVisit] = field(default_factory=list)
    commanded: list[tuple[float, float]] = field(default_factory=list)
    seen: list[tuple[float, float]] = field(default_factory=list)
    periods: dict[tuple[str, float, float], Metrics] = field(default_factory=dict)
    edge: dict[float, EdgeMetrics] = field(default_factory=dict)
    rounds: list[Health] = field(default_factory=list)

    def receive(self, event: Event) -> None:
        before = self.state
        try:
            self.state, decisions = decide(self.plan, self.state, event)
        except IllegalEvent:
            return  # journaled as rejected
        self.timeline.receive(event, decisions)
        if self.breach_s is None:
            self.breach_s = self._breach(event, decisions)
        match event:
            case Traffic(t=t, weight=weight):
                if not self.seen or self.seen[-1][1] != weight:
                    self.seen.append((t, weight))
            case Metrics():
                self.periods[event.role, event.start, event.end] = event
            case EdgeMetrics():
                self.edge[event.start] = event
            case Health():
                self.rounds.append(event)
        if decisions and before.phase in AT_WORK:
            self._leave(before, [d.to_json() for d in decisions])
        self.commanded += [
            (d.t, d.weight) for d in decisions if d.decision == "set_weight" and d.weight is not None
        ]

    def _breach(self, event: Event, decisions: Sequence[Decision]) -> float | None:
        if isinstance(event, Metrics) and any(decision.breaches for decision in decisions):
            return event.end
        # A time-out that a round of probes has let fall due is no breach of health.
        by_rounds = (r for r in self.timeline.retreats if r.criterion in (Reason.HEALTH, Reason.FRONT_DOOR))
        return next((retreat.detected for retreat in by_rounds), None)

    def _leave(self, before: State, decisions: Sequence[Body]) -> None:
        """Closes the stage that ``before`` was in, if these decisions ended it."""
        after = self.state
        stays = after.phase is before.phase and after.window_start == before.window_start
        if stays and after.commanded == before.commanded:
            return
        if before.phase is Phase.MOVING and after.phase is Phase.WATCHING:
            return  # its window has just opened
        ending = next(
            (d for d in decisions if d["decision"] in ("set_weight", "hold", "bake", "promote")), None
        )
        if ending is None:
            return
        self.stages.append(
            self.visit(before, ending["t"], _VERDICTS[ending["criterion"]], str(ending["reason"]))
        )

    def visit(self, state: State, left: float | None, verdict: Verdict, reason: str) -> StageVisit:
        opened = state.window_start if state.phase in (Phase.WATCHING, Phase.BAKING) else None
        baking = state.phase is Phase.BAKING
        # What the policy knew when the stage ended: its own state then, not periods that arrived later.
        known = changed(
            self.state,
            window_start=opened,
            commanded=state.commanded,
            pairs=(*state.pairs, *self.state.pairs),
        )
        return StageVisit(
            weight=state.commanded,
            window=self.plan.bake if baking else self.plan.window_at(state.commanded),
            commanded_s=state.baking_since if baking else state.commanded_at,
            seen_s=state.baking_since if baking else opened,
            left_s=left,
            good_periods=judge.good_periods(self.plan, known) if opened is not None else 0,
            periods=len(judge.whole_periods(known)) if opened is not None else 0,
            verdict=verdict,
            reason=reason,
            bake=baking,
        )


def account_of(records: Sequence[Record]) -> Account:
    """The account of one journal. Raises :class:`rollout.journal.JournalError` when it is not one of a rollout."""
    if not records:
        raise JournalError("the journal is empty: the rollout never began")
    header = Header.read(records[0])
    try:
        plan = header.plan
    except PlanError as error:
        raise JournalError(f"record 1 does not describe a rollout: {error}") from None
    reader = _Reader(plan, Timeline(plan))
    for record in records:
        if record.kind == "event":
            try:
                reader.receive(parse_event(record.body))
            except BadEvent as error:
                raise JournalError(f"record {record.seq}: {error}") from None
    if reader.state.phase in AT_WORK:
        reader.stages.append(reader.visit(reader.state, None, Verdict.OPEN, "the journal ends here"))
    periods = tuple(sorted(reader.periods.values(), key=lambda p: (p.start, p.role)))
    notes = tuple((record.t, note) for record in records if (note := record.note))
    return Account(
        header=header,
        plan=plan,
        started=records[0].at,
        ended_s=max(record.t for record in records),
        phase=reader.state.phase,
        stages=tuple(reader.stages),
        commanded=tuple(reader.commanded),
        seen=tuple(reader.seen),
        periods=periods,
        details={(note.role, note.start): note for _, note in notes if isinstance(note, Attributed)},
        edge=tuple(reader.edge.values()),
        rounds=tuple(reader.rounds),
        decisions=tuple(record.body for record in records if record.kind == "decision"),
        effects=tuple(sorted((*_effects(records), *_reconciliations(notes)), key=lambda effect: effect.t)),
        notes=notes,
        rejected=tuple((r.t, r.body) for r in records if r.kind == "rejected"),
        retreats=tuple(reader.timeline.retreats),
        watched=tuple(verification.watched(plan, reader.state)) if reader.state.abort_criterion else (),
        breach_s=reader.breach_s,
    )


def _effects(records: Sequence[Record]) -> Iterator[Effect]:
    """Intents joined with their results; a notification has a result only, and is none."""
    ended: dict[tuple[Any, Any], Record] = {}
    for record in records:
        if record.kind == "result":
            ended[record.body.get("effect"), record.body.get("act")] = record
    for record in records:
        if record.kind == "intent":
            result = ended.get((record.body.get("effect"), record.body.get("act")))
            body = dict(record.body) | (dict(result.body) if result else {})
            end, took = (result.t, result.t - record.t) if result else (None, None)
            yield Effect(str(body.get("act")), record.t, end, took, bool(body.get("ok")), body)


def _reconciliations(notes: Sequence[tuple[float, Note]]) -> Iterator[Effect]:
    for t, note in notes:
        if isinstance(note, Reconciled):
            yield Effect("reconcile", t - (note.took_s or 0), t, note.took_s, True, note_to_json(note))
