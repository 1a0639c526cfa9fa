"""What an account says of journals, as approved; and of those that hardly began."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import pytest

from rollout.journal import JournalError, Record
from rollout.journal.account import Account, account_of
from rollout.journal.header import FORMAT, Header
from rollout.journal.report import milestones, missed
from rollout.policy import RULES
from tests.rollout import journals
from tests.rollout.golden import approved

# They are in the journal as they are here, or very long.
PLAIN = {"header", "plan", "periods", "details", "edge", "rounds", "decisions", "notes"}
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
        "rounds": len(account.rounds),
        "details": len(account.details),
        "notes": len(account.notes),
        "decisions": [(body["t"], body["decision"], body["criterion"]) for body in account.decisions],
    }
    return json.dumps(found, indent=1, default=asdict) + "\n"


@pytest.mark.parametrize("journal", JOURNALS)
def test_an_account_is_as_approved(journal: Callable[[], tuple[Record, ...]]) -> None:
    assert approved(f"account-{journal.__name__}.json", as_text(account_of(journal())))


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
