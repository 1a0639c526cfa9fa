"""Carries out decisions: moves traffic, notifies, raises the limit, promotes.

Weight commands go one at a time through :class:`TrafficActor`, which guarantees:

- an increase is tried only after its intent is on the disk, and never twice: when it fails, the policy takes it back;
- a decrease stops an increase still in flight (its engine has ended before the decrease is written), waits for the
  disk at most a second, and is tried until the load balancer shows it: by a stack update, else through its own API;
- a decrease counts as done when two readings in a row show it, so that a request of the stopped engine that arrives
  late is noticed.

Whatever an adapter raises, a bug included, is a failure of that effect and nothing more: the next way is tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rollout.control.notifications import Message, Notifications
from rollout.control.ports import ColourControl, Ports, TrafficControl, TrafficError
from rollout.control.problems import problem_of
from rollout.journal.notes import (
    BreakGlass,
    BreakGlassFailed,
    Foreseen,
    JournalBehind,
    NotDrained,
    Note,
    Reconciled,
    ReconcileFailed,
    Untold,
)
from rollout.plan import Plan
from rollout.plan.units import number
from rollout.policy import timing
from rollout.policy.events import Decision, DecisionKind, Severity
from rollout.policy.timeline import RAISES


class Recorder(Protocol):
    """Where effects record what they do, and page; the controller is one."""

    def record(self, kind: str, body: Mapping[str, Any]) -> int: ...
    async def durable(self) -> None: ...
    def note(self, note: Note) -> int: ...
    def page(self, subject: str, body: str) -> None: ...
    def limit_read(self, per_minute: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an effect ended. ``details`` is what the port returned: seconds that its parts took, the generation, ..."""

    ok: bool
    error: str = ""
    stopped: bool = False  # by a decrease, or because the controller leaves
    break_glass: bool = False
    tries: int = 0  # of break-glass
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Its part of a result's body in the journal."""
        fields = {
            "stopped": self.stopped,
            "break_glass": self.break_glass,
            "tries": self.tries,
            "error": self.error,
        }
        return {"ok": self.ok, **{key: value for key, value in fields.items() if value}, **self.details}


def _record_result(recorder: Recorder, effect: int | None, act: str, outcome: Outcome) -> None:
    recorder.record("result", {"effect": effect, "act": act, **outcome.to_json()})


@dataclass(frozen=True, slots=True)
class _Command:
    effect: int  # the number of the decision that ordered it
    weight: int
    increase: bool
    break_glass: bool


class TrafficActor:
    """Carries out one weight command at a time; any newer command stops an increase that is under way."""

    def __init__(self, traffic: TrafficControl, recorder: Recorder, apply_limit: float) -> None:
        self._traffic, self._recorder, self._apply_limit = traffic, recorder, apply_limit
        self._running: _Command | None = None
        self.task: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._foresight: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self.task is not None and not self.task.done()

    def command(self, effect: int, weight: int, *, increase: bool, break_glass: bool = False) -> None:
        """Begins to carry out a command. An increase lies above both what was commanded and what was seen."""
        command = _Command(effect, weight, increase, break_glass)
        self._end_foresight()
        if self.busy and self.task:
            running = self._running  # None: the stack is being brought in line
            if running and running.weight == weight and not running.increase and not break_glass:
                self._recorder.record("result", {"effect": effect, "ok": True, "joined": running.effect})
                return
            if not increase or (running and running.increase):
                self.task.cancel()  # only a decrease that an increase follows is not stopped
        self._running = command
        self.task = asyncio.create_task(self._carry_out(command), name=f"weight {weight}")

    def foresee(self, weight: int) -> None:
        """Previews the next increase while the window is open; a command ends the preview."""
        self._end_foresight()
        self._foresight = asyncio.create_task(self._foresee(weight), name=f"foresee {weight}")

    def _end_foresight(self) -> None:
        if self._foresight:
            self._foresight.cancel()

    async def _foresee(self, weight: int) -> None:
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(self._apply_limit):
                    await self._traffic.foresee(weight)
            except Exception as error:  # noqa: BLE001 -- see above
                problem = problem_of(error, self._apply_limit)
                self._recorder.note(Foreseen(weight, ok=False, error=problem))
                self._recorder.page(f"the next step, to {weight} %, would be refused", problem)
            else:
                self._recorder.note(Foreseen(weight, ok=True))

    def keep(self, weight: float) -> None:
        """Stops a command under way to more than ``weight``, which is kept from now on."""
        if self.busy and self.task and self._running and self._running.weight > weight:
            self.task.cancel()

    def stop(self) -> asyncio.Task[None] | None:
        """Stops an increase under way because the controller leaves, but no decrease. Returns what to wait for."""
        self._end_foresight()
        if self.busy and self._running and self._running.increase and self.task:
            self.task.cancel()
        return self.task

    async def _carry_out(self, command: _Command) -> None:
        recorder = self._recorder
        recorder.record(
            "intent",
            {
                "effect": command.effect,
                "act": "set_weight",
                "weight": command.weight,
                "increase": command.increase,
            },
        )
        try:
            async with self._one_at_a_time:  # a stopped one holds it until its engine has ended
                outcome = await (self._increase if command.increase else self._decrease)(command)
                _record_result(recorder, command.effect, "set_weight", outcome)
                if self._running is command:
                    self._running = None
        except asyncio.CancelledError:
            stopped = Outcome(ok=False, stopped=True, error="stopped before it was finished")
            _record_result(recorder, command.effect, "set_weight", stopped)
            raise
        if outcome.break_glass:
            await self._reconcile(command.weight)

    async def _increase(self, command: _Command) -> Outcome:
        try:
            await self._recorder.durable()
            async with asyncio.timeout(self._apply_limit):
                return Outcome(ok=True, details=await self._traffic.set_weight(command.weight, increase=True))
        except Exception as error:  # noqa: BLE001 -- see above
            problem = problem_of(error, self._apply_limit)
        self._recorder.page(
            f"traffic could not be raised to {command.weight} %", f"{problem}. Traffic stays as it is."
        )
        return Outcome(ok=False, error=problem)

    async def _decrease(self, command: _Command) -> Outcome:
        try:
            async with asyncio.timeout(timing.DISK_WAIT):
                await self._recorder.durable()
        except (OSError, TimeoutError) as error:
            self._recorder.note(JournalBehind(problem_of(error, timing.DISK_WAIT)))
        outcome = None if command.break_glass else await self._try_stack(command)
        return outcome or await self._until_moved(command)

    async def _try_stack(self, command: _Command) -> Outcome | None:
        """A decrease by stack update; ``None`` if that failed."""
        limit = timing.decrease_limit(self._apply_limit)
        try:
            async with asyncio.timeout(limit):
                details = await self._traffic.set_weight(command.weight, increase=False)
                await self._settled(command.weight)
                return Outcome(ok=True, details=details)
        except Exception as error:  # noqa: BLE001 -- see above
            problem = problem_of(error, limit)
        self._recorder.note(BreakGlass(command.weight, problem))
        self._recorder.page(
            f"break-glass: traffic goes to {command.weight} % through the load balancer's API",
            f"The stack update failed: {problem}",
        )
        return None

    async def _settled(self, weight: int) -> None:
        for _ in range(2):
            seen = await self._traffic.read_weight()
            if seen != weight:
                raise TrafficError(f"{seen:g} % read back after the update to {weight} %")
            await asyncio.sleep(timing.SETTLE_GAP)

    async def _until_moved(self, command: _Command) -> Outcome:
        """Break-glass until it succeeds: giving up would leave users on a bad release."""
        tries = 0
        while True:
            try:
                async with asyncio.timeout(timing.DECREASE_LIMIT):
                    details = await self._traffic.break_glass(command.weight)
                    await self._settled(command.weight)
                return Outcome(ok=True, break_glass=True, tries=tries + 1, details=details)
            except Exception as error:  # noqa: BLE001 -- see above
                problem = problem_of(error, timing.DECREASE_LIMIT)
            tries += 1
            self._recorder.note(BreakGlassFailed(command.weight, tries, problem))
            if tries == 1 or tries % 10 == 0:
                self._recorder.page(
                    f"traffic could NOT be moved to {command.weight} %",
                    f"Both the stack update and the load balancer's API failed ({tries} tries): {problem}. Trying again.",
                )
            await asyncio.sleep(timing.RETRY_WAIT[min(tries, len(timing.RETRY_WAIT)) - 1])

    async def _reconcile(self, weight: int) -> None:
        try:
            async with self._one_at_a_time, asyncio.timeout(timing.RECONCILE_LIMIT):
                began = asyncio.get_running_loop().time()
                done = await self._traffic.reconcile(weight)
                took = round(asyncio.get_running_loop().time() - began, 3)
                self._recorder.note(Reconciled(weight, took, done.get("generation")))
        except Exception as error:  # noqa: BLE001 -- see above
            problem = problem_of(error, timing.RECONCILE_LIMIT)
            self._recorder.note(ReconcileFailed(weight, problem))
            self._recorder.page(
                "the traffic stack is out of line with the load balancer",
                f"The candidate has {weight} % of the traffic, the stack declares another weight: {problem}. "
                f"Before the next `pulumi up` by hand: {self._traffic.in_line_by_hand(weight)}.",
            )

    def finish_reconcile(self, weight: int) -> None:
        """Reconciles after a crash that came between break-glass and its reconciliation."""
        self.task = asyncio.create_task(self._reconcile(weight), name="reconcile")


_TOPICS = {Severity.PAGE: "immediate", Severity.WARNING: "warning"}


class Effects:
    """Begins the effect of each decision; the controller never waits for one."""

    def __init__(self, plan: Plan, ports: Ports, recorder: Recorder) -> None:
        self._ports, self._recorder = ports, recorder
        self.traffic = TrafficActor(ports.traffic, recorder, plan.apply_limit)
        self.promoted = False  # it was confirmed
        self._notifications = Notifications(ports.notifier, recorder)
        self.stopped = False  # the candidate's pods are gone, or about to
        self._tasks: set[asyncio.Task[None]] = set()
        self._limit_lock = asyncio.Lock()

    def carry_out(self, effect: int, decision: Decision) -> None:
        """Begins what a decision orders. ``effect`` is its number in the journal."""
        self.act(effect, decision)
        self.notify(effect, decision)

    def act(self, effect: int, decision: Decision) -> None:
        """Begins what a decision changes in the environment."""
        match decision.decision:
            case DecisionKind.SET_WEIGHT:
                weight = int(decision.weight or 0)
                self.traffic.command(
                    effect, weight, increase=decision.increase, break_glass=decision.break_glass
                )
            case DecisionKind.HOLD if decision.weight is not None:
                self.traffic.keep(decision.weight)
            case DecisionKind.PREPARE_ROLLBACK:
                self._spawn(self._prepare(effect, *describe(decision)))
            case DecisionKind.RAISE_RATE_LIMIT:
                self._spawn(self._raise_limit(effect, decision.rate_limit or 0))
            case DecisionKind.PROMOTE:
                self._spawn(self._promote(effect))

    def notify(self, effect: int, decision: Decision) -> None:
        """Sends a notification of a decision: nothing is rolled back, held or finished in silence."""
        match decision.decision:
            case DecisionKind.PREPARE_ROLLBACK | DecisionKind.PROMOTE:
                return  # the first notifies when it knows what it found, the second is covered by `finish`
            case DecisionKind.ALERT:
                topic = _TOPICS[decision.severity or Severity.PAGE]
            case DecisionKind.RAISE_RATE_LIMIT:
                topic = "warning"
            case DecisionKind.SET_WEIGHT if decision.criterion in RAISES:
                topic = "notice"
            case DecisionKind.BAKE:
                topic = "notice"
            case DecisionKind.FINISH if decision.outcome in ("promoted", "watched"):
                topic = "notice"
            case _:
                topic = "immediate"
        self.send(effect, topic, *describe(decision))

    def stop(self) -> None:
        """Begins to take away the candidate's pods, unless that is under way or done."""
        if self._ports.colours and not self.stopped:
            self.stopped = True
            self._spawn(self._stop(self._ports.colours))

    def send(self, about: int, topic: str, subject: str, body: str) -> None:
        """Begins to send one notification. ``about`` is the number of the decision or note it tells of."""
        self._notifications.send(Message(about, topic, subject, body))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, limit: float) -> None:
        """Waits for what is under way and what follows from it, at most ``limit`` seconds."""
        try:
            async with asyncio.timeout(limit):
                while self._tasks or self.traffic.busy:
                    waiting = {*self._tasks, *([self.traffic.task] if self.traffic.task else [])}
                    await asyncio.wait(waiting)
        except TimeoutError:
            self._recorder.note(NotDrained(limit))
        for message in await self._notifications.drain(timing.NOTIFY_DRAIN):
            self._recorder.note(Untold(message.topic, message.subject))

    async def _stop(self, colours: ColourControl) -> None:
        async def scale() -> Mapping[str, Any]:
            await refuse_traffic(self._ports.traffic)
            return await colours.scale("candidate", 0)

        while (moving := self.traffic.task) and not moving.done():
            await asyncio.wait([moving])
        outcome = await self._attempt(None, "stop", timing.STOP_LIMIT, scale)
        if not outcome.ok:
            self.stopped = False
            self._recorder.page(
                "the bad colour was not stopped",
                f"Its pods still run: {outcome.error}. That changes nothing about the traffic. Once it has none: "
                "`pulumi config set simple378:replicas 0` and `pulumi up` of its stack.",
            )

    async def _attempt(
        self, effect: int | None, act: str, limit: float, work: Callable[[], Awaitable[Mapping[str, Any]]]
    ) -> Outcome:
        self._recorder.record("intent", {"effect": effect, "act": act})
        try:
            async with asyncio.timeout(limit):
                outcome = Outcome(ok=True, details=await work())
        except Exception as error:  # noqa: BLE001 -- see above
            outcome = Outcome(ok=False, error=problem_of(error, limit))
        _record_result(self._recorder, effect, act, outcome)
        return outcome

    async def _prepare(self, effect: int, subject: str, body: str) -> None:
        self._recorder.record("intent", {"effect": effect, "act": "prepare_rollback"})
        try:
            async with asyncio.timeout(timing.CHECK_LIMIT):
                checks: Mapping[str, str] = await self._ports.traffic.check_rollback()
        except Exception as error:  # noqa: BLE001 -- see above
            checks = {"the check itself": problem_of(error, timing.CHECK_LIMIT)}
        wrong = {name: problem for name, problem in checks.items() if problem}
        outcome = Outcome(ok=not wrong, details={"checks": dict(checks)})
        _record_result(self._recorder, effect, "prepare_rollback", outcome)
        found = (
            "; ".join(f"{name}: {problem}" for name, problem in wrong.items())
            or "credentials, engine and stable's targets are ready"
        )
        self.send(effect, "immediate", subject, f"{body}\nA rollback is prepared: {found}")

    async def _raise_limit(self, effect: int, per_minute: int) -> None:
        async with self._limit_lock:
            while self.traffic.busy and self.traffic.task:  # a weight change is never delayed by this
                await asyncio.wait([self.traffic.task])
            outcome = await self._attempt(
                effect,
                "raise_rate_limit",
                timing.RAISE_LIMIT,
                lambda: self._ports.limits.set_rate_limit(per_minute),
            )
        if not outcome.ok:
            self._recorder.page(
                "the rate limit could not be raised",
                f"It should be {per_minute} requests per minute and client: {outcome.error}",
            )
        await self._read_limit()

    def read_limit(self) -> None:
        """Begins to read the deployed rate limit back, for the policy: it raises none before."""
        self._spawn(self._read_limit())

    async def _read_limit(self) -> None:
        problem = ""
        for wait in (*timing.RETRY_WAIT, None):
            try:
                async with asyncio.timeout(timing.RAISE_LIMIT):
                    self._recorder.limit_read(await self._ports.limits.read_rate_limit())
            except Exception as error:  # noqa: BLE001 -- see above
                problem = problem_of(error, timing.RAISE_LIMIT)
            else:
                return
            if wait:
                await asyncio.sleep(wait)
        self._recorder.page(
            "the rate limit cannot be read", f"It is not raised again in this rollout: {problem}"
        )

    async def _promote(self, effect: int) -> None:
        for wait in (*timing.RETRY_WAIT[: timing.PROMOTE_TRIES - 1], None):
            outcome = await self._attempt(
                effect, "promote", timing.PROMOTE_LIMIT, self._ports.traffic.promote
            )
            if outcome.ok:
                self.promoted = True
                return
            if wait:
                await asyncio.sleep(wait)
        self._recorder.page(
            "the release is live but not promoted",
            f"All traffic is on the candidate, but in the stack the roles are not swapped: {outcome.error}. "
            "`rollout resume` tries again.",
        )


async def refuse_traffic(traffic: TrafficControl) -> None:
    """Raises :class:`TrafficError` when the candidate has any traffic, which its pods serve."""
    for _ in ("once", "again"):  # a request of a stopped engine may arrive late, as after a decrease
        if weight := await traffic.read_weight():
            raise TrafficError(f"the candidate has {weight:g} % of the traffic")
        await asyncio.sleep(timing.SETTLE_GAP)


def describe(decision: Decision) -> tuple[str, str]:
    """A subject of at most 100 characters (the limit of SNS) and a body, for people."""
    what = decision.decision.value.replace("_", " ")
    where = f" {decision.weight:g} %" if decision.weight is not None else ""
    if decision.decision is DecisionKind.SET_WEIGHT:
        what, where = "traffic to", f"{where} of the candidate"
    subject = f"{what}{where}: {decision.criterion}"[:100]
    lines = [decision.reason]
    if decision.value is not None:
        limit = f" (limit {number(decision.limit)})" if decision.limit is not None else ""
        lines.append(f"{decision.criterion}: {number(decision.value, 4)}{limit}")
    lines.append(f"caused by: {decision.event} at {decision.t:.1f} s")
    return subject, "\n".join(lines)
