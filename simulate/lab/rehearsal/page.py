"""``report.html`` of a rehearsal: an overview, then each release with what its clients saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader

from rollout.journal.report import missed, precise, render, rollout_marks, seconds, section
from rollout.journal.report_chart import Bars, Line, Panel, draw, nice_top
from simulate.lab.faults import FAULTS
from simulate.lab.rehearsal.client import Counts
from simulate.lab.rehearsal.expectations import expected
from simulate.lab.rehearsal.summary import ReleaseResult, named


def write_page(results: Sequence[ReleaseResult], path: Path) -> None:
    path.write_text(page(results), encoding="utf-8")


def page(results: Sequence[ReleaseResult]) -> str:
    """The HTML page, self-contained."""
    templates = Environment(loader=PackageLoader("simulate.lab.rehearsal", "templates"), autoescape=True)
    templates.filters |= {"clock": precise, "seconds": seconds}
    front = templates.get_template("overview.html.j2").render(
        results=results,
        faults=FAULTS,
        expected=expected,
        as_expected=not any(r.differs for r in results),
        late=sum(r.account.deadlines_missed for r in results),
        missed=missed,
    )
    clients = templates.get_template("clients.html.j2")
    sections = []
    for result in results:
        fault = None
        if result.fault and result.fault_started_s is not None:
            fault = (result.fault_started_s, FAULTS[result.fault].sentence)
        extra = clients.render(
            counts=result.client, failures=named(result.client.failures), picture=client_picture(result)
        )
        heading = f"Release {result.number}: {result.account.candidate} {result.version}"
        sections.append(section(result.account, heading=heading, fault=fault, extra=extra))
    return render("Rehearsal", sections, front)


def client_picture(result: ReleaseResult) -> str:
    """Requests and failures per second, as the clients counted them."""
    counts, account = result.client, result.account
    length = account.ended_s
    whole = range(int(length))
    colours = sorted(colour for colour in counts.by_colour if colour)
    lines = tuple(
        Line(colour, colour, tuple((s, counts.by_second.get(s, Counter())[colour]) for s in whole))
        for colour in colours
    )
    failures = Bars(
        "failures", "failed", tuple((s, s + 1, n) for s, n in sorted(counts.failed_by_second.items()))
    )
    panels = [
        Panel("requests per second by colour", "", 110, _top(counts), lines=lines),
        Panel("failed requests per second", "", 60, max(nice_top([failures]), 2.0), bars=(failures,)),
    ]
    return draw(panels, 0.0, length, rollout_marks(account, None), "what the clients saw over time")


def _top(counts: Counts) -> float:
    busiest = max((sum(second.values()) for second in counts.by_second.values()), default=1)
    return nice_top([Bars("", "", ((0, 1, busiest),))])
