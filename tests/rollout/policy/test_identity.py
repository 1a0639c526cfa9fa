"""Rule 16: what answers must be what was approved."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.policy import IllegalEvent, Phase
from rollout.policy.events import BadEvent, event_to_json, parse_event
from tests.rollout.runs import Run, brief

APPROVED = {"candidate_version": "2.0.0", "stable_version": "1.0.0"}


def begun(**approved: str) -> Run:
    """A rollout at 5 %, its window open since 1 s."""
    run = Run()
    run(0, "started", **(approved or APPROVED))
    run(1, "traffic", weight=5)
    return run


def answers(run: Run, t: float, *versions: str, colour: str = "candidate") -> list[dict[str, Any]]:
    return run(t, "health", colour=colour, failed=[], version=list(versions))


def test_another_version_than_approved_is_held_and_said_once() -> None:
    run = begun()
    assert answers(run, 5, "2.0.0") == []
    (held,) = answers(run, 10, "2.0.0", "2.0.1")
    assert brief([held]) == [("hold", 5, "identity")]
    assert held["reason"] == "candidate answers as version 2.0.1, and 2.0.0 was approved"
    assert run.state.phase is Phase.HELD
    assert [answers(run, t, "2.0.1") for t in (15, 20, 25)] == [[], [], []]
    (again,) = answers(run, 30, "2.0.2")
    assert again["reason"] == "candidate answers as version 2.0.2, and 2.0.0 was approved"


def test_stable_has_an_identity_too() -> None:
    run = begun()
    (held,) = answers(run, 5, "1.0.1", colour="stable")
    assert held["reason"] == "stable answers as version 1.0.1, and 1.0.0 was approved"


@pytest.mark.parametrize("versions", [(), ("2.0.0",)], ids=["no header", "as approved"])
def test_no_version_is_not_another_version(versions: tuple[str, ...]) -> None:
    run = begun()
    assert answers(run, 5, *versions) == []
    assert run.state.phase is Phase.WATCHING


def test_a_rollout_that_approved_nothing_asks_for_nothing() -> None:
    run = Run()
    run(0, "started")
    run(1, "traffic", weight=5)
    assert answers(run, 5, "2.0.0") == []


def test_resume_is_refused_while_it_lasts() -> None:
    run = begun()
    answers(run, 10, "2.0.1")
    refused = (
        "candidate still answers as version 2.0.1, and 2.0.0 was approved: bring 2.0.0 back, or `rollout abort` "
        "and start a new rollout"
    )
    with pytest.raises(IllegalEvent, match=refused):
        run(12, "operator", command="resume")
    for t in (15, 20):
        answers(run, t, "2.0.0")
        run(t, "health", colour="candidate", failed=["health"])  # says nothing of any version
        with pytest.raises(IllegalEvent, match=refused):
            run(t, "operator", command="resume")
    answers(run, 25, "2.0.0")
    run(26, "operator", command="resume")
    assert run.state.phase is Phase.WATCHING
    assert run.state.window_start == 26


def test_one_of_several_replicas_that_answers_now_and_then_lasts() -> None:
    run = begun()
    answers(run, 5, "2.0.1")
    for t in range(10, 60, 10):
        answers(run, t, "2.0.0")
        assert answers(run, t + 5, "2.0.0", "2.0.1") == []
    with pytest.raises(IllegalEvent, match=r"2\.0\.1"):
        run(60, "operator", command="resume")


def test_the_operators_pause_stays_a_pause() -> None:
    run = begun()
    run(2, "operator", command="pause")
    (held,) = answers(run, 5, "2.0.1")
    assert brief([held]) == [("hold", 5, "identity")]
    assert run.state.phase is Phase.PAUSED
    with pytest.raises(IllegalEvent, match=r"2\.0\.1"):
        run(6, "operator", command="resume")


def test_after_an_abort_only_stable_counts_and_only_pages() -> None:
    run = begun()
    run(2, "operator", command="abort")
    run(3, "traffic", weight=0)
    assert answers(run, 5, "2.0.1") == []
    (paged,) = answers(run, 5, "1.0.1", colour="stable")
    assert brief([paged]) == [("alert", None, "identity")]
    assert paged["severity"] == "page"
    assert run.state.phase is Phase.VERIFYING


def test_a_digest_is_approved_with_the_first_round_that_tells_it() -> None:
    run = begun()
    answers(run, 5, "2.0.0")
    assert answers(run, 10, "2.0.0@sha256:aa") == []
    assert answers(run, 15, "2.0.0") == []
    (held,) = answers(run, 20, "2.0.0@sha256:aa", "2.0.0@sha256:bb")
    assert held["reason"] == "candidate answers as version 2.0.0@sha256:bb, and 2.0.0@sha256:aa was approved"


@pytest.mark.parametrize(
    ("written", "version"),
    [("2.0.0", ("2.0.0",)), (["2.0.0", "2.0.1"], ("2.0.0", "2.0.1")), ([], ()), (None, ())],
)
def test_the_json_form(written: Any, version: tuple[str, ...]) -> None:
    event = parse_event({"t": 1, "event": "health", "colour": "stable", "failed": [], "version": written})
    assert event.version == version  # type: ignore[union-attr]
    assert parse_event(event_to_json(event)) == event
    assert ("version" in event_to_json(event)) == bool(version)
    started = parse_event({"t": 0, "event": "started", **APPROVED})
    assert event_to_json(started) == {"t": 0, "event": "started", **APPROVED}


@pytest.mark.parametrize("wrong", [3, [3], "", {"a": 1}])
def test_what_is_no_version(wrong: Any) -> None:
    with pytest.raises(BadEvent, match=r"'version' is .*: it takes a text or a list of texts"):
        parse_event({"t": 1, "event": "health", "colour": "stable", "failed": [], "version": wrong})
