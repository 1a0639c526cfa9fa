"""The release policy: pure functions over plan, state and event. See :mod:`rollout.policy.decide`."""

from rollout.policy.decide import IllegalEvent, Phase, State, decide, initial_state

__all__ = ["IllegalEvent", "Phase", "State", "decide", "initial_state"]
