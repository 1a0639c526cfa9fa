"""How a rollout stands: from its journal, and from the load balancer."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from rollout.journal import Record
from rollout.journal.header import Header
from rollout.terminal.status import Status, status_of
from rollout.terminal.traffic_now import traffic_now
from tests.rollout import journals

PLACE = {
    "region": "eu-west-1",
    "rule_arn": "rule",
    "groups": {"stable": "blue-group", "candidate": "green-group"},
}


class LoadBalancer:
    """An elbv2 client whose rule gives the candidate a weight."""

    def __init__(self, weight: int, groups: tuple[str, str] = ("blue-group", "green-group")) -> None:
        weights = zip(groups, (100 - weight, weight), strict=True)
        self._groups = [{"TargetGroupArn": arn, "Weight": share} for arn, share in weights]

    def describe_rules(self, **_: Any) -> dict[str, Any]:
        return {
            "Rules": [{"Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": self._groups}}]}]
        }


def header(**more: Any) -> Header:
    return Header.read(Record(1, "", "rollout", 0, journals.header(**more)))


def status_at(records: tuple[Record, ...], now: float, controller: str | None = "process 7") -> Status:
    live = traffic_now(Header.read(records[0]).card, lambda region: LoadBalancer(25))
    return status_of(Path("journal.jsonl"), records, controller, journals.START + now, live)


def watching(**more: Any) -> tuple[Record, ...]:
    """The records of a good release until its second stage is watched."""
    records = journals.good_release(**more)
    seen = next(r.seq for r in records if r.kind == "event" and r.body.get("weight") == 25)
    return records[:seen]


def test_what_no_service_accepted_is_shown_until_one_does() -> None:
    def notified(effect: int, ok: bool) -> Record:
        body = {
            "effect": effect,
            "act": "notify",
            "ok": ok,
            "topic": "immediate",
            "subject": f"hold {effect}",
            "error": "no",
        }
        return Record(0, "", "result", 9, body)

    records = (*watching(**PLACE), notified(7, False), notified(8, False), notified(7, True))
    status = status_at(records, 30)
    assert "NOT SENT:    hold 8 (immediate); no service has accepted it yet" in status.in_words()
    assert "NOT SENT:    hold 7" not in status.in_words()
    assert json.loads(status.to_json())["untold"] == ["hold 8 (immediate)"]


def test_a_rollout_under_way_shows_when_it_began_what_it_awaits_and_where_traffic_is() -> None:
    records = watching(**PLACE)
    words = status_at(records, records[-1].t + 5).in_words()
    assert "local, plan phase-c: watching" in words
    assert "started:     2025-12-20 02:00:00 UTC, 28 s ago" in words
    assert "commanded 25 %, last seen 25 %" in words
    assert "traffic now: green v2 has 25 %, blue v1 has 75 % (load balancer, " in words
    assert "awaits:      window: 13 s left" in words
    assert "the last one is 5 s old" in words
    assert "No controller is running" not in words
    alone = status_at(records, 20, controller=None).in_words()
    assert "No controller is running" in alone
    assert "awaits" not in alone, "nobody acts on a window that ends"


def test_an_ended_rollout_says_how_it_ended_and_awaits_nothing() -> None:
    records = journals.bad_release()
    end = {"what": "ended", "outcome": "aborted", "verified": True, "exit": 3}
    closed = (*records, Record(len(records) + 1, "", "note", records[-1].t, end))
    found = status_at(closed, 3 * 3600 + 60)
    assert found.in_words().startswith("local, plan phase-c: aborted\n")
    assert "3 h 1 min ago; it took" in found.in_words()
    assert "awaits" not in found.in_words()


def test_json_has_the_same() -> None:
    records = watching(**PLACE)
    found = json.loads(status_at(records, 30).to_json())
    assert found["candidate_weight"] == {"commanded": 25, "seen": 25, "live": 25, "live_unknown": None}
    assert (found["started"], found["age_s"]) == ("2025-12-20 02:00:00 UTC", 30)
    assert (found["phase"], found["outcome"], found["controller"]) == ("watching", None, "process 7")


@pytest.mark.parametrize(
    ("balancer", "why"),
    [
        (
            LoadBalancer(25, ("blue-group", "somebody else's")),
            "not to the target groups of stable and candidate alone",
        ),
        (None, "'NoneType' object has no attribute 'describe_rules'"),
    ],
)
def test_an_unknown_weight_says_why(balancer: Any, why: str) -> None:
    found = traffic_now(header(**PLACE).card, lambda region: balancer)
    assert found.weight is None
    assert found.in_words().startswith("unknown: ")
    assert why in found.why


def test_a_journal_without_the_rule_says_so_and_asks_nobody() -> None:
    def nobody(region: str) -> Any:
        raise AssertionError(region)

    assert (
        "the journal does not name the load balancer's rule" in traffic_now(header().card, nobody).in_words()
    )


def test_a_load_balancer_that_hangs_is_not_waited_for() -> None:
    released = threading.Event()

    def hang(region: str) -> Any:
        released.wait(30)

    assert (
        traffic_now(header(**PLACE).card, hang, limit=0.05).why
        == "the load balancer did not answer within 0.05 s"
    )
    released.set()
