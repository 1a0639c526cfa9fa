"""The arithmetic of traffic weights."""

from __future__ import annotations

from infra.stacks import Colour

WHOLE = 100


def split(stable: Colour, candidate_weight: int) -> dict[Colour, int]:
    """The weight of each colour, blue first, when `candidate_weight` percent go to the colour that is not stable.

    A load balancer's weights are relative; these add up to 100, so a weight is a percentage. Promotion is
    `split(blue, 100) == split(green, 0)`: swapping the roles when the candidate has everything changes no weight,
    and because the order is by colour, not by role, it leaves the rule byte for byte as it was.

    Raises:
        ValueError: the weight is not from 0 to 100.
    """
    if not 0 <= candidate_weight <= WHOLE:
        raise ValueError(f"candidate weight {candidate_weight} is not from 0 to {WHOLE} percent")
    return {colour: WHOLE - candidate_weight if colour is stable else candidate_weight for colour in Colour}
