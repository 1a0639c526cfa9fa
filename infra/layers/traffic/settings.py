"""Settings of the traffic layer."""

from __future__ import annotations

from pydantic import Field

from infra.layers.traffic.generation import Traffic
from infra.layers.traffic.weights import WHOLE
from infra.settings import Settings
from infra.stacks import Colour


class TrafficSettings(Settings):
    """The split of the traffic. `candidate_weight` is the percentage of requests for the colour that is not stable."""

    stable: Colour
    candidate_weight: int = Field(ge=0, le=WHOLE)
    # Raised by one at every change; see infra.layers.traffic.generation.
    generation: int = Field(ge=1)
    protect: bool = True

    @property
    def traffic(self) -> Traffic:
        return Traffic(self.generation, self.stable, self.candidate_weight)
