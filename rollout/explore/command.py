"""What ``rollout explore`` prints."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

from rollout.explore.explorer import INVARIANTS, Explored, Explorer
from rollout.plan import Plan
from rollout.plan.units import duration
from rollout.policy.events import event_to_json

_GIB = 1024**2  # KiB
_HONEST = (
    "Only with its alphabet: one event at a time, at the next deadline, in a second, or a metric period from now; no late or revised "
    "periods, alarms, rate limit, front door or versions."
)


def explore(plan: Plan, seconds: float, gib: float, file: Path, say: Callable[[str], None]) -> bool:
    """Explores for so long, or until the process has so much memory. True when every invariant held."""
    deadline, began = time.monotonic() + seconds, time.monotonic()

    def stop(found: Explored) -> bool:
        return time.monotonic() > deadline or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > gib * _GIB

    found = Explorer(plan, stop).run()
    took = time.monotonic() - began
    say(
        f"{found.states:,} states, {found.transitions:,} transitions in {duration(round(took, 1))} "
        f"({found.transitions / max(took, 1e-9):,.0f} a second); complete to {found.depth} events"
    )
    if found.broken:
        file.write_text("".join(json.dumps(event_to_json(event)) + "\n" for event in found.broken.events))
        say(
            f"BROKEN: {found.broken.invariant}; after {len(found.broken.events)} events: rollout replay {file}"
        )
        return False
    end = (
        "nothing is left to try: closed"
        if found.closed
        else f"{found.frontier:,} states were not tried: not closed"
    )
    say(end)
    say(f"held at every transition: {'; '.join(INVARIANTS)}")
    say(_HONEST)
    return True
