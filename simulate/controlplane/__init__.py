"""The control plane of the simulator: the real policy under a simulated clock.

``World`` is what a rehearsal is set in, ``Rehearsal`` runs it, ``RehearsalResult`` is what happened.
"""

from simulate.controlplane.alarms import FRONTEND_ASSETS
from simulate.controlplane.cloudwatch import Closed
from simulate.controlplane.draws import Draws, Stream
from simulate.controlplane.rehearsal import WRITTEN_BACK, Rehearsal
from simulate.controlplane.result import RehearsalResult
from simulate.controlplane.surroundings import model_for
from simulate.controlplane.world import (
    Absence,
    Aftermath,
    Change,
    Delivery,
    Fault,
    Habits,
    Reaction,
    Redeploy,
    Surge,
    Switch,
    TrafficRule,
    Updates,
    World,
)

__all__ = [
    "FRONTEND_ASSETS",
    "WRITTEN_BACK",
    "Absence",
    "Aftermath",
    "Change",
    "Closed",
    "Delivery",
    "Draws",
    "Fault",
    "Habits",
    "Reaction",
    "Redeploy",
    "Rehearsal",
    "RehearsalResult",
    "Stream",
    "Surge",
    "Switch",
    "TrafficRule",
    "Updates",
    "World",
    "model_for",
]
