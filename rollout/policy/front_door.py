"""Rule 17 of docs/theory.md: the address that users take must let them in, and their requests must arrive.

The probes of the colours go round the front door (CDN, rate limit, traffic rule), so they pass when it is shut.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollout.plan.units import MINUTE
from rollout.policy.events import DecisionKind, Health, Metrics, Reason
from rollout.policy.state import AT_WORK, ON_STABLE, Phase, State, changed
from rollout.policy.step import Measured, Step

# The guide is silent on these. One request in ten is far below whatever a night's traffic does within minutes; two periods,
# because real traffic is bursty.
FEWEST = 60  # requests a minute before the rollout, below which nothing is said
SHARE = 10  # percent of them
PERIODS = 2  # in a row with fewer

_PERCENT = 100


def receive(step: Step, event: Health) -> None:
    """A round at the front door: one of a row that aborts, when a colour itself passes."""
    before, rule = step.state, step.plan.health
    streak = before.front_streak + 1 if event.failed else 0
    step.state = changed(before, front_streak=streak, front_passed=before.front_passed or not event.failed)
    if not event.failed:
        return
    why = f" ({event.why})" if event.why else ""
    failed = f"failed {', '.join(event.failed)}{why}"
    measured: Measured = {"value": streak, "limit": rule.abort_after}
    if before.phase in ON_STABLE:
        if before.phase is Phase.VERIFYING and streak == rule.abort_after:
            step.page(
                Reason.FRONT_DOOR,
                f"front door still {failed} after the abort: users do not reach stable",
                **measured,
            )
    elif not before.front_passed:
        if streak == rule.alert_after:
            never = f"front door {failed}, and has never passed in this rollout"
            step.page(Reason.FRONT_DOOR, never, **measured)
    else:
        _judge(
            step, f"front door {failed}: {streak} of the {rule.abort_after} failed rounds in a row that abort"
        )


def _judge(step: Step, reason: str) -> None:
    state, rule = step.state, step.plan.health
    streak = state.front_streak
    measured: Measured = {"value": streak, "limit": rule.abort_after}
    # After the promotion only stable can be gone back to.
    passing = [role for role in sorted(state.passing) if state.phase is not Phase.STEADY or role == "stable"]
    if streak >= rule.abort_after and passing:
        own = " and ".join(passing) + (" pass" if len(passing) > 1 else " passes")
        their = "their" if len(passing) > 1 else "its"
        step.abort(Reason.FRONT_DOOR, f"{reason}, while {own} {their} own", **measured)
    elif streak == rule.abort_after:
        none = "stable does not pass" if state.phase is Phase.STEADY else "no colour passes"
        step.page(Reason.FRONT_DOOR, f"{reason}; {none} its own probes either", **measured)
    elif streak == rule.prepare_after:
        step.emit(DecisionKind.PREPARE_ROLLBACK, Reason.FRONT_DOOR, reason, **measured)
    elif streak == rule.alert_after:
        step.page(Reason.FRONT_DOOR, reason, **measured)


def receive_direct(step: Step, event: Health) -> None:
    """Remembers whether a colour passes its own probes."""
    others = tuple(role for role in step.state.passing if role != event.role)
    step.state = changed(step.state, passing=others if event.failed else (*others, event.role))


def opened(step: Step) -> None:
    """The decrease of an abort is done, and the rule with it: what fails from now on counts anew."""
    step.state = changed(step.state, front_streak=0)


def is_shut(state: State) -> bool:
    """Whether it let nobody in at its last round, and did before. Before an undo nobody was watching."""
    return (state.front_passed or state.promoted) and state.front_streak > 0


# --- the users' requests


def receive_metrics(step: Step, event: Metrics) -> None:
    """A period received of either colour: are the requests of both together far below those before the rollout?"""
    baseline = step.state.baseline_rpm
    if baseline < FEWEST or step.state.phase is Phase.STEADY:  # no rollout: the day's traffic comes and goes
        return
    newest = _of_both(step.state)[-PERIODS:]
    few = [rate for rate, start, end in newest if _is_few(rate, baseline)]
    if len(few) < PERIODS:
        if newest and len(few) == 0:
            step.state = changed(step.state, few_reported=False)
        return
    if step.state.few_reported:
        return
    step.state = changed(step.state, few_reported=True)
    rate = few[-1]
    reason = (
        f"{rate:,.0f} requests a minute of both colours in {PERIODS} periods in a row, {baseline:,} before the rollout: "
        f"fewer than {SHARE} %"
    )
    measured: Measured = {"value": rate, "limit": baseline * SHARE / _PERCENT}
    if step.state.phase in AT_WORK:
        step.hold(Reason.TRAFFIC_MISSING, reason, **measured)
    else:
        step.page(Reason.TRAFFIC_MISSING, reason, **measured)


def count_anew(step: Step) -> None:
    """What a person knew when they resumed is not held against the release again."""
    newest = max((end for _, _, end in _of_both(step.state)), default=step.state.few_since)
    step.state = changed(step.state, few_since=newest, few_reported=False)


def are_missing(state: State) -> bool:
    """Whether the newest period of both colours has far fewer requests than before the rollout."""
    newest = _of_both(state)[-1:] if state.baseline_rpm >= FEWEST else ()
    return any(_is_few(rate, state.baseline_rpm) for rate, _, _ in newest)


def _is_few(rate: float, baseline: int) -> bool:
    return rate < baseline * SHARE / _PERCENT


def _of_both(state: State) -> Sequence[tuple[float, float, float]]:
    """Periods received of both colours, in order: requests a minute, start and end (s)."""
    counts: dict[tuple[float, float], dict[str, int]] = {}
    for period in state.periods:
        if isinstance(period, Metrics) and period.requests is not None and period.start >= state.few_since:
            counts.setdefault((period.start, period.end), {})[period.role] = period.requests
    both = ((start, end, sum(by.values())) for (start, end), by in sorted(counts.items()) if len(by) > 1)
    return [(MINUTE * requests / (end - start), start, end) for start, end, requests in both]
