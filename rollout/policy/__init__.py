"""The release policy: pure functions over plan, state and event. See :mod:`rollout.policy.decide`."""

from rollout.policy.deadlines import due_times
from rollout.policy.decide import IllegalEvent, Phase, State, decide, initial_state

# The version of the rules: it goes up with every change that can lead to another decision on the same events, for a
# journal is continued only by the rules that began it. tests/rollout/policy/test_rules_version.py notices such a change.
RULES = 3

__all__ = ["RULES", "IllegalEvent", "Phase", "State", "decide", "due_times", "initial_state"]
