"""The account and the page of a rollout, from hand-made journals."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rollout.cli import app
from rollout.journal import JournalError, Record
from rollout.journal.account import Verdict, account_of
from rollout.journal.notes import Reconciled, note_to_json
from rollout.journal.report import DASH, precise, render, seconds, section, write_report
from rollout.journal.report_chart import LAYOUTS, Layout
from tests.rollout import journals


def text_of(page: str) -> str:
    """The words of a page, without its style, spaces made plain."""

    class Words(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []
            self.quiet = False

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.quiet = tag == "style"

        def handle_data(self, data: str) -> None:
            if not self.quiet:
                self.found.append(data)

    words = Words()
    words.feed(page)
    return " ".join("".join(words.found).split())


def page_of(records: tuple[Record, ...]) -> str:
    return text_of(render("a release", [section(account_of(records))]))


def test_a_good_release_kept_every_window_after_its_weight_was_seen() -> None:
    account = account_of(journals.good_release())
    assert account.outcome == "promoted"
    assert [visit.weight for visit in account.stages] == [5, 25, 50, 100]
    assert all(visit.verdict is Verdict.SUCCESSFUL for visit in account.stages)
    for visit in account.stages:
        assert visit.seen_s is not None and visit.left_s is not None
        assert visit.left_s - visit.seen_s >= visit.window
        assert visit.good_periods >= 1
    assert account.breach_s is None and not account.retreats
    assert len(account.stack_updates) == 5  # four weights and the promotion


def test_a_bad_release_tells_when_it_breached_when_it_was_seen_and_when_traffic_was_back() -> None:
    account = account_of(journals.bad_release())
    assert account.outcome == "aborted" and account.finish and account.finish["verified"]
    assert [(visit.weight, visit.verdict) for visit in account.stages] == [(5, Verdict.FAILED)]
    first = account.retreats[0]
    assert account.breach_s == 6.0
    assert first.decided == pytest.approx(6 + journals.DELAY, abs=1)
    assert first.moved == pytest.approx(first.decided + 1.8, abs=0.2)
    assert account.final_weight == 0


@pytest.mark.parametrize(
    ("journal", "verdict", "criterion"),
    [
        (journals.failing_probe, Verdict.FAILED, "health"),
        (journals.metrics_missing, Verdict.INCONCLUSIVE, "hold_timeout"),
        (journals.metrics_failing, Verdict.ERROR, "blind"),
    ],
)
def test_failed_inconclusive_and_error_are_kept_apart(
    journal: Callable[[], tuple[Record, ...]], verdict: Verdict, criterion: str
) -> None:
    account = account_of(journal())
    assert account.stages[-1].verdict is verdict
    assert account.retreats[0].criterion == criterion
    assert account.outcome == "aborted"


def test_a_probe_breaches_with_the_first_failed_round_of_its_streak() -> None:
    account = account_of(journals.failing_probe())
    assert account.breach_s == 9.5
    assert account.retreats[0].decided == 10.5


@pytest.mark.parametrize("journal", [journals.metrics_missing, journals.metrics_failing])
def test_a_time_out_is_no_breach(journal: Callable[[], tuple[Record, ...]]) -> None:
    account = account_of(journal())
    assert account.retreats and account.breach_s is None


def test_a_stage_that_was_resumed_is_watched_anew() -> None:
    account = account_of(journals.slow_at_half())
    assert [visit.weight for visit in account.stages] == [5, 25, 50, 25, 50]
    assert [visit.verdict.value for visit in account.stages] == [
        "successful", "successful", "failed", "successful", "failed",
    ]  # fmt: skip


def test_a_journal_that_stops_is_held_or_unfinished() -> None:
    records = journals.bad_release()
    held = next(r.seq for r in records if r.kind == "decision" and r.body["decision"] == "hold")
    assert account_of(records[:held]).outcome == "held"
    unfinished = account_of(records[:30])
    assert unfinished.outcome == "unfinished"
    assert unfinished.stages[-1].verdict is Verdict.OPEN


@pytest.mark.parametrize(("note", "took"), [(Reconciled(0, 4.0), 4.0), (Reconciled(0), None)])
def test_a_reconciliation_lasts_as_long_as_the_journal_says(note: Reconciled, took: float | None) -> None:
    records = journals.bad_release()
    more = Record(len(records) + 1, "", "note", 60.0, note_to_json(note))
    (effect,) = (e for e in account_of([*records, more]).effects if e.act == "reconcile")
    assert (effect.took, effect.ended) == (took, 60.0)


def test_the_page_says_what_happened_and_why() -> None:
    words = page_of(journals.bad_release())
    assert "Rolled back automatically: error rate above 1 %" in words
    assert "error rate 6.667 % (limit 1 %)" in words
    assert "1 min / 10 = 6 s" in words  # the guide's deadline, and what it was at this time scale
    assert "Traffic re-routed" in words and "System stable on previous version" in words
    assert "verified" in words
    assert "target 5xx 2" in words  # how the errors were counted


def test_a_late_milestone_is_shown_late() -> None:
    slow = journals.make(journals.World(candidate=lambda w: {**journals.GOOD, "errors": 0.05}, update_s=14.5))
    assert "2.5 s late" in page_of(slow)


def test_the_operator_is_named() -> None:
    assert "Rolled back by the operator" in page_of(journals.slow_at_half())


@pytest.mark.parametrize(
    ("journal", "headline"),
    [
        (journals.good_release, "Promoted"),
        (journals.bad_release, "Rolled back automatically: error rate above 1 %"),
        (journals.failing_probe, "Rolled back automatically: failed health checks"),
        (journals.metrics_missing, "Rolled back automatically: not enough data, and nobody decided"),
        (journals.metrics_failing, "Rolled back automatically: no metrics could be read"),
        (journals.slow_at_half, "Rolled back by the operator"),
    ],
)
def test_the_headline_names_why(journal: Callable[[], tuple[Record, ...]], headline: str) -> None:
    assert section(account_of(journal())).headline.startswith(headline)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.css)
def test_badges_and_what_lies_on_an_axis_are_inside_the_picture(layout: Layout) -> None:
    page = render("r", [section(account_of(journals.slow_at_half()))])
    (picture,) = re.findall(f'<svg class="picture {layout.css}".*?</svg>', page, re.DOTALL)
    badges = [float(x) for x in re.findall(r'class="badge \w+" cx="([\d.]+)"', picture)]
    assert len(badges) == 11
    assert all(later - earlier >= 17 for earlier, later in pairwise(badges)), "badges overlap"
    assert badges[-1] + 8.5 <= layout.width
    frame = re.search(r'class="frame" x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', picture)
    assert frame
    bottom = float(frame[1]) + float(frame[2])
    (area,) = re.findall(r'class="area green" d="M[\d.]+,([\d.]+)', picture)
    assert float(area) <= bottom - 4, "a weight of 0 is drawn on the frame"


def test_an_empty_panel_says_so() -> None:
    assert "none" in page_of(journals.good_release()).split("failed probe rounds")[1].split("min:s")[0]
    assert "none" not in page_of(journals.failing_probe()).split("failed probe rounds")[1].split("min:s")[0]


def test_texts_of_the_journal_cannot_become_markup() -> None:
    page = render("<b>x</b>", [section(account_of(journals.good_release(env="<script>alert(1)</script>")))])
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    journal, page = tmp_path / "journal.jsonl", tmp_path / "out" / "report.html"
    journal.write_text("".join(record.to_line() for record in journals.bad_release()))
    write_report(journal, page)
    text = page.read_text()
    assert not re.search(r"(src|href)=\"?http|url\(|@import|<script", text)
    assert text.count("<svg") == len(LAYOUTS)  # the style shows the one that fits


def test_the_command_writes_the_page_of_a_journal(tmp_path: Path) -> None:
    journal, page = tmp_path / "journal.jsonl", tmp_path / "night.html"
    journal.write_text("".join(record.to_line() for record in journals.good_release()))
    ran = CliRunner().invoke(app, ["report", str(journal), "--html", str(page)])
    assert ran.exit_code == 0 and "promoted" in ran.output
    assert "Promoted" in page.read_text()


def test_the_command_without_a_journal_is_bad_input(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["report", "missing.jsonl", "--html", str(tmp_path / "page.html")])
    assert ran.exit_code == 2
    assert "missing.jsonl" in ran.output
    assert not (tmp_path / "page.html").exists()


def test_a_journal_of_something_else_is_refused() -> None:
    with pytest.raises(JournalError, match="never began"):
        account_of([])
    with pytest.raises(JournalError, match="does not describe a rollout"):
        account_of([Record(1, "2025-12-20T02:00:00.000Z", "rollout", 0, {"plan": "stages: 3"})])


def test_words_for_durations() -> None:
    assert [seconds(s).replace("\N{NO-BREAK SPACE}", " ") for s in (0, 1.84, 36.0, 59.99, 120, 125)] == [
        "0 s", "1.8 s", "36 s", "1 min", "2 min", "2 min 5 s",
    ]  # fmt: skip
    assert precise(62.44) == "1:02.4" and precise(-3) == "-0:03.0" and precise(None) == DASH
