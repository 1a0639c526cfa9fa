"""Nights with a store and a second machine: what must hold between two controllers, and that the checks notice when it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from rollout.control.controller import Controller
from rollout.control.exits import Exit
from rollout.control.faulty.draw import Elsewhere, Foreign, Night, draw_night
from rollout.control.faulty.elsewhere import MemoryStore, Sending
from rollout.control.faulty.matrices import quiet_night
from rollout.control.faulty.night import Played, play, play_night
from rollout.control.faulty.ports import STORE, STORE_THERE, Fault, Outage
from rollout.control.faulty.process import Death
from rollout.journal.store import Lease, Shared, StoreError
from rollout.policy.events import DecisionKind

ALWAYS = 4000.0


def two_machines(*acts: tuple[float, str], kind: str = "good", **changes: Any) -> Night:
    """A night in which nothing fails, with a store, and somebody on another machine."""
    return replace(quiet_night(kind), elsewhere=Elsewhere(acts), calm_at=ALWAYS, **changes)


def cut_off(begin: float, end: float, place: str = STORE) -> tuple[Outage, ...]:
    return (Outage(place, Fault.ERROR, begin, end),)


def violations(played: Played) -> list[str]:
    return [str(violation) for violation in played.violations]


def decided(played: Played, kind: DecisionKind) -> list[float]:
    return [r.t for r in played.records if r.kind == "decision" and r.body["decision"] == kind]


def test_a_second_controller_is_refused_while_the_first_renews_its_lease() -> None:
    played = play_night(two_machines((30.0, "resume"), (100.0, "resume")))
    assert violations(played) == []
    assert played.exit is Exit.DONE
    assert played.met == {"controllers refused there": 2}


def test_one_that_is_cut_off_from_the_store_is_taken_over_and_leaves() -> None:
    played = play_night(two_machines((45.0, "resume"), outages=cut_off(40, 200)))
    assert violations(played) == []
    assert played.exit is Exit.DONE, "the second controller promotes"
    assert played.met["leases taken over from the living"] == 1
    assert played.met["controllers left, their lease lost"] == 1
    assert played.met["controllers refused here"] > 0, "whoever comes back here finds the other at work"


def test_one_that_died_is_taken_over_when_its_lease_stands_still() -> None:
    night = two_machines((50.0, "resume"), deaths=(Death("time", 45.0),), rests=(600.0,), skews=(0.0,))
    played = play_night(night)
    assert violations(played) == []
    assert played.exit is Exit.DONE
    assert played.met == {"resumed on another machine": 1}


def test_a_store_that_is_down_stops_increases_and_nothing_else() -> None:
    everywhere = (*cut_off(20, ALWAYS), *cut_off(20, ALWAYS, STORE_THERE))
    played = play_night(two_machines((30.0, "resume"), outages=everywhere))
    assert violations(played) == []
    assert max(weight for _, weight in played.history) == 50, "it cannot record the next intent"
    assert played.exit is Exit.ROLLED_BACK


@pytest.mark.parametrize("there_down", [False, True])
def test_an_abort_is_never_refused(*, there_down: bool) -> None:
    outages = cut_off(90, 130, STORE_THERE) if there_down else ()
    played = play_night(two_machines((100.0, "abort"), outages=outages))
    assert violations(played) == []
    assert played.met == {"aborts from another machine, beside the controller": 1}
    assert played.exit is Exit.ROLLED_BACK
    first = decided(played, DecisionKind.SET_WEIGHT)[-1]
    assert 160 < first < 200 if there_down else 100 <= first < 105, (
        "without the mark it sees 0 %, and the hold times out"
    )


def test_an_abort_waits_for_nobody_and_is_heard_by_whoever_resumes() -> None:
    night = two_machines((60.0, "abort"), deaths=(Death("time", 45.0),), rests=(600.0,), skews=(0.0,))
    played = play_night(night)
    assert violations(played) == []
    assert played.exit is Exit.ROLLED_BACK
    assert played.history[-1:] == ((60, 0),), "the dead one's lease has not run out, and is not waited for"
    assert played.met == {"aborts from another machine, beside the controller": 1}


def test_nobody_goes_on_while_it_is_not_known_whether_an_abort_was_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marked = Shared.marked

    def unreadable(self: Shared, name: str) -> str | None:
        if 640 <= asyncio.get_running_loop().time() < 700:
            raise StoreError("the mark cannot be read")
        return marked(self, name)

    monkeypatch.setattr(Shared, "marked", unreadable)
    night = two_machines((60.0, "abort"), deaths=(Death("time", 45.0),), rests=(600.0,), skews=(0.0,))
    played = play_night(night)
    assert violations(played) == []
    assert played.exit is Exit.ROLLED_BACK
    assert played.met["not resumed, the mark unknown"] > 1
    assert not [r for r in played.records if 50 < r.t < 690], "until it was known nothing was decided"


def test_a_watch_on_one_machine_hears_an_undo_from_another() -> None:
    night = two_machines((400.0, "abort"), watched=True, watch_s=1000.0, breaks_s=ALWAYS)
    played = play_night(night)
    assert violations(played) == []
    assert played.exit is Exit.ROLLED_BACK
    assert played.met["watch: rolled back"] == 1


def test_a_promoted_release_that_breaks_is_undone_by_the_watch_after_it() -> None:
    night = replace(quiet_night("good"), watch_s=1200.0, breaks_s=300.0)
    played = play_night(night)
    assert violations(played) == []
    assert played.met == {"watch: rolled back": 1}
    assert played.exit is Exit.ROLLED_BACK


def test_another_version_ends_a_release_that_nobody_decides() -> None:
    played = play_night(replace(quiet_night("good"), foreign=(Foreign("candidate", 50.0, 1e9),)))
    assert violations(played) == []
    assert played.exit is Exit.ROLLED_BACK
    held = [r.body for r in played.records if r.kind == "decision" and r.body["decision"] == "hold"]
    assert held[0]["criterion"] == "identity"


def test_seeds_of_two_machines_are_the_same_night_each_time() -> None:
    first, second = play(63), play(63)
    assert draw_night(63).elsewhere
    assert first.met == second.met
    assert first.history == second.history


# --- planted: each is noticed


def test_a_lease_that_nobody_honours_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(self: Lease, held: Any, tag: str, say: Any) -> Generator[float, None, bool]:
        yield 0.0
        return False

    monkeypatch.setattr(Lease, "_lives", dead)
    played = play_night(two_machines((30.0, "resume")))
    assert "a second controller was let in" in violations(played)[0]


def test_an_increase_that_does_not_wait_for_the_store_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(self: Sending, wanted: int, limit: float) -> None:
        pass

    monkeypatch.setattr(Sending, "there", at_once)
    played = play_night(two_machines((15.0, "resume"), outages=cut_off(10, 400)))
    assert "after another took the lease" in " ".join(violations(played))


def test_a_controller_that_does_not_leave_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Controller, "leave", lambda self, why: None)
    night = two_machines((45.0, "resume"), outages=cut_off(40, 200))
    assert "decided on without its lease" in " ".join(violations(play_night(night)))


def test_a_mark_that_nobody_hears_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shared, "marked", lambda self, name: None)
    resumed = two_machines((100.0, "abort"), commands=((130.0, "resume"),))
    assert "ended well" in " ".join(violations(play_night(resumed)))
    watched = two_machines((100.0, "abort"), watched=True, watch_s=1000.0, breaks_s=ALWAYS)
    assert "ended well" in " ".join(violations(play_night(watched)))


def test_a_store_that_overwrites_records_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(self: MemoryStore, key: str, body: bytes) -> bool:
        self.write(key, body)
        return True

    monkeypatch.setattr(MemoryStore, "create", create)
    found: list[str] = []
    for begin in range(10, 60, 10):
        night = two_machines((begin + 2.0, "resume"), outages=cut_off(begin, begin + 60))
        found += violations(play_night(night))
    assert any("the store has another journal" in what for what in found)
