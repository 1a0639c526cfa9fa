"""The loop of a rollout: it polls and probes, gives the events to the policy and has its decisions carried out.

One asyncio task owns the policy's state. Everything else (probe rounds, metric polls, read-backs, the operator) posts
into its inbox what happened, without a time. For each item, in this order and with no other task in between: the event
is made with the time at which it is received, the policy decides, event and decisions go to the journal, their effects
begin. So a crash loses at most what nobody acted on.

The same loop runs on a simulated clock in the tests and in rehearsals: it waits with asyncio and in no other way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from rollout.control.effects import Effects
from rollout.control.exits import Exit
from rollout.control.orders import Order
from rollout.control.ports import (
    Clock,
    EventMaker,
    Journal,
    MetricsSource,
    Ports,
    Probes,
    Reading,
    Round,
    TrafficError,
)
from rollout.control.problems import problem_of
from rollout.journal.notes import (
    Ended,
    Leaving,
    Left,
    Note,
    Page,
    ProbeFailed,
    Reached,
    Resumed,
    note_to_json,
)
from rollout.journal.resume import Past
from rollout.plan import Plan
from rollout.policy import decide, timing
from rollout.policy.events import (
    FRONT_DOOR,
    FRONT_DOOR_PROBES,
    PROBES,
    Checked,
    Decision,
    DecisionKind,
    EdgeMetrics,
    Event,
    Health,
    Limit,
    MetricsError,
    Operator,
    Started,
    Tick,
    Traffic,
    event_to_json,
    kind_of,
)
from rollout.policy.events import Resumed as Unwatched
from rollout.policy.state import ON_STABLE, IllegalEvent, Phase, State
from rollout.policy.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an operator's command."""

    accepted: bool
    text: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a view shows."""

    plan: Plan
    state: State
    now: float  # seconds from the start
    decisions: Sequence[Decision]
    last: Mapping[str, Event]  # the newest event of each kind and colour, such as "metrics candidate"
    moving: bool  # a traffic change is in flight


Observer = Callable[[str, float, Mapping[str, Any]], None]  # kind, t, body of each record


class Controller:
    """One rollout.

    ``start``: the epoch second at which the rollout's time is 0; ``rate_limit``: the deployed one, in requests per
    minute and client; ``versions``: those approved, by role; ``baseline_rpm``: requests a minute before it; ``undo``: it takes
    back the candidate, which was promoted, for ``reason``; ``watch_s``: it watches the candidate, which was promoted, for so many
    seconds, at the ``time_scale`` that the plan has. ``stop``: whether the candidate's pods go as soon as it has no
    traffic; ``None``: after a verified end. ``recheck`` makes the checks before a rollout again, those of weights
    apart, and says what they found wrong. ``observer`` is called with each record of the journal. A ``dry_run`` has no traffic to watch.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        ports: Ports,
        metrics: MetricsSource,
        probes: Probes,
        journal: Journal,
        clock: Clock,
        start: float,
        rate_limit: int | None = None,
        versions: Mapping[str, str] = MappingProxyType({}),
        undo: bool = False,
        reason: str = "",
        baseline_rpm: int | None = None,
        recheck: Callable[[], Awaitable[Sequence[str]]] | None = None,
        watch_s: float | None = None,
        stop: bool | None = None,
        time_scale: float = 1.0,
        observer: Observer = lambda kind, t, body: None,
        dry_run: bool = False,
    ) -> None:
        self.plan = plan
        self._metrics, self._probes, self._traffic = metrics, probes, ports.traffic
        self._journal, self._clock, self._start, self._observer = journal, clock, start, observer
        self.state = State()
        self._dry_run, self._recheck = dry_run, recheck
        self._checking: asyncio.Task[None] | None = None
        self._failed_queries, self._query_failed_at = 0, 0.0
        self._started = partial(
            Started,
            rate_limit=rate_limit,
            candidate_version=versions.get("candidate"),
            stable_version=versions.get("stable"),
            undo=undo,
            reason=reason or None,
            baseline_rpm=baseline_rpm,
            promoted=watch_s is not None,
            watch_s=watch_s,
        )
        self._time_scale, self._steady_over = time_scale, asyncio.Event()
        self._stop = stop
        self.unwatched = ""  # what becomes of a rollout that nobody watches, as a sentence; '': nobody knows
        self._effects = Effects(plan, ports, self)
        self._timeline = Timeline(plan)
        self._inbox: asyncio.Queue[tuple[EventMaker, asyncio.Future[Answer] | None]] = asyncio.Queue()
        self._left: str | None = None
        self._decisions: list[Decision] = []
        self._last: dict[str, Event] = {}

    # --- for effects and views

    @property
    def t(self) -> float:
        """Seconds from the start, in milliseconds' steps, never before the last event."""
        return max(round(self._clock.now() - self._start, 3), self.state.t)

    def record(self, kind: str, body: Mapping[str, Any], t: float | None = None) -> int:
        at = self.t if t is None else t
        number = self._journal.append(kind, at, body)
        with suppress(OSError):  # a terminal that has gone ends no rollout
            self._observer(kind, at, body)
        return number

    async def durable(self) -> None:
        await self._journal.durable()

    def note(self, note: Note) -> int:
        return self.record("note", note_to_json(note))

    def page(self, subject: str, body: str) -> None:
        self._effects.send(self.note(Page(subject, body)), "immediate", subject[:100], body)

    def limit_read(self, per_minute: int) -> None:
        self._post(partial(Limit, value=per_minute))

    def snapshot(self) -> Snapshot:
        return Snapshot(
            self.plan, self.state, self.t, tuple(self._decisions[-8:]), self._last, self._effects.traffic.busy
        )

    # --- for the operator

    async def operate(self, command: str) -> Answer:
        """An operator's ``pause``, ``resume`` or ``abort``; returns once the policy has decided on it.

        ``abort --stop`` takes the candidate's pods away as soon as it has no traffic, ``abort --keep`` leaves them
        (:class:`rollout.control.orders.Order`).
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._inbox.put_nowait((_ordered(command), answer))
        answered = await answer
        # What somebody was told outlives this process, if the disk works.
        try:
            async with asyncio.timeout(timing.DISK_WAIT):
                await self.durable()
        except (OSError, TimeoutError) as error:
            problem = problem_of(error, timing.DISK_WAIT)
            return replace(answered, text=f"{answered.text}; the journal cannot be written: {problem}")
        return answered

    def leave(self, why: str) -> None:
        """Ends the controller and leaves traffic as it is; `rollout resume` continues."""
        self._left = why
        self._post(Tick)

    # --- the loop

    async def run(self, past: Past | None = None, ordered: str | None = None) -> Exit:
        """Runs to the end, from the start or from where a journal ends. A fault of the environment never raises.

        ``ordered``: an abort, while nobody was at work, so it comes before whatever fell due meanwhile.
        """
        self._receive(self._started) if past is None else self._continue(past, ordered)
        sources = [
            asyncio.create_task(self._supervise(source), name=source.__qualname__)
            for source in (self._watch_traffic, self._watch_metrics, self._tick)
        ]
        sources += [asyncio.create_task(self._probe(role)) for role in self._probes.roles]
        try:
            while self.state.phase is not Phase.FINISHED:
                make_event, answer = await self._inbox.get()
                if self._left is not None:
                    return await self._leave()
                self._receive(make_event, answer)
            await self._effects.drain(timing.DRAIN_LIMIT)
        finally:
            for task in [*sources, *([self._checking] if self._checking else [])]:
                task.cancel()
            self._refuse_waiting()
        return self._finish()

    def _receive(self, make_event: EventMaker, answer: asyncio.Future[Answer] | None = None) -> None:
        since = self.state.t
        if self.state.phase is not Phase.READY and self.t - since > timing.attention_gap(self._interval):
            # Not even a tick: the machine was suspended, or this process got no time. First of all the policy learns of it.
            self.page("nobody watched the rollout", f"The controller did not run for {self.t - since:.0f} s.")
            self._attend_again(since)
        self._decide(make_event, answer)

    def _attend_again(self, since: float) -> None:
        """Nobody watched until now: the policy is told, and what had to be true before the rollout is looked at again."""
        self._decide(partial(Unwatched, since=since))
        if self._recheck and self.state.phase not in (*ON_STABLE, Phase.FINISHED):
            if self._checking:
                self._checking.cancel()
            self._checking = asyncio.create_task(self._check(self._recheck), name="checks")

    async def _check(self, recheck: Callable[[], Awaitable[Sequence[str]]]) -> None:
        try:
            async with asyncio.timeout(timing.CHECKS_LIMIT):
                failed = tuple(await recheck())
        except Exception as error:  # noqa: BLE001 -- whatever it is, nobody knows that all is well
            failed = (f"the checks could not be made: {problem_of(error, timing.CHECKS_LIMIT)}",)
        self._post(partial(Checked, failed=failed))

    def _decide(self, make_event: EventMaker, answer: asyncio.Future[Answer] | None = None) -> None:
        event, before = make_event(self.t), self.state
        try:
            state, decisions = decide(self.plan, before, event)
        except IllegalEvent as error:
            self.record("rejected", event_to_json(event) | {"why": str(error)}, event.t)
            if answer:
                _answer(answer, accepted=False, text=str(error))
            else:
                self.page("the policy refused an event", f"{event_to_json(event)}: {error}")
            return
        self.state = state
        if before.phase is Phase.STEADY and state.phase is not Phase.STEADY:
            self._steady_over.set()
        self._remember(event)
        self.record("event", event_to_json(event), event.t)
        numbered = [
            (self.record("decision", decision.to_json(), event.t), decision) for decision in decisions
        ]
        self._follow(event, decisions)
        if isinstance(event, MetricsError):
            self._tell_of_failed_query(event)
        for effect, decision in numbered:
            self._decisions.append(decision)
            self._effects.carry_out(effect, decision)
        self._look_ahead(before)
        self._stop_if_due()
        if answer:
            text = "; ".join(decision.reason for decision in decisions) or f"the rollout is {state.phase}"
            _answer(answer, accepted=True, text=text)

    def _tell_of_failed_query(self, event: MetricsError) -> None:
        """Pages at the third failed query in a row, whether it was for metrics or alarms."""
        in_a_row = event.t - self._query_failed_at <= 2 * timing.poll_interval(self.plan)
        self._failed_queries = self._failed_queries + 1 if in_a_row else 1
        self._query_failed_at = event.t
        if self._failed_queries == timing.UNREADABLE:
            self.page("metrics or alarms cannot be read", event.reason)

    def _stop_if_due(self) -> None:
        """The candidate's pods go when stable is verified, or, if so ordered, as soon as the candidate has no traffic."""
        phase, back = self.state.phase, False
        if phase is Phase.FINISHED:
            final = self._final()
            back = final.outcome in ("aborted", "undone") and bool(final.verified or self._stop)
        if self._stop is not False and (back or (self._stop and phase is Phase.VERIFYING)):
            self._effects.stop()

    def _final(self) -> Decision:
        return next(d for d in reversed(self._decisions) if d.decision is DecisionKind.FINISH)

    def _remember(self, event: Event) -> None:
        if isinstance(event, Operator) and event.stop is not None:
            self._stop = event.stop
        colour = "edge" if isinstance(event, EdgeMetrics) else getattr(event, "role", "")
        self._last[f"{kind_of(event)} {colour}".strip()] = event

    def _follow(self, event: Event, decisions: Sequence[Decision]) -> None:
        for retreat, milestone in self._timeline.receive(event, decisions):
            self.note(Reached(milestone, retreat.weight, getattr(retreat, milestone)))

    def _look_ahead(self, before: State) -> None:
        """When a window opens, has the next step checked while it runs."""
        opened = self.state.phase is Phase.WATCHING and before.window_start != self.state.window_start
        following = self.plan.above(self.state.commanded) if opened else None
        if following:
            self._effects.traffic.foresee(following.weight)

    def _continue(self, past: Past, ordered: str | None) -> None:
        self.state = past.state
        for event, decisions in past.received:
            self._remember(event)
            self._decisions += decisions
            self._timeline.receive(event, decisions)
        state = past.state
        if state.phase is Phase.READY:
            self._receive(self._started)
            return
        self._effects.stopped = past.stopped
        self.note(Resumed(state.phase, state.commanded, state.seen))
        self._effects.promoted = past.promoted
        lost = [(self.record("decision", d.to_json()), d) for d in past.unwritten]
        again = [
            *((p.effect, p.decision, p.act, p.notify) for p in past.pending),
            *((effect, decision, not decision.increase, True) for effect, decision in lost),
        ]
        for effect, decision, act, notify in again:
            if act:
                # What has been seen since it was decided may have made an increase none.
                increase = state.raises(decision.weight or 0)
                self._effects.act(effect, replace(decision, increase=increase))
            if notify:
                self._effects.notify(effect, decision)
        for number, page in past.untold:
            self._effects.send(number, "immediate", page.subject[:100], page.text)
        raises = (d.decision for _, d, act, _ in again if act)
        if state.limit_awaited and DecisionKind.RAISE_RATE_LIMIT not in raises:
            self._effects.read_limit()
        if past.reconcile and not self._effects.traffic.busy:
            self._effects.traffic.finish_reconcile(int(state.commanded))
        # Last: what these order comes after what the process before had ordered.
        if ordered and state.phase is not Phase.FINISHED:
            self._decide(_ordered(ordered))
        self._attend_again(past.state.t)

    # --- sources of events

    def _post(self, make_event: EventMaker) -> None:
        self._inbox.put_nowait((make_event, None))

    async def _supervise(self, source: Callable[[], Awaitable[None]]) -> None:
        """A source that fails is paged and started again: without it the rollout would be blind."""
        while True:
            try:
                await source()
            except Exception as error:  # noqa: BLE001 -- see above
                self.page(
                    "a part of the controller failed and was restarted", f"{source.__name__}: {error!r}"
                )
                await asyncio.sleep(self.plan.health.interval)

    @property
    def _interval(self) -> float:
        """Between probe rounds, now."""
        steady = self.state.phase is Phase.STEADY
        return timing.probe_interval(self.plan, steady=steady, t=self.t, time_scale=self._time_scale)

    async def _rest(self, seconds: float) -> None:
        """Sleeps. The end of the steady state, whose rounds are slow, ends it."""
        if self.state.phase is not Phase.STEADY:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0)):
                await self._steady_over.wait()

    async def _tick(self) -> None:
        while True:
            await self._rest(self._interval / timing.TICKS_A_ROUND)
            self._post(Tick)

    async def _watch_traffic(self) -> None:
        """Reads the weight back: often while it is to change, else each probe interval. Posts what is news."""
        failures = 0
        while True:
            try:
                weight = await self._read_weight()
            except TrafficError as error:
                failures += 1
                if failures == timing.UNREADABLE:
                    self.page("the load balancer's weights cannot be read", str(error))
            else:
                failures = 0
                state = self.state
                unconfirmed = not state.settled and weight == state.commanded
                if weight != state.seen or unconfirmed or not state.seen_history:
                    self._post(partial(Traffic, weight=weight))
            changing = self._effects.traffic.busy or not self.state.settled
            await asyncio.sleep(timing.read_back_interval(self.plan, changing=changing))

    async def _read_weight(self) -> float:
        """Raises :class:`TrafficError`, also when there is no answer."""
        try:
            async with asyncio.timeout(timing.READ_LIMIT):
                return await self._traffic.read_weight()
        except (TimeoutError, OSError) as error:
            raise TrafficError(problem_of(error, timing.READ_LIMIT)) from error

    async def _watch_metrics(self) -> None:
        interval, limit = timing.poll_interval(self.plan), timing.poll_limit(self.plan)
        while True:
            try:
                async with asyncio.timeout(limit):
                    readings = await self._metrics.poll(self.t)
            except TimeoutError:
                readings = [Reading(partial(MetricsError, reason=f"no answer within {limit:g} s"))]
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is no data
                readings = [Reading(partial(MetricsError, reason=f"{type(error).__name__}: {error}"))]
            for reading in readings:
                if reading.detail:
                    self.note(reading.detail)
                self._post(reading.event)
            await asyncio.sleep(interval)

    async def _probe(self, role: str) -> None:
        """A round each interval, whether or not the last one is back; posted in the order in which they began."""
        rounds: asyncio.Queue[asyncio.Task[Round]] = asyncio.Queue()
        poster = asyncio.create_task(self._post_rounds(role, rounds))
        try:
            due = asyncio.get_running_loop().time()
            while True:
                rounds.put_nowait(asyncio.create_task(self._round(role)))
                due += self._interval
                await self._rest(due - asyncio.get_running_loop().time())
                due = min(due, asyncio.get_running_loop().time())
        finally:
            poster.cancel()

    async def _round(self, role: str) -> Round:
        try:
            async with asyncio.timeout(2 * self.plan.health.timeout):
                return await self._probes.round(role)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is no clean round
            self.note(ProbeFailed(role, repr(error)))
            return Round(FRONT_DOOR_PROBES if role == FRONT_DOOR else PROBES)

    async def _post_rounds(self, role: str, rounds: asyncio.Queue[asyncio.Task[Round]]) -> None:
        while True:
            found = await (await rounds.get())
            event = partial(Health, role=role, failed=found.failed, version=found.versions)
            self._post(partial(event, why=found.why or None))

    # --- the end

    async def _leave(self) -> Exit:
        self.note(Leaving(self._left or ""))
        if self._dry_run:  # no traffic was moved, so nobody has to watch any
            return Exit.FAILED
        stopping = self._effects.traffic.stop()
        if stopping:
            await asyncio.wait([stopping], timeout=timing.DRAIN_LIMIT)
        try:
            weight: float | None = await self._read_weight()
        except Exception:  # noqa: BLE001 -- whatever it is, it is said that nobody knows
            weight = None
        self.note(Left(self._left or "", weight))
        shown = "an unknown share" if weight is None else f"{weight:g} %"
        then = f"`rollout resume` continues the rollout, `rollout abort` ends it. {self.unwatched}".rstrip()
        if self.state.phase is Phase.STEADY:
            then = "`rollout watch` watches it again, `rollout undo` takes it back."
        self.page(
            "nobody watches the rollout",
            f"The controller left ({self._left}); the candidate has {shown} of the traffic. {then}",
        )
        await self._effects.drain(timing.DRAIN_LIMIT)
        return Exit.FAILED

    def _refuse_waiting(self) -> None:
        while not self._inbox.empty():
            _, answer = self._inbox.get_nowait()
            if answer:
                _answer(answer, accepted=False, text="the rollout is over")

    def _finish(self) -> Exit:
        final = self._final()
        if final.outcome == "watched":
            code = Exit.DONE
        elif final.outcome == "promoted":
            code = Exit.DONE if self._effects.promoted else Exit.FAILED
        else:
            code = Exit.ROLLED_BACK if final.verified else Exit.ROLLED_BACK_RED
        if code is not Exit.FAILED:
            retreats = [
                retreat.to_json() | {"late": retreat.late(self.plan)} for retreat in self._timeline.retreats
            ]
            self.note(Ended(final.outcome or "", final.verified, int(code), retreats))
        return code


def _ordered(text: str) -> EventMaker:
    order = Order.parse(text)
    return partial(Operator, command=order.command, stop=order.stop, reason=order.reason or None)


def _answer(answer: asyncio.Future[Answer], *, accepted: bool, text: str) -> None:
    if not answer.done():  # the one who asked may no longer wait
        answer.set_result(Answer(accepted, text))
