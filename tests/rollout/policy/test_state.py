"""Where a rollout begins: nothing is commanded, seen, failed or counted."""

from __future__ import annotations

from dataclasses import fields
from math import inf

from rollout.policy import Phase, initial_state


def test_the_first_state_is_empty() -> None:
    state = initial_state()
    found = {field.name: getattr(state, field.name) for field in fields(state)}
    assert found.pop("phase") is Phase.READY
    assert found.pop("settled") is True
    assert found.pop("counted_to") == -inf
    assert {name: value for name, value in found.items() if value not in (0, None, (), False)} == {}
