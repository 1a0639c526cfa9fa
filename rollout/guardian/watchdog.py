"""One look of the guardian.

Open is a rollout whose journal has no closing note. It is watched while its controller renews the lease. A promotion that has begun is
never taken back here: only the stacks say who is stable then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rollout.aws.failures import AWS_ERRORS, failure
from rollout.aws.forward import all_on, forward_actions
from rollout.journal import JournalError, Record, parse_journal
from rollout.journal.card import BadCard, Card, bring_in_line
from rollout.journal.guard import KEY, Guard
from rollout.journal.notes import Left
from rollout.journal.progress import ended, promotion_begun
from rollout.journal.store import LEASE, Shared, Store, StoreError, record_name

Tell = Callable[[str, str], None]
"""Pages people with a subject and a text. Raises what the service raises."""


@dataclass(frozen=True, slots=True)
class _Judged:
    found: str
    settled: bool
    subject: str = ""
    text: str = ""


class GuardianFailed(Exception):
    """What had to be done could not be done; the next look tries again. The message says what and why."""


@dataclass(frozen=True, slots=True)
class Guardian:
    """``after`` in seconds; ``now`` gives the time as text."""

    store: Store
    elbv2: Any
    tell: Tell
    env: str
    rule_arn: str
    after: float
    now: Callable[[], str]

    def look(self) -> Guard:
        """Looks, acts, tells people and leaves what it found in the store. Raises :class:`GuardianFailed`, ``StoreError``."""
        shared = Shared(self.store)
        name, before = shared.latest() or "", Guard.read(self.store)
        lease = self.store.read(LEASE)
        guard = Guard(
            self.now(), self.after, self.rule_arn, "", journal=name, lease=lease[1] if lease else ""
        )
        same = before is not None and (before.journal, before.lease) == (guard.journal, guard.lease)
        if same and before and before.settled:
            judged, told = _Judged(before.found, settled=True), before.told
        else:
            judged, told = self._judge(shared, guard), before.told if same and before else ""
        problem = ""
        if judged.subject not in {"", told}:
            problem = self._told(judged)
            told = told if problem else judged.subject
        settled = judged.settled and not problem
        guard = replace(guard, found=judged.found, settled=settled, told=told)
        self.store.write(KEY, guard.to_json())
        if problem or judged.found.startswith(_FAILED):
            raise GuardianFailed(". ".join(filter(None, (judged.found, problem))))
        return guard

    def _told(self, judged: _Judged) -> str:
        try:
            self.tell(judged.subject, judged.text)
        except AWS_ERRORS as error:
            return failure(error, "sns:Publish", "the topic of immediate alarms")
        return ""

    def _judge(self, shared: Shared, guard: Guard) -> _Judged:
        if not guard.journal:
            return _Judged("there was no rollout yet", settled=False)
        age = self._silence(guard)
        if age <= self.after:
            return _Judged(f"somebody was at work {age:.0f} s ago", settled=False)
        try:
            records = parse_journal(shared.lines(guard.journal), guard.journal)
            if not records or ended(records):
                return _Judged("the latest rollout has ended", settled=True)
            if promotion_begun(records):
                return self._promoted(records, age)
            card = Card.read(records[0].body)
        except (JournalError, BadCard) as error:
            return _Judged(
                f"the journal {guard.journal} cannot be read: {error}",
                settled=True,
                subject="a rollout's journal cannot be read",
                text=f"The guardian can do nothing for {guard.journal}: {error}. `rollout abort` moves traffic to stable.",
            )
        lease = self.store.read(LEASE)
        if (lease[1] if lease else "") != guard.lease:
            return _Judged("somebody has just begun to work", settled=False)
        return self._take_back(shared, guard.journal, card, age)

    def _silence(self, guard: Guard) -> float:
        """Seconds since the last sign of a controller."""
        age = self.store.age(LEASE)
        if age is None:  # somebody removed the lease
            last = self.store.names(f"journals/{guard.journal}")[-1:] or [record_name(1)]
            age = self.store.age(f"journals/{guard.journal}/{last[0]}")
        return float("inf") if age is None else age

    def _promoted(self, records: Sequence[Record], age: float) -> _Judged:
        header = records[0].body
        if header.get("kind") == "watch":
            left = any(isinstance(record.note, Left) for record in records[-5:])
            told = "" if left else "nobody watches the promoted release"
            then = "`rollout watch` watches it again, `rollout undo` takes it back."
        else:
            told = "a promotion is not finished, and nobody is at work"
            then = "`rollout resume` finishes it, `rollout undo` takes it back."
        text = f"No controller for {age:.0f} s. {header.get('candidate')} keeps all traffic. {then}"
        return _Judged(
            "the latest release was promoted: traffic is left alone", True, told, text if told else ""
        )

    # --- moving traffic

    def _take_back(self, shared: Shared, name: str, card: Card, age: float) -> _Judged:
        silent = f"no controller of {name} for {age:.0f} s"
        if problem := self._stable_is_dead(card):
            return self._not_moved(silent, f"{problem}: moving traffic there would be an outage")
        try:
            # Before traffic moves, so that whoever resumes now hears an abort and raises nothing.
            shared.mark(name)
        except StoreError as error:
            silent += f" (the mark of the abort could not be left: {error})"
        try:
            moved = self._move(card)
        except AWS_ERRORS as error:
            why = failure(error, "elasticloadbalancing:ModifyRule", card.rule_arn)
            return self._not_moved(silent, why)
        except GuardianFailed as error:
            return self._not_moved(silent, str(error))
        by_hand = bring_in_line(f"{self.env}-traffic", card.colours["stable"])
        done = "all traffic is on" if moved else "all traffic was already on"
        return _Judged(
            f"{silent}: {done} {card.named('stable')}",
            settled=True,
            subject="an unwatched rollout was taken back" if moved else "a rollout was left unfinished",
            text=f"{silent}: {done} {card.named('stable')}, which is not verified to be back to normal. The rollout counts as aborted. "
            f"The traffic stack does not know it yet: {by_hand}",
        )

    @staticmethod
    def _not_moved(silent: str, why: str) -> _Judged:
        return _Judged(
            f"{_FAILED}: {why}",
            settled=False,
            subject="an unwatched rollout could NOT be taken back",
            text=f"{silent}, and {why}. The guardian tries again every minute. `rollout abort`, or docs/emergency.md.",
        )

    def _stable_is_dead(self, card: Card) -> str:
        """Why moving would be an outage; '' when it would not, and when nobody knows: that is no reason to leave it."""
        try:
            healthy = {role: self._healthy(group) for role, group in card.groups.items()}
        except AWS_ERRORS:
            return ""
        if healthy["stable"] or not healthy["candidate"]:
            return ""
        return f"{card.named('stable')} has no healthy target, {card.named('candidate')} has {healthy['candidate']}"

    def _healthy(self, group: str) -> int:
        found = self.elbv2.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return sum(target["TargetHealth"]["State"] == "healthy" for target in found)

    def _move(self, card: Card) -> bool:
        """Weights and stickiness, nothing else of the rule; False when there was nothing to do."""
        stable = card.groups["stable"]
        if all_on(stable, self._actions(card.rule_arn)):
            return False
        self.elbv2.modify_rule(RuleArn=card.rule_arn, Actions=forward_actions(card.groups, 0))
        if not all_on(stable, self._actions(card.rule_arn)):
            raise GuardianFailed("the rule was modified, and something else is read back")
        return True

    def _actions(self, rule_arn: str) -> list[dict[str, Any]]:
        rules = self.elbv2.describe_rules(RuleArns=[rule_arn])["Rules"]
        if not rules:
            raise GuardianFailed(f"the load balancer has no rule {rule_arn}")
        actions: list[dict[str, Any]] = rules[0]["Actions"]
        return actions


_FAILED = "traffic could NOT be moved"
