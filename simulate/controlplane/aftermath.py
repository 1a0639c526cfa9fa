"""The hours after a promotion, rule 21: somebody watches, and what breaks is taken back by the watch or by a person.

`rollout watch` and `rollout undo` begin with a state of their own. A rehearsal's clock goes on: times stay those from the start of the release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout.plan import WHOLE
from rollout.policy import Phase, State, timing
from rollout.policy.events import Operator, Traffic
from simulate.controlplane.draws import Stream

if TYPE_CHECKING:
    from simulate.controlplane.rehearsal import Rehearsal


def follow(run: Rehearsal, before: Phase) -> None:
    """What a change of the policy's phase begins or ends here."""
    now, phase = run.now, run.state.phase
    if before is Phase.STEADY and phase is not Phase.STEADY:
        run.begin_rounds()
        run.watch_probes()
    if phase is not Phase.FINISHED or before is Phase.FINISHED:
        return
    run.until = 0
    if before is Phase.BAKING:
        run.result.promoted = now / 1000
        if after := run.world.aftermath:
            run.until = now + round(1000 * after.lasts_s)
            run.enter_faults(after.faults, len(run.world.faults))
            run.agenda.at(run.until, type(run).look)
            if after.watched_from_s is not None:
                run.agenda.at(now + round(1000 * after.watched_from_s), watch)


def watch(run: Rehearsal) -> None:
    """Somebody types `rollout watch`, for what is left of the night."""
    if run.state.phase is not Phase.FINISHED or run.result.outcome != "promoted":
        return  # undone meanwhile
    run.state = State()
    run.begin_rounds(timing.probe_interval(run.plan, steady=True))
    run.watch_probes()
    left = (run.until - run.now) / 1000
    run.receive(run.started(promoted=True, watch_s=left), Traffic(run.now / 1000, run.plane.weight))


def alarmed(run: Rehearsal) -> None:
    """An immediate alarm of the promoted release has gone off."""
    after = run.world.aftermath
    if after is None or after.undo is None or run.result.promoted is None or run.alarmed is not None:
        return
    run.alarmed = run.now / 1000
    late = run.draws.time(after.undo, Stream.UNDO, 0)
    run.agenda.at(run.now + round(1000 * late), undo)


def undo(run: Rehearsal) -> None:
    """Somebody types `rollout undo`; a watch that runs carries it out."""
    t = run.now / 1000
    if run.state.phase is Phase.STEADY:
        run.receive(Operator(t, "abort"))
    elif run.state.phase is Phase.FINISHED and run.plane.weight == WHOLE:
        run.state = State()
        run.begin_rounds()
        run.watch_probes()
        run.receive(run.started(undo=True), Traffic(t, run.plane.weight))
