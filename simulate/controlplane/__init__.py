"""The control plane of the simulator: the real policy under a simulated clock.

``World`` is what a rehearsal is set in, ``Rehearsal`` runs it, ``RehearsalResult`` is what happened.
"""

from simulate.controlplane.alarms import FRONTEND_ASSETS
from simulate.controlplane.cloudwatch import Closed
from simulate.controlplane.draws import Draws, Stream
from simulate.controlplane.rehearsal import Rehearsal
from simulate.controlplane.result import RehearsalResult
from simulate.controlplane.surroundings import model_for
from simulate.controlplane.world import (
    Change,
    Delivery,
    Fault,
    Habits,
    Reaction,
    Surge,
    Switch,
    Updates,
    World,
)

__all__ = [
    "FRONTEND_ASSETS",
    "Change",
    "Closed",
    "Delivery",
    "Draws",
    "Fault",
    "Habits",
    "Reaction",
    "Rehearsal",
    "RehearsalResult",
    "Stream",
    "Surge",
    "Switch",
    "Updates",
    "World",
    "model_for",
]
