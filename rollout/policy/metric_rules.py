"""What the policy makes of metric periods and of alarms: breaches and retreats, the rate limit, stable after an abort."""

from __future__ import annotations

from typing import Any

from rollout.plan import Limit
from rollout.policy import judge
from rollout.policy.events import Alarm, Breach, DecisionKind, EdgeMetrics, Metrics, Reason, Severity
from rollout.policy.state import ON_STABLE, STOPPED, Cause, Phase
from rollout.policy.step import Step


class MetricRules(Step):
    """Rules 2 to 4, 6, 8 to 10 and 13 of docs/theory.md."""

    def hear_metrics(self, event: Metrics) -> None:
        if event.role == "candidate":
            self.set(answered_at=self.t)
        if not self.remember(event):
            return
        if event.end <= 0:
            return  # what the colour did before this rollout says nothing about it
        found: list[Breach] = []
        if event.role == "candidate":
            found = judge.breaches(self.plan, self.state, event)
        elif self.state.phase is Phase.VERIFYING:
            self._verify(event)
        if self.plan.criteria.comparison is not None and self._pair(event):
            found += judge.compared(self.plan, self.state)
        self._retreat(found)

    def _pair(self, event: Metrics) -> bool:
        """Puts the period beside the other colour's, in place of an earlier version. Whether there is a pair to judge."""
        if event.start <= self.state.counted_to or self.state.phase in ON_STABLE:
            return False
        pair, pairs = judge.pair_of(self.state, event), self.state.pairs
        for index, known in enumerate(pairs):
            if (known.start, known.end) == (event.start, event.end):
                self.set(pairs=(*pairs[:index], *([pair] if pair else []), *pairs[index + 1 :]))
                return pair is not None
        if pair:
            self.set(pairs=(*pairs, pair))
        return pair is not None

    def _retreat(self, breaches: list[Breach]) -> None:
        """The lowest resulting weight wins; every breach is recorded."""
        if not breaches or self.state.phase in ON_STABLE:
            return
        worst = min(breaches, key=lambda b: -1.0 if b.target is None else b.target)
        said: dict[str, Any] = {"value": worst.value, "limit": worst.limit, "breaches": tuple(breaches)}
        beyond, commanded = worst.in_words, self.state.commanded
        self.count_anew()
        if worst.target is None:
            self.abort(worst.criterion, beyond, **said)
        elif worst.target < commanded:
            self.command(worst.target, worst.criterion, f"{beyond}: {worst.target:g} %", **said)
            self.hold(worst.criterion, beyond, value=worst.value, limit=worst.limit)
        elif self.state.phase in STOPPED:
            self.page(worst.criterion, f"{beyond}; already held at {commanded:g} %", **said)
        else:
            self.hold(worst.criterion, f"{beyond}; measured before {commanded:g} % was commanded", **said)
        for other in breaches:
            if other is not worst:
                self.page(
                    other.criterion,
                    f"{other.in_words} in the same period",
                    value=other.value,
                    limit=other.limit,
                )

    def count_anew(self) -> None:
        """What led to a retreat, or was there when a person resumed, is not used again: not by M of N, not to compare."""
        newest = max((p.start for p in judge.candidates(self.state)), default=self.state.counted_to)
        self.set(counted_to=max(newest, self.state.counted_to), pairs=())

    def hear_edge(self, event: EdgeMetrics) -> None:
        state, rule = self.state, self.plan.rate_limit
        already = state.raised_at is not None and event.end <= state.raised_at
        if not self.remember(event) or already or event.share <= rule.share or state.phase in STOPPED:
            return
        now = state.rate_limit or rule.initial
        said = {"value": event.share, "limit": rule.share}
        self.set(raised_at=event.end)
        limited = f"{event.share:.3g} % of the requests were rate limited"
        if now >= rule.cap:
            self.page(Reason.RATE_LIMITED, f"{limited}; the limit is at its cap of {rule.cap}/min", **said)
            return
        raised = min(now + rule.step, rule.cap)
        self.set(rate_limit=raised)
        self.say(
            DecisionKind.RAISE_RATE_LIMIT,
            Reason.RATE_LIMITED,
            f"{limited}: from {now} to {raised} requests per minute",
            rate_limit=raised,
            **said,
        )

    def hear_alarm(self, event: Alarm) -> None:
        if event.state != "ALARM":
            return
        if action := self.plan.alarms.get(event.name):
            target = judge.target(self.plan, Limit(0, action), self.state.commanded)
            self._retreat([Breach(Reason.ALARM, 1, 0, target)])
        elif event.tier != "notice":
            severity = Severity.PAGE if event.tier == "immediate" else Severity.WARNING
            self.say(DecisionKind.ALERT, Reason.ALARM, f"{event.tier} alarm {event.name}", severity=severity)

    # --- after an abort

    def stable_periods(self) -> list[Metrics]:
        """Stable's periods since all traffic is on it, those that measured anything at all."""
        start = self.state.window_start or 0.0
        return [
            p
            for p in self.state.periods
            if isinstance(p, Metrics) and p.role == "stable" and p.start >= start and p.requests
        ]

    def _verify(self, event: Metrics) -> None:
        if event not in self.stable_periods() or self.state.verification_paged:
            return
        for breach in judge.not_normal(self.plan, event):
            self.set(verification_paged=True)
            self.page(
                breach.criterion,
                f"stable is not back to normal: {breach.criterion} {breach.value:.4g}, "
                f"below {breach.limit:g} was expected",
                value=breach.value,
                limit=breach.limit,
            )

    def verified(self) -> None:
        state, plan = self.state, self.plan
        periods = self.stable_periods()
        measured = [p for p in periods if judge.is_measured(p)]
        normal = not any(judge.not_normal(plan, p) for p in periods)
        reason = f"all traffic on stable, which was normal for {plan.verification.watch:g} s"
        if not normal:
            reason = "all traffic on stable, which did not return to normal"
        elif not measured:
            reason = "all traffic on stable, whose metrics never came: not verified"
            self.page(Reason.BLIND, reason, value=0, limit=1)
        self.move(Cause.VERIFIED)
        self.say(
            DecisionKind.FINISH,
            state.abort_criterion or Reason.OPERATOR,
            reason,
            weight=0,
            value=len(measured),
            outcome="aborted",
            verified=normal and bool(measured),
        )
