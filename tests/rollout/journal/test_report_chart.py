"""The parts of a picture, each where it is easily wrong; the whole of one as approved."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from rollout.journal.account import account_of
from rollout.journal.report_chart import Bars, Line, Mark, Panel, draw, nice_top, rollout_picture
from rollout.plan.units import clock
from rollout.policy.events import Health, Metrics
from tests.rollout import journals
from tests.rollout.golden import approved

MARKS = (
    Mark(0.0, "good", "1"),
    Mark(3.0, "bad", "2"),  # nearer to the first than a badge is wide
    Mark(298.0, "waiting", "3"),
    Mark(299.0, "bad", "4"),
    Mark(300.0, "neutral", "5"),  # the last three have no room to the right
    Mark(61.0, "fault", "fault <begins>"),
)
PANELS = (
    Panel(
        "weight & more",
        " %",
        104,
        100,
        lines=(
            Line("blue", "read back", ((30.0, 1.0), (60.0, 5.0), (120.0, 25.0)), filled=True),
            Line("commanded", "commanded", ((0.0, 5.0),)),
            Line("green", "nothing", ()),
        ),
        ticks=(0.0, 5.0, 25.0, 100.0),
        root=True,
    ),
    Panel(
        "error rate",
        " %",
        96,
        4.0,
        bars=(
            Bars(
                "blue",
                "candidate",
                ((-120.0, -90.0, 1.0), (-90.0, -30.0, 1.0), (0.0, 60.0, 1.0), (60.0, 120.0, 1.01), (120.0, 180.0, 9.5)),
                1.0,
            ),
            # A value on the top needs no number.
            Bars("green", "stable", ((300.0, 360.0, 1.0), (330.0, 360.0, 1.0), (240.0, 301.0, 0.0), (180.0, 240.0, 4.0))),
        ),
        # The labels of near limits do not overlap.
        limits=((1.0, "limit 1 %", "candidate-limit"), (0.9, "stable 0.9 %", "stable-limit"), (4.0, "top", "")),
    ),
    Panel("empty", "", 22, 2, bars=(Bars("failed", "candidate", ()),), ticks=()),
)  # fmt: skip


def test_a_picture_is_as_approved() -> None:
    picture = draw(PANELS, -30.0, 300.0, MARKS, "all <parts>")
    assert approved("picture.svg", picture.replace("><", ">\n<") + "\n")


def test_a_picture_without_marks_and_of_no_length_is_as_approved() -> None:
    picture = draw(PANELS[2:], 10.0, 10.0, (), "no length")
    assert approved("picture-empty.svg", picture.replace("><", ">\n<") + "\n")


def test_only_a_level_above_its_limit_is_a_breach_and_one_above_the_top_has_its_number() -> None:
    wide = draw(PANELS, -30.0, 300.0, (), "").split("</svg>")[0]
    assert wide.count('<circle class="breach"') == 2
    assert re.findall(r'<text class="beyond blue"[^>]*>([^<]*)', wide) == ["9.5"]
    # What ended as the picture begins, or begins as it ends, is not in it.
    assert wide.count('class="series level') == 5
    assert "beyond green" not in wide


def test_what_is_below_a_panel_stands_on_its_lowest_line() -> None:
    def panel(value: float) -> str:
        return draw(
            (Panel("x", "", 96, 4.0, bars=(Bars("blue", "b", ((0.0, 60.0, value),)),)),), 0.0, 60.0, (), ""
        )

    below, zero = (
        [*re.findall(r'class="series level blue"[^>]* y1="([\d.]+)"', panel(value))] for value in (-3.0, 0.0)
    )
    assert below == zero != []


def test_a_level_beyond_the_top_shows_three_digits() -> None:
    bars = Bars("blue", "b", ((0.0, 60.0, 123.456), (60.0, 120.0, 4.0)))
    picture = draw((Panel("x", "", 96, 4.0, bars=(bars,)),), 0.0, 120.0, (), "")
    assert re.findall(r'class="beyond[^>]*>([^<]*)', picture) == ["123", "123"]


def ticks(begin: float, end: float, layout: int = 0) -> list[str]:
    """The words on the time axis."""
    picture = draw((), begin, end, (), "").split("</svg>")[layout]
    return re.findall(r'<text class="tick"[^>]*>([-\d:]+)<', picture)


@pytest.mark.parametrize("step", [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800])
def test_the_axis_has_at_most_twelve_round_steps(step: int) -> None:
    assert ticks(0, 12 * step) == [clock(t * step) for t in range(13)]
    assert len(ticks(0, 12 * step + 1)) < 13


def test_the_axis_of_a_long_night_has_hours_and_a_narrow_one_five_steps() -> None:
    assert ticks(0, 12 * 1800 + 1) == [clock(hour * 3600) for hour in range(7)]
    assert ticks(0, 300, layout=1) == [clock(minute * 60) for minute in range(6)]
    assert ticks(0, 301, layout=1) == ["0:00", "2:00", "4:00"]


def test_the_axis_begins_with_the_first_round_time() -> None:
    assert ticks(-40, 60) == [
        "-0:40",
        "-0:30",
        "-0:20",
        "-0:10",
        "0:00",
        "0:10",
        "0:20",
        "0:30",
        "0:40",
        "0:50",
        "1:00",
    ]
    assert ticks(-39.5, -9.5) == ["-0:35", "-0:30", "-0:25", "-0:20", "-0:15", "-0:10"]


def test_a_rollouts_picture_shows_what_was_measured_only() -> None:
    """A value equal to its limit is no breach; what was not measured is not drawn; each side has its probe rounds."""
    account = account_of(journals.good_release()[:60])
    plan = account.plan
    error_rate, p95 = plan.criteria.error_rate.limit, plan.criteria.latency_p95.limit
    assert (error_rate, p95) == (1, 2)
    periods = (
        Metrics(15, "candidate", 0, 6, 300, 3, 2.0),
        Metrics(21, "candidate", 6, 12, 300, 4, 2.1),
        Metrics(21, "candidate", 12, 18),
        Metrics(21, "candidate", 18, 24, 0, 0),
        Metrics(
            15, "stable", 0, 6, 600, 60, 60.0
        ),  # beyond the scale, but not judged by the candidate's limit
    )
    rounds = tuple(
        Health(t, role, failed)
        for t, role, failed in (
            (1.0, "candidate", ("deep",)),
            (2.0, "stable", ("ready", "deep")),
            (3.0, "candidate", ()),
            (3.0, "stable", ()),
        )
    )
    picture = rollout_picture(replace(account, periods=periods, rounds=rounds, ended_s=30.0), ())
    assert approved("picture-rollout.svg", picture.replace("><", ">\n<") + "\n")


@pytest.mark.parametrize("step", [1.5, 2, 3, 4, 5, 6, 8, 10])
@pytest.mark.parametrize("power", [0.01, 1, 100])
def test_the_top_of_a_scale_is_the_next_round_one(step: float, power: float) -> None:
    top = step * power
    value = top / 1.1 * 0.999999
    assert nice_top([Bars("", "", ((0.0, 1.0, value),))]) == pytest.approx(top)
    assert nice_top([Bars("", "", ((0.0, 1.0, value * 1.00001),))]) > top * 1.01


@pytest.mark.parametrize(
    ("t", "text"), [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (62, "1:02"), (-5, "-0:05"), (-61, "-1:01"), (3600, "60:00")]
)  # fmt: skip
def test_the_axis_has_minutes_and_seconds(t: float, text: str) -> None:
    assert clock(t) == text


@pytest.mark.parametrize(
    ("values", "limit", "top"),
    [
        ((), 0.0, 1e-9),
        ((), 1.0, 1.5),
        ((0.5,), 1.0, 1.5),
        ((1.8,), 1.0, 2.0),
        ((1.9,), 1.0, 3.0),  # a tenth of room above the highest
        ((100.0,), 1.0, 8.0),  # the limit is not lost at the bottom
        ((100.0,), 0.0, 150.0),
        ((9.2,), 0.0, 15.0),
        ((8.0,), 0.0, 10.0),
    ],
)
def test_the_top_of_a_scale_is_round(values: tuple[float, ...], limit: float, top: float) -> None:
    bars = Bars("blue", "x", tuple((0.0, 60.0, value) for value in values))
    assert nice_top([bars], limit) == pytest.approx(top)
