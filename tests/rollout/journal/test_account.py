"""What an account says of journals, as approved; and of those that hardly began."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from typing import Any

import pytest

from rollout.journal import JournalError, Record, account
from rollout.journal.account import Account, account_of
from rollout.journal.header import FORMAT, Header
from rollout.journal.notes import Reconciled, note_to_json
from rollout.journal.report import milestones, missed, section
from rollout.policy import RULES
from rollout.policy.events import Reason
from tests.rollout import journals
from tests.rollout.golden import approved

# They are in the journal as they are here, or very long.
PLAIN = {"header", "plan", "periods", "watched", "details", "edge", "rounds", "decisions", "notes"}
JOURNALS = (
    journals.good_release,
    journals.bad_release,
    journals.slow_at_half,
    journals.failing_probe,
    journals.metrics_missing,
    journals.metrics_failing,
)


def as_text(account: Account) -> str:
    found: dict[str, Any] = {
        field.name: getattr(account, field.name) for field in fields(account) if field.name not in PLAIN
    }
    found |= {
        "outcome": account.outcome,
        "final_weight": account.final_weight,
        "highest_weight": account.highest_weight,
        "stack_updates": len(account.stack_updates),
        "deadlines_missed": account.deadlines_missed,
        "periods": len(account.periods),
        "watched": len(account.watched),
        "rounds": len(account.rounds),
        "details": len(account.details),
        "notes": len(account.notes),
        "decisions": [(body["t"], body["decision"], body["criterion"]) for body in account.decisions],
    }
    return json.dumps(found, indent=1, default=asdict) + "\n"


@pytest.mark.parametrize("journal", JOURNALS)
def test_an_account_is_as_approved(journal: Callable[[], tuple[Record, ...]]) -> None:
    assert approved(f"account-{journal.__name__}.json", as_text(account_of(journal())))


def test_whatever_ends_a_stage_has_a_verdict() -> None:
    moves_nothing = {Reason.STARTED, Reason.RATE_LIMITED}
    assert set(account._VERDICTS) == set(Reason) - moves_nothing


def test_a_release_that_hardly_began() -> None:
    account = account_of(journals.good_release()[:2])
    assert account.outcome == "unfinished" and account.finish is None
    assert (account.seen, account.final_weight, account.highest_weight) == ((), 0.0, 0.0)
    assert account.breach_s is None and account.stack_updates == () and account.retreats == ()


def test_an_account_starts_with_the_first_record() -> None:
    first, *rest = journals.good_release()
    earlier = Record(first.seq, "2025-12-20T01:59:00.000Z", first.kind, first.t, first.body)
    assert account_of((earlier, *rest)).started == "2025-12-20T01:59:00.000Z"


def test_a_header_that_lacks_what_older_journals_lack() -> None:
    header = Header(plan_text="", env="prod", stable="blue", candidate="green", start=0.0)
    assert (header.time_scale, header.dry_run, header.region, header.generation) == (1.0, False, "", None)
    assert (header.format, header.policy) == (FORMAT, RULES)
    assert header.named("candidate") == "green" and header.other_rules == ""
    body = {"plan": "", "env": "prod", "stable": "blue", "candidate": "green", "start": 0}
    read = Header.read(Record(1, "", "rollout", 0.0, body))
    assert (read.time_scale, read.dry_run, read.format, read.policy) == (1.0, False, 1, 0)
    assert "format 1" in read.other_rules


BODY = {"plan": "", "env": "prod", "stable": "blue", "candidate": "green", "start": 0}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"start": None}, "'start' is None: it takes a number"),
        ({"start": True}, "'start' is True: it takes a number"),
        ({"start": "0"}, "'start' is '0': it takes a number"),
        ({"start": float("inf")}, "'start' is inf: it takes a number"),
        ({"start": float("nan")}, "'start' is nan: it takes a number"),
        ({"time_scale": 0}, "'time_scale' is 0: it takes a number above 0"),
        ({"time_scale": -2}, "'time_scale' is -2: it takes a number above 0"),
        ({"versions": "v1"}, "'versions' is 'v1': it takes an object with the keys stable and candidate"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_header_is_named(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(JournalError) as caught:
        Header.read(Record(1, "", "rollout", 0, BODY | change))
    assert str(caught.value) == f"record 1 does not describe a rollout: {problem}"


@pytest.mark.parametrize("key", BODY)
def test_a_header_that_lacks_a_key_is_named(key: str) -> None:
    body = {name: value for name, value in BODY.items() if name != key}
    with pytest.raises(JournalError, match=f"record 1 does not describe a rollout: '{key}' is missing"):
        Header.read(Record(1, "", "rollout", 0, body))


def test_a_header_comes_back_as_it_was_written() -> None:
    header = Header(
        plan_text="p", env="prod", stable="blue", candidate="green", start=1.5, time_scale=0.5, dry_run=True,
        region="eu-west-1", versions={"stable": "1", "candidate": "2"}, replicas={"stable": 2}, generation=7,
        rule_arn="arn", groups={"stable": "group"}, format=1, policy=3,
    )  # fmt: skip
    assert Header.read(Record(1, "", "rollout", 0, header.to_json())) == header
    assert header.named("stable") == "blue 1" and header.named("candidate") == "green 2"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 of the guide's deadlines were missed"), (1, "1 of the guide's deadlines was missed"), (2, "2 of the guide's deadlines were missed")],
)  # fmt: skip
def test_missed_deadlines_are_counted_in_words(count: int, text: str) -> None:
    assert missed(count) == text


def test_deadlines_are_plain_at_time_scale_1_and_shown_scaled_otherwise() -> None:
    scaled = account_of(journals.bad_release())
    found = [
        milestone.allowed_words.replace("\N{NO-BREAK SPACE}", " ")
        for milestone in milestones(scaled, scaled.retreats[0])
    ]
    assert found == ["0 s", "1 min / 10 = 6 s", "2 min / 10 = 12 s", "3 min / 10 = 18 s", "5 min / 10 = 30 s"]
    real = account_of(tuple(_at_scale_1(record) for record in journals.bad_release()))
    assert [
        milestone.allowed_words.replace("\N{NO-BREAK SPACE}", " ")
        for milestone in milestones(real, scaled.retreats[0])
    ] == [
        "0 s",
        "1 min",
        "2 min",
        "3 min",
        "5 min",
    ]


def _at_scale_1(record: Record) -> Record:
    body = {**record.body, "time_scale": 1} if record.kind == "rollout" else record.body
    return Record(record.seq, record.at, record.kind, record.t, body)


def then(*more: tuple[str, float, dict[str, Any]]) -> Account:
    """The account of a release of which the journal has the beginning and these records."""
    begun = journals.good_release()[:2]
    assert [record.kind for record in begun] == ["rollout", "event"]
    return account_of([
        *begun,
        *(Record(seq, "", kind, t, body) for seq, (kind, t, body) in enumerate(more, start=3)),
    ])  # fmt: skip


def traffic(t: float, weight: float) -> tuple[str, float, dict[str, Any]]:
    return "event", t, {"t": t, "event": "traffic", "weight": weight}


def metrics(t: float, role: str, start: float, **more: Any) -> tuple[str, float, dict[str, Any]]:
    return "event", t, {"t": t, "event": "metrics", "colour": role, "start": start, "end": start + 6} | more


def test_a_weight_is_seen_at_each_change_only() -> None:
    account = then(traffic(1, 0), traffic(2, 5), traffic(3, 5), traffic(4, 0))
    assert list(account.seen) == [(1, 0), (2, 5), (4, 0)]
    assert (account.final_weight, account.highest_weight) == (0, 5)


def test_of_a_period_published_twice_the_later_numbers_count() -> None:
    account = then(
        metrics(14, "stable", 0, requests=1),
        metrics(15, "stable", 0, requests=2),
        metrics(15, "candidate", 0, requests=3),
        metrics(15, "edge", 0, requests=4, rate_limited=0),
        metrics(21, "candidate", 6, requests=5),
        metrics(21, "edge", 0, requests=6, rate_limited=1),
        metrics(22, "edge", 6, requests=7, rate_limited=2),
    )
    assert [(p.start, p.role, p.requests) for p in account.periods] == [
        (0, "candidate", 3),
        (0, "stable", 2),
        (6, "candidate", 5),
    ]
    assert [period.requests for period in account.of("candidate")] == [3, 5]
    assert [(p.start, p.requests, p.rate_limited) for p in account.edge] == [(0, 6, 1), (6, 7, 2)]


def test_an_event_that_these_rules_refuse_is_left_out_and_one_that_is_none_is_named() -> None:
    resume = {"t": 1, "event": "operator", "command": "resume"}
    account = then(("event", 1, resume), ("rejected", 1, resume), traffic(2, 5))
    assert list(account.seen) == [(2, 5)]
    assert list(account.rejected) == [(1, resume)]
    with pytest.raises(JournalError, match="record 3: 'event' is 'gossip'"):
        then(("event", 1, {"t": 1, "event": "gossip"}))


def test_a_paused_release_is_held() -> None:
    account = then(traffic(1, 5), ("event", 2, {"t": 2, "event": "operator", "command": "pause"}))
    assert account.outcome == "held"
    assert [visit.verdict for visit in account.stages] == ["inconclusive"]


def test_effects_are_intents_with_their_own_results() -> None:
    def intent(t: float, effect: int, act: str) -> tuple[str, float, dict[str, Any]]:
        return "intent", t, {"effect": effect, "act": act}

    def result(t: float, effect: int, act: str, **more: Any) -> tuple[str, float, dict[str, Any]]:
        return "result", t, {"effect": effect, "act": act} | more

    account = then(
        ("note", 9, note_to_json(Reconciled(0, 2.5))),  # began before what was tried at 7
        intent(1, 3, "set_weight"),
        result(2, 3, "notify", ok=True),  # no effect of its own, nor the end of another
        result(3, 3, "set_weight", ok=True),
        intent(3, 4, "promote"),
        result(4, 5, "promote", ok=True),
        intent(5, 6, "set_weight"),
        result(5.5, 6, "set_weight", ok=True, break_glass=True),
        intent(6, 7, "raise_rate_limit"),
        result(6.5, 7, "raise_rate_limit", ok=True, joined=True),
        intent(7, 8, "set_weight"),
        result(7.5, 8, "set_weight", ok=False),
        intent(8, 9, "prepare_rollback"),
        result(8.5, 9, "prepare_rollback", ok=True),
    )
    assert [(e.act, e.t, e.ended, e.took, e.ok, e.stack_update) for e in account.effects] == [
        ("set_weight", 1, 3, 2, True, True),
        ("promote", 3, None, None, False, False),
        ("set_weight", 5, 5.5, 0.5, True, False),
        ("raise_rate_limit", 6, 6.5, 0.5, True, False),
        ("reconcile", 6.5, 9, 2.5, True, True),
        ("set_weight", 7, 7.5, 0.5, False, False),
        ("prepare_rollback", 8, 8.5, 0.5, True, False),
    ]
    assert [effect.t for effect in account.stack_updates] == [1, 6.5]
    # A note may be written later than what comes after it.
    assert account.ended_s == 9


def test_a_reconciliation_of_unknown_length_is_where_it_ended() -> None:
    (effect,) = then(("note", 9, note_to_json(Reconciled(0)))).effects
    assert (effect.t, effect.ended, effect.took) == (9, 9, None)


def test_a_stage_whose_weight_was_never_seen_has_no_window() -> None:
    (visit,) = then().stages
    assert (visit.weight, visit.seen_s, visit.left_s, visit.verdict) == (5, None, None, "open")
    measured = metrics(15, "candidate", 0, requests=300, errors=0, p95=0.1, db_connection_errors=0)
    (visit,) = then(measured, ("event", 16, {"t": 16, "event": "operator", "command": "abort"})).stages
    assert (visit.seen_s, visit.left_s, visit.verdict) == (None, 16, "inconclusive")
    assert (visit.periods, visit.good_periods) == (0, 0)


def test_an_alert_ends_no_stage() -> None:
    failed = {"event": "health", "colour": "candidate", "failed": ["deep"]}
    account = then(("event", 1, {"t": 1} | failed), traffic(2, 5), ("event", 3, {"t": 3} | failed))
    assert [(visit.seen_s, visit.verdict) for visit in account.stages] == [(2, "open")]


def test_the_weight_of_a_rollback_is_what_was_seen_by_then() -> None:
    account = account_of(journals.bad_release())
    decided = account.retreats[0].decided
    for seen, text in (
        (((1.0, 5.0), (decided, 25.0), (decided + 1, 0.0)), "had 25 % of the traffic"),
        (((decided + 1, 0.0),), "had 0 % of the traffic"),
    ):
        assert text in section(replace(account, seen=seen)).sentence
