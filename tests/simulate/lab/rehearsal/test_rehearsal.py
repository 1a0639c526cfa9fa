"""What a rehearsal says of itself, without a lab: bad input, expected ends, summary, page."""

from __future__ import annotations

import json
from dataclasses import replace
from html import unescape
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from rollout.journal import Record
from rollout.journal.account import Account, account_of
from simulate.cli import app
from simulate.lab.errors import LabError
from simulate.lab.faults import FAULTS
from simulate.lab.layout import CHECKOUT
from simulate.lab.load.records import Request
from simulate.lab.rehearsal.client import Counts, read_requests
from simulate.lab.rehearsal.expectations import EXPECTED, GOOD, differences, expected
from simulate.lab.rehearsal.follow import Follower
from simulate.lab.rehearsal.page import page
from simulate.lab.rehearsal.run import RehearsalOptions, _show, results_table
from simulate.lab.rehearsal.stacks import last_words
from simulate.lab.rehearsal.summary import ReleaseResult, fault_start, summarize
from tests.rollout import journals


def result_of(records: tuple[Record, ...], fault: str | None = None, failed: int = 0) -> ReleaseResult:
    account = account_of(records)
    start = account.header.start
    counts = Counts(start, start + account.ended_s)
    for n in range(int(account.ended_s * 10)):
        counts.add(request(start + n / 10, "green" if n % 20 == 0 else "blue", 500 if n < failed else 200))
    differs = differences(account, expected(fault), counts, good=fault is None)
    began = fault_start(account, None) if fault else None
    return ReleaseResult(1, "2.0.0", fault, account, counts, began, tuple(differs))


#: What clients got in two seconds of a rollout whose traffic rule matched nobody from the second one on.
FORBIDDEN = Path(__file__).parent / "recorded" / "forbidden.jsonl"


def recorded(account: Account, path: Path = FORBIDDEN, *, at_end: bool = False) -> Counts:
    """A recorded file as if it began with the rollout, or ended with it."""
    start, end = account.header.start, account.header.start + account.ended_s
    requests = list(read_requests(path))
    moved = end - 0.01 - requests[-1].at if at_end else start - requests[0].at
    counts = Counts(start, end)
    for sent in requests:
        counts.add(replace(sent, at=sent.at + moved))
    return counts


def counted(account: Account, failed: int = 0, limited: int = 0) -> Counts:
    """All clients served but those that failed or were rate limited, in the rollout's first second."""
    counts = Counts(account.header.start, account.header.start + account.ended_s)
    for status in (200, *[500] * failed, *[429] * limited):
        counts.add(request(counts.start, "blue", status))
    return counts


def late(deadlines: int) -> ReleaseResult:
    """A bad release that ended as it must, but was moved, and maybe also flowed, after the guide's deadline."""
    result = result_of(journals.bad_release(), "errors-5pct", failed=3)
    (retreat,) = result.account.retreats
    limits = result.account.plan.verification.deadlines
    slow = replace(retreat, moved=retreat.detected + limits.moved + 1)
    if deadlines == 2:
        slow = replace(slow, flowing=None)
    return replace(result, account=replace(result.account, retreats=(slow,)))


def request(at: float, colour: str, status: int) -> Request:
    return Request(at, 0.01, status, "" if status else "no answer", colour if status else "", "v1")


class TestInput:
    def test_an_unknown_fault_lists_the_known_ones(self, tmp_path: Path) -> None:
        with pytest.raises(LabError) as caught:
            RehearsalOptions.checked("flaky-moon", 10, tmp_path / "out", keep=False)
        assert caught.value.exit_code == 2
        assert "--fault" in str(caught.value) and "flaky-moon" in str(caught.value)
        assert all(name in str(caught.value) for name in FAULTS)

    @pytest.mark.parametrize("out", [CHECKOUT, CHECKOUT.parent])
    def test_the_checkout_is_never_emptied(self, out: Path) -> None:
        with pytest.raises(LabError, match="checkout"):
            RehearsalOptions.checked("errors-5pct", 10, out, keep=False)

    def test_a_foreign_directory_is_never_emptied(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("years")
        with pytest.raises(LabError, match="holds no rehearsal"):
            RehearsalOptions.checked("errors-5pct", 10, tmp_path, keep=False)

    def test_a_bad_time_scale_starts_nothing(self, tmp_path: Path) -> None:
        outcome = CliRunner().invoke(
            app, ["lab", "rehearse", "--time-scale", "0", "--out", str(tmp_path / "out")]
        )
        assert isinstance(outcome.exception, LabError) and outcome.exception.exit_code == 2
        assert not (tmp_path / "out").exists()


class TestExpectations:
    def test_every_fault_has_its_expected_end(self) -> None:
        assert EXPECTED.keys() == FAULTS.keys()

    def test_a_good_release_that_ends_well_differs_in_nothing(self) -> None:
        account = account_of(journals.good_release())
        assert differences(account, GOOD, counted(account), good=True) == []

    def test_one_failed_request_of_a_good_release_is_one_too_many(self) -> None:
        account = account_of(journals.good_release())
        (problem,) = differences(account, GOOD, counted(account, failed=1), good=True)
        assert "1 requests of the good release failed" in problem

    def test_so_is_one_that_was_rate_limited(self) -> None:
        account = account_of(journals.good_release())
        (problem,) = differences(account, GOOD, counted(account, limited=2), good=True)
        assert "2 requests of the good release were rate limited" in problem

    def test_a_bad_release_whose_users_are_not_served_again_is_named(self) -> None:
        account = account_of(journals.bad_release())
        found = differences(account, expected("errors-5pct"), recorded(account, at_end=True), good=False)
        assert found == [
            "15 of the requests sent in the last 5 s failed: traffic is back, users are not served"
        ]

    def test_what_failed_before_the_traffic_was_back_is_not_held_against_it(self) -> None:
        account = account_of(journals.bad_release())
        assert differences(account, expected("errors-5pct"), recorded(account), good=False) == []

    @pytest.mark.parametrize(
        ("journal", "fault"),
        [
            (journals.bad_release, "errors-5pct"),
            (journals.failing_probe, "failing-probe"),
            (journals.metrics_missing, "metrics-missing"),
            (journals.metrics_failing, "metrics-failing"),
        ],
    )
    def test_a_bad_release_that_ends_as_the_guide_says(self, journal: object, fault: str) -> None:
        assert callable(journal)
        account = account_of(journal())
        assert differences(account, expected(fault), counted(account, failed=30), good=False) == []

    def test_the_wrong_criterion_is_named(self) -> None:
        account = account_of(journals.failing_probe())
        found = differences(account, expected("errors-5pct"), counted(account), good=False)
        assert found == ["acted on health, expected error_rate"]

    def test_a_bad_release_that_is_promoted_is_named(self) -> None:
        account = account_of(journals.good_release())
        found = differences(account, expected("errors-5pct"), counted(account), good=False)
        assert "ended promoted, expected aborted" in found
        assert "the candidate still had 100 % of the traffic" in found


class TestSummary:
    def test_a_good_release(self) -> None:
        summary = summarize(result_of(journals.good_release()))
        assert summary["fault"] is None and summary["outcome"] == "promoted"
        assert summary["final_candidate_weight"] == 100
        assert summary["requests"] > 900 and summary["failed_requests"] == 0
        assert summary["fault_started_s"] is summary["first_breach_s"] is summary["decided_s"] is None
        assert [stage["weight"] for stage in summary["stages"]] == [5, 25, 50, 100]
        assert all(stage["left_s"] - stage["seen_s"] >= 12 for stage in summary["stages"])
        json.dumps(summary)

    def test_a_bad_release_in_the_order_of_events(self) -> None:
        summary = summarize(result_of(journals.bad_release(), "errors-5pct", failed=3))
        assert summary["fault"] == "errors-5pct" and summary["outcome"] == "aborted"
        assert summary["final_candidate_weight"] == 0 and summary["failed_requests"] == 3
        assert (
            summary["fault_started_s"]
            < summary["first_breach_s"]
            < summary["decided_s"]
            < summary["traffic_moved_s"]
        )

    def test_a_failure_after_the_move_is_timed(self) -> None:
        result = result_of(journals.bad_release(), "errors-5pct", failed=3)
        moved = result.account.retreats[0].moved
        assert moved is not None
        assert summarize(result)["last_failure_after_moved_s"] == pytest.approx(
            1 - moved
        )  # in the first second
        result.client.failed_by_second[int(moved) + 2] += 1
        assert summarize(result)["last_failure_after_moved_s"] == pytest.approx(int(moved) + 3 - moved)
        assert summarize(result_of(journals.good_release()))["last_failure_after_moved_s"] is None

    def test_missed_deadlines_are_counted(self) -> None:
        assert summarize(result_of(journals.bad_release()))["deadlines_missed"] == 0
        assert summarize(late(2))["deadlines_missed"] == 2

    def test_a_switched_fault_began_with_its_switch(self) -> None:
        account = account_of(journals.bad_release())
        assert fault_start(account, 7.5) == 7.5
        assert fault_start(account, None) == account.seen[0][0]


class TestClient:
    def test_what_users_would_not_accept_is_a_failure_whatever_its_status(self) -> None:
        """Every user got the listener's 403, and "0 failed" was reported."""
        counts = recorded(account_of(journals.bad_release()))
        assert (counts.requests, counts.failed, counts.rate_limited) == (20, 15, 1)
        assert counts.failures == {403: 14, 0: 1}
        assert sum(counts.failed_by_second.values()) == 15

    def test_only_what_was_sent_during_the_rollout_counts(self) -> None:
        counts = Counts(1000.0, 1010.0)
        for at, status in ((999.9, 500), (1000.0, 200), (1009.9, 500), (1005.0, 0), (1010.0, 500)):
            counts.add(request(at, "blue", status))
        assert (counts.requests, counts.failed) == (3, 2)
        assert counts.failed_by_second == {9: 1, 5: 1}

    def test_a_line_still_being_written_is_left_out(self, tmp_path: Path) -> None:
        records = tmp_path / "requests.jsonl"
        whole = request(5.0, "blue", 0)
        records.write_text(f"{whole.line()}\n{whole.line()[:20]}")
        assert list(read_requests(records)) == [whole]


def test_the_page_shows_both_releases_and_what_the_clients_saw() -> None:
    good, bad = result_of(journals.good_release()), result_of(journals.bad_release(), "errors-5pct", failed=3)
    text = page([good, bad])
    assert "Both releases ended as expected" in text
    assert text.count("What the clients saw") == 2
    assert text.count('<section class="release"') == 2
    assert FAULTS["errors-5pct"].sentence in unescape(text)


def test_users_who_were_refused_are_in_summary_page_and_table() -> None:
    account = account_of(journals.bad_release())
    result = ReleaseResult(1, "2.0.0", "errors-5pct", account, recorded(account), None, ())
    summary = summarize(result)
    assert (summary["requests"], summary["failed_requests"], summary["rate_limited_requests"]) == (20, 15, 1)
    assert summary["failures"] == {"403": 14, "no answer": 1}
    text = " ".join(page([result]).split())
    assert "20 requests during the rollout, 15 of them failed (75 %): 14 with 403, 1 with no answer" in text
    assert "1 was rate limited (429), which is counted apart" in text
    out = StringIO()
    Console(width=80, file=out).print(results_table([result]))
    heading, _, row = out.getvalue().splitlines()
    assert heading.split()[3:6] == ["sent", "failed", "429"] and row.split()[4:7] == ["20", "15", "1"]


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    out = StringIO()
    console = Console(width=80, file=out)
    result = result_of(journals.bad_release(), "targets-unreachable", failed=3)
    console.print(results_table([result]))
    row = next(line for line in out.getvalue().splitlines() if "targets-unreachable" in line)
    sent = f"{result.client.requests:,}"
    assert " ".join(row.split()) == f"1 green targets-unreachable aborted {sent} 3 6.0 s 15.0 s 16.8 s yes"


def test_missed_deadlines_are_in_the_headline_and_below_the_table(tmp_path: Path) -> None:
    good = result_of(journals.good_release())
    text = unescape(page([good, late(2)]))
    assert "Both releases ended as expected; 2 of the guide's deadlines were missed</h1>" in text
    assert (
        "<h1>Rolled back automatically: error rate above 1 %. 2 of the guide's deadlines were missed</h1>"
        in text
    )
    out = StringIO()
    options = RehearsalOptions(FAULTS["errors-5pct"], 10, tmp_path, keep=False)
    _show([good, late(1)], options, Console(width=80, file=out))
    assert "release 1: 1 of the guide's deadlines was missed" in out.getvalue()


def test_a_failure_is_said_on_the_page() -> None:
    text = page([result_of(journals.good_release(), failed=2)])
    assert "A release did not end as expected" in text
    assert "2 requests of the good release failed" in text


def test_a_journal_is_followed_as_it_grows(tmp_path: Path) -> None:
    path, said, begun = tmp_path / "journal.jsonl", list[str](), list[int]()
    follower = Follower(path, said.append, lambda: begun.append(1))
    follower.look()
    lines = [record.to_line() for record in journals.bad_release()]
    half = "".join(lines)[: len("".join(lines)) // 2]
    path.write_text(half)
    follower.look()
    path.write_text("".join(lines))
    follower.look()
    assert begun == [1]
    assert [line.split("s  ")[1] for line in said][:3] == [
        "set weight 5 %: the first stage begins",
        "the candidate has 5 % of the traffic",
        "set weight 0 %: error rate 6.667 % (2 of 30 requests) is above 1 %: 0 %",
    ]


def test_the_engines_last_words_are_its_diagnostics(tmp_path: Path) -> None:
    log = tmp_path / "pulumi.log"
    log.write_text(
        "$ pulumi up\nold\n$ pulumi up\nUpdating\n\nDiagnostics:\n  aws:x:Y (z):\n    error: no\n\nResources:\n  1\n"
    )
    assert last_words(log) == "  aws:x:Y (z):\n    error: no"
