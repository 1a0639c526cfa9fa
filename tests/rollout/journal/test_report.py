"""The account and the page of a rollout, from hand-made journals."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rollout.cli import app
from rollout.journal import JournalError, Record
from rollout.journal.account import Verdict, account_of
from rollout.journal.notes import Attributed, Reconciled, note_to_json
from rollout.journal.report import (
    DASH,
    Milestone,
    counted,
    detail,
    precise,
    render,
    seconds,
    section,
    title,
    value,
    write_report,
)
from rollout.journal.report_chart import LAYOUTS, Layout
from tests.rollout import journals
from tests.rollout.golden import approved


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


def plain(text: str) -> str:
    """With spaces that break."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def until_decided(records: tuple[Record, ...], kind: str) -> tuple[Record, ...]:
    """The journal up to its first decision of that kind, included."""
    return records[: next(r.seq for r in records if r.kind == "decision" and r.body["decision"] == kind)]


def test_a_good_release_kept_every_window_after_its_weight_was_seen() -> None:
    account = account_of(journals.good_release())
    assert account.outcome == "promoted"
    assert [visit.weight for visit in account.stages] == [5, 25, 50, 100, 100]
    assert [visit.bake for visit in account.stages] == [False] * 4 + [True]
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


def test_an_undo_says_so_and_why() -> None:
    account = account_of(journals.undone())
    assert (account.outcome, account.stages, account.final_weight) == ("undone", (), 0)
    assert account.finish and account.finish["verified"]
    (retreat,) = account.retreats
    assert (retreat.detected, retreat.decided) == (0, 0)
    page = plain(page_of(journals.undone()))
    assert "Undone by the operator" in page
    assert (
        "Green v2 had been promoted when it was undone, back to blue v1: orders are lost. "
        "Traffic moved 1.8 s after the decision. All traffic is on blue v1."
    ) in page
    assert "Rolled back" not in page
    assert title(account) == "Undo of green v2 in local"
    assert "undone, back to blue v1: the operator ordered it." in plain(page_of(journals.undone(reason="")))


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
    assert "2.5 s late" in page_of(late())


def late() -> tuple[Record, ...]:
    """Traffic moves after the guide's deadlines."""
    bad = {**journals.GOOD, "errors": 0.05}
    return journals.make(journals.World(candidate=lambda weight: bad, update_s=14.5))


def test_what_pages_begin_with_is_as_approved() -> None:
    cases: dict[str, tuple[Record, ...]] = {
        "good release": journals.good_release(),
        "bad release": journals.bad_release(),
        "taken back three times": journals.slow_at_half(),
        "failing probe": journals.failing_probe(),
        "metrics missing": journals.metrics_missing(),
        "metrics failing": journals.metrics_failing(),
        "late": late(),
        # Deadlines that may still be kept are not counted as missed.
        "journal ends held": until_decided(journals.bad_release(), "hold"),
        "journal ends at 5 %": journals.good_release()[:30],
        "journal ends at once": journals.good_release()[:2],
    }
    lines = []
    for name, records in cases.items():
        found = section(account_of(records))
        lines += [f"{name} ({found.tone})", f"  {found.headline}", f"  {found.sentence}"]
        lines += [f"  {what}: {text}" for what, text in found.facts]
    assert approved("page-openings.txt", plain("\n".join(lines) + "\n"))


@pytest.mark.parametrize(
    ("decisions", "headline"),
    [
        ([("finish", "rate_limited", 5.0)], "Rolled back automatically: rate-limited share above 5 %"),
        ([("finish", "of_tomorrow", None)], "Rolled back automatically: of tomorrow"),
        # The command has the limit; the end has none.
        (
            [("alert", "error_rate", 9.0), ("set_weight", "error_rate", 1.0), ("finish", "error_rate", None)],
            "Rolled back automatically: error rate above 1 %",
        ),
        (
            [("set_weight", "alarm", None), ("finish", "error_rate", 2.0)],
            "Rolled back automatically: error rate above 2 %",
        ),
        # Held twice, then given up: the last hold says why.
        (
            [("hold", "inconclusive", None), ("hold", "alarm", None), ("set_weight", "hold_timeout", 60.0), ("finish", "hold_timeout", None)],
            "Rolled back automatically: an alarm",
        ),
        ([("finish", "hold_timeout", None)], "Rolled back automatically: held, and nobody decided"),
    ],
)  # fmt: skip
def test_the_cause_is_what_the_commands_say(
    decisions: list[tuple[str, str, float | None]], headline: str
) -> None:
    account = account_of(journals.good_release()[:2])
    bodies = tuple(
        {"t": 1, "decision": decision, "criterion": criterion, "limit": limit, "weight": 0}
        | ({"outcome": "aborted", "verified": True} if decision == "finish" else {})
        for decision, criterion, limit in decisions
    )
    assert section(replace(account, decisions=bodies)).headline == headline


def test_a_cause_that_was_not_measured_has_no_number() -> None:
    records = journals.slow_at_half()
    abort = next(r for r in records if r.kind == "event" and r.body.get("command") == "abort")
    first = next(
        r for r in records if r.kind == "decision" and r.body["criterion"] == "operator" and r.seq > abort.seq
    )
    account = account_of(records)
    retreat = next(each for each in account.retreats if each.decided == first.t)
    told = section(replace(account, retreats=(retreat,))).sentence
    # Commanded to 25 % a second before, it still had what was seen last.
    assert told.startswith(
        "Green v2 had 50 % of the traffic when it was rolled back to 0 %: the operator aborted. "
    )
    unmeasured = tuple(
        {**body, "criterion": "of_tomorrow", "value": None, "limit": None} if body["t"] == first.t else body
        for body in account.decisions
    )
    told = section(replace(account, retreats=(retreat,), decisions=unmeasured)).sentence
    assert ": of tomorrow. " in told
    told = section(replace(account, retreats=(retreat,), seen=(), decisions=unmeasured)).sentence
    assert told.startswith("Green v2 had 0 % of the traffic")


def test_a_milestone_at_its_deadline_is_met() -> None:
    assert [Milestone("T+1", "", 6.0, "6 s", at, after).met for at, after in ((16, 6.0), (16.1, 6.1), (None, None))] == [
        True, False, False,
    ]  # fmt: skip


def test_marks_are_numbered_as_the_decisions_are() -> None:
    account = account_of(journals.slow_at_half())
    found = section(account, fault=(12.5, "the database stops"), heading="A night", extra="<p>more</p>")
    assert [(mark.label, mark.kind) for mark in found.marks] == [
        ("1", "good"), ("2", "good"), ("3", "good"), ("4", "bad"), ("5", "waiting"), ("8", "good"), ("9", "bad"),
        ("10", "waiting"), ("11", "bad"), ("12", "bad"), ("13", "neutral"), ("fault begins", "fault"),
    ]  # fmt: skip
    assert found.marks[-1].t == 12.5
    assert (found.title, found.extra) == ("A night", "<p>more</p>")
    assert section(account).title == "Release of green v2 to local"
    promoted = [mark.kind for mark in section(account_of(journals.good_release())).marks]
    assert promoted == ["good"] * 7  # four weights, bake, promote, finish


@pytest.mark.parametrize(
    ("how", "text"),
    [
        (None, ""),
        (Attributed("stable", 6.0, 100), "no errors"),
        (Attributed("stable", 6.0, 100, 2, 0, 3, 1), "target 5xx 2, elb 503 3, unanswered 1"),
    ],
)
def test_errors_are_counted_by_where_they_arose(how: Attributed | None, text: str) -> None:
    assert counted(how) == text


def test_a_record_is_shown_as_what_it_says() -> None:
    body: dict[str, object] = {
        "act": "set_weight", "why": "", "of": None, "list": [], "map": {}, "ok": True, "tries": 0,
        "update_s": 1.23456, "share": 2.5, "durations": {"preview_s": 0.5, "stack_name": "prod"},
    }  # fmt: skip
    assert detail(body, ("act",)) == (
        "ok True, tries 0, update 1.235 s, share 2.5, preview 0.5 s, stack name prod"
    )
    assert value(None) == DASH and value(1.23456) == "1.235"


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
    journal, page = tmp_path / "journal.jsonl", tmp_path / "a" / "new" / "report.html"
    journal.write_text("".join(record.to_line() for record in journals.bad_release()))
    write_report(journal, page)
    write_report(journal, page)  # written anew
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
    assert [seconds(s).replace("\N{NO-BREAK SPACE}", " ") for s in (0, 1.84, 36.0, 59.94, 59.99, 60.4, 120, 125)] == [
        "0 s", "1.8 s", "36 s", "59.9 s", "1 min", "1 min", "2 min", "2 min 5 s",
    ]  # fmt: skip
    assert seconds(None) == DASH
    assert precise(62.44) == "1:02.4" and precise(-3) == "-0:03.0" and precise(None) == DASH
