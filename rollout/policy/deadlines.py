"""What falls due: the policy's time-outs, and a stage that has held its window.

:func:`due_times` gives the moments to whoever must wake the policy at them; :func:`act` acts on the same list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from rollout.plan import Plan
from rollout.plan.units import duration
from rollout.policy import bake, judge, steady, verification
from rollout.policy.events import Reason
from rollout.policy.state import ON_STABLE, Cause, Phase, State, changed
from rollout.policy.step import Measured, Step

_Deadline = tuple[float, int, Callable[[Step], None]]  # due (s), order among equals, what to do


def due_times(plan: Plan, state: State) -> Iterator[float]:
    """The moments (s from the start, in any order, past ones among them) at which time alone may lead to a decision.

    They hold until the next event: waking the policy at other times changes nothing.
    """
    return (at for at, _, _ in _deadlines(plan, state))


def act(step: Step, *, before_event: bool) -> None:
    """Acts on what falls due, earliest first: strictly before the event, or up to and with it."""
    while True:
        due = [
            deadline
            for deadline in _deadlines(step.plan, step.state)
            if deadline[0] <= step.t and _CONDITIONS.get(deadline[2], _always)(step.plan, step.state)
        ]
        if not due:
            return
        at, _, do = min(due, key=_when)
        if before_event and at == step.t:
            return
        step.since = at if before_event else step.t
        do(step)


def resume(step: Step) -> None:
    """Nobody watched until now. Of what fell due meanwhile only a hold's time-out and an unseen decrease count.

    Blindness, window, extension, bake and the watch over stable begin anew: nothing passes, and nothing is condemned, for having
    gone unwatched. An increase gets its whole time again in which to be seen.
    """
    state = step.state
    began = changed(state, answered_at=step.t)
    if state.phase in (Phase.WATCHING, Phase.BAKING, Phase.VERIFYING):
        began = changed(began, window_start=step.t, baking_since=step.t)
    if not state.settled and state.commanded > state.before and state.phase not in ON_STABLE:
        began = changed(began, commanded_at=step.t)
    step.state = began


def _when(deadline: _Deadline) -> tuple[float, int]:
    return deadline[:2]


def _deadlines(plan: Plan, state: State) -> list[_Deadline]:
    due: list[_Deadline] = []
    if not state.settled:
        due.append((state.commanded_at + plan.apply_limit, 2, _not_applied))
    if state.phase in (Phase.WATCHING, Phase.BAKING) and state.window_start is not None:
        blind_since = max(state.answered_at, state.window_start)
        due.append((blind_since + plan.metrics.blind_limit, 1, _blind))
    if state.phase is Phase.BAKING:
        due += ((at, 3, bake.hold) for at in bake.deadlines(plan, state))
        due.append((bake.over(plan, state), 0, bake.promote))
    elif state.phase is Phase.WATCHING and state.window_start is not None:
        over = state.window_start + plan.window_at(state.commanded)
        due.append((over + plan.metrics.max_extension, 3, _inconclusive))
        due.append((over, 0, _advance))
    elif state.phase is Phase.HELD:
        due.append((state.held_since + plan.hold_timeout, 1, _hold_timed_out))
    elif state.phase is Phase.PAUSED:
        due.append((state.reminded_at + plan.hold_timeout, 4, _remind))
    elif state.phase is Phase.VERIFYING and state.window_start is not None:
        due.append((verification.ends(plan, state), 4, verification.finish))
    elif state.phase is Phase.STEADY and state.watch_s is not None:
        due.append(((state.window_start or 0.0) + state.watch_s, 4, steady.finish))
    return due


def _not_applied(step: Step) -> None:
    state, limit = step.state, step.plan.apply_limit
    waited = f"{state.commanded:g} % not seen at the load balancer within {limit:g} s"
    measured: Measured = {"value": state.seen, "limit": state.commanded}
    if state.commanded > state.before and state.phase not in ON_STABLE:
        back = state.fallback
        step.command(back, Reason.TRAFFIC, f"{waited}: back to {back:g} %", **measured)
        step.hold(Reason.TRAFFIC, waited, **measured)
        return
    step.command(state.commanded, Reason.TRAFFIC, f"{waited}: break-glass", break_glass=True, **measured)
    step.page(Reason.TRAFFIC, f"{waited}; the rule is changed through the load balancer's API", **measured)


def _blind(step: Step) -> None:
    state, limit = step.state, step.plan.metrics.blind_limit
    since = max(state.answered_at, state.window_start or 0.0)
    step.abort(
        Reason.BLIND,
        f"no successful query of the candidate for {limit:g} s",
        value=step.t - since,
        limit=limit,
    )


def _inconclusive(step: Step) -> None:
    plan, state = step.plan, step.state
    good, needed = judge.good_periods(plan, state), plan.metrics.min_periods
    reason = f"the extension is over with {good} of {needed} good metric periods"
    if judge.compares(plan, state):
        reason += " that were compared with stable's"
    if problem := next(judge.blocking(plan, state), ""):
        reason = f"the extension is over and {problem}"
    elif good >= needed:
        reason = "the extension is over and the newest metric period is not good"
    step.hold(Reason.INCONCLUSIVE, reason, value=good, limit=needed)


def _hold_timed_out(step: Step) -> None:
    held, limit = step.t - step.state.held_since, step.plan.hold_timeout
    step.abort(
        Reason.HOLD_TIMEOUT, f"no decision within {duration(limit)} of the hold", value=held, limit=limit
    )


def _remind(step: Step) -> None:
    state = step.state
    held = step.t - state.held_since
    step.state = changed(state, reminded_at=step.t)
    step.page(
        Reason.OPERATOR,
        f"still paused by the operator at {state.commanded:g} %, for {round(held, 1):g} s",
        value=held,
    )


def may_advance(plan: Plan, state: State) -> bool:
    """Whether a stage whose window is over has passed (rule 7)."""
    enough = judge.good_periods(plan, state) >= plan.metrics.min_periods
    return enough and judge.newest_is_good(plan, state) and not any(judge.blocking(plan, state))


def _advance(step: Step) -> None:
    state, needed = step.state, step.plan.metrics.min_periods
    good = judge.good_periods(step.plan, state)
    reason = f"{state.commanded:g} % held its window with {good} good period{'' if good == 1 else 's'}"
    measured: Measured = {"value": good, "limit": needed}
    following = step.plan.above(state.commanded)
    if following:
        step.move(Cause.PASSED)
        step.command(following.weight, Reason.STAGE_PASSED, reason, **measured)
        return
    bake.begin(step, f"{reason}: not yet promoted", good)


def _always(plan: Plan, state: State) -> bool:
    return True


# What does not happen merely because its time has come.
_CONDITIONS: Mapping[Callable[[Step], None], Callable[[Plan, State], bool]] = {
    _advance: may_advance,
    bake.promote: bake.is_over,
}
