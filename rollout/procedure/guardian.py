"""Whether traffic is taken back when nobody watches a rollout: the guardian, asked by what it leaves in the store."""

from __future__ import annotations

from rollout.journal.guard import DEAD, KEY, Guard
from rollout.journal.store import Shared, StoreError
from rollout.procedure.preflight import Finding
from rollout.stacks.environment import Environment

_NAME = "guardian"


def ask_guardian(shared: Shared | None, environment: Environment) -> Finding:
    """The check before a rollout: one that is deployed lives and may modify the rule in force."""
    stack = f"{environment.name}-guardian"
    if shared is None:
        return Finding(_NAME, "without --store no guardian takes back what nobody watches", warning=True)
    try:
        guard, age = Guard.read(shared.store), shared.store.age(KEY)
    except StoreError as error:
        return Finding(_NAME, str(error))
    if guard is None or age is None:
        return Finding(
            _NAME,
            f"none has looked at {shared.store.where}: nothing takes back what nobody watches; `pulumi up -s {stack}`",
            warning=True,
        )
    problem = ""
    if age > DEAD:
        problem = (
            f"it looked last {age:.0f} s ago, and should every minute; its log and its alarms say why, `pulumi up -s {stack}`. If it was "
            f"removed on purpose, remove {shared.store.where}{KEY}"
        )
    elif guard.rule_arn != environment.rule_arn:
        problem = f"it may modify {guard.rule_arn}, the rule in force is {environment.rule_arn}; `pulumi up -s {stack}`"
    return Finding(
        _NAME, problem, detail=f"looked {age:.0f} s ago, takes back what nobody watches for {guard.after:g} s"
    )


def unwatched(shared: Shared | None) -> str:
    """What becomes of a rollout that its controller leaves, as a sentence. Blocking; never raises."""
    try:
        guard = Guard.read(shared.store) if shared else None
        age = shared.store.age(KEY) if shared else None
    except StoreError:
        return "Whether a guardian takes it back is not known: the store does not answer."
    if guard is None or age is None or age > DEAD:
        return "No guardian takes it back."
    return f"The guardian sends all traffic to stable when nobody has resumed within {guard.after:g} s."
