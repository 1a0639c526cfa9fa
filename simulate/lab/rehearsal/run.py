"""``simulate lab rehearse``: from nothing to a report, and back to nothing.

What may go wrong goes wrong with one message, and whatever happens everything that was started is stopped: the lab is
attached to this process, so it ends even when this process is killed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rollout.journal.report import missed
from simulate.lab.errors import LabError, bad_input
from simulate.lab.faults import BadFault, Fault, fault
from simulate.lab.lab import Lab
from simulate.lab.layout import CHECKOUT
from simulate.lab.rehearsal.page import write_page
from simulate.lab.rehearsal.release import Say, Stage
from simulate.lab.rehearsal.summary import ReleaseResult, summarize

LAB = "rehearsal"
GOOD_VERSION, BAD_VERSION = "2.0.0", "3.0.0"
DEFAULT_FAULT = "errors-5pct"
#: Seconds of load before the first rollout, so that both sides of a comparison have traffic.
WARM_UP_S = 3.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``simulate lab rehearse`` was asked for. ``keep``: the lab stays, to look around in it."""

    fault: Fault
    time_scale: float
    out: Path
    keep: bool

    @classmethod
    def checked(cls, fault_name: str, time_scale: float, out: Path, *, keep: bool) -> Settings:
        """Raises :class:`LabError` with exit code 2 before anything is touched."""
        try:
            found = fault(fault_name)
        except BadFault as error:
            message, _, fix = str(error).partition(": ")
            raise bad_input(f"--fault: {message}", fix) from None
        out = out.resolve()
        if out == CHECKOUT or CHECKOUT.is_relative_to(out):
            raise bad_input(
                f"--out {out}: holds this checkout", "give a directory of its own, such as build/rehearsal"
            )
        if out.exists() and not _ours(out):
            raise bad_input(f"--out {out}: exists and is not of a rehearsal", "give a new or empty directory")
        return cls(found, time_scale, out, keep)


def _ours(directory: Path) -> bool:
    """An earlier rehearsal's directory, or an empty one: what may be emptied."""
    return directory.is_dir() and (not any(directory.iterdir()) or (directory / "logs").is_dir())


def rehearse(settings: Settings, console: Console) -> int:
    """Performs both releases. Returns the exit code: 0 when both ended as they must, 1 otherwise."""
    lab = Lab(LAB, time_scale=settings.time_scale)
    say = sayer(console)
    keep = False
    with interrupted_by_signals():
        lab.start(say, attached=not settings.keep)
        try:
            _empty(settings.out)
            results = _perform(Stage.of(lab, settings.out, say), settings.fault)
            keep = settings.keep
        except LabError:
            console.print(
                f"logs: {lab.paths.logs} (the lab), {settings.out / 'logs'} (the rehearsal)", soft_wrap=True
            )
            raise
        finally:
            if not keep:
                lab.stop()
    _write(results, settings.out)
    _show(results, settings, console)
    return 0 if not any(result.differs for result in results) else 1


def sayer(console: Console) -> Say:
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(
            f"[dim]{time.monotonic() - began:6.1f} s[/]  {escape(line)}", highlight=False, soft_wrap=True
        )

    return say


def _empty(out: Path) -> None:
    """No result of an earlier rehearsal may be taken for one of this."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "logs").mkdir(parents=True)


def _perform(stage: Stage, bad: Fault) -> list[ReleaseResult]:
    stage.deploy_all()
    stage.clients.start()
    stage.say(f"load: {stage.clients.rate} requests per second")
    time.sleep(WARM_UP_S)
    results = []
    for number, (version, injected) in enumerate(((GOOD_VERSION, None), (BAD_VERSION, bad)), start=1):
        what = f"the fault {injected.name}: {injected.sentence}" if injected else "no fault"
        stage.say(f"release {number}: {version}, with {what}")
        results.append(stage.perform(number, version, injected))
    stage.clients.stop()
    stage.stacks.export(stage.directory / "stacks")
    return results


def _write(results: Sequence[ReleaseResult], out: Path) -> None:
    summary = json.dumps([summarize(result) for result in results], indent=2) + "\n"
    scratch = out / "summary.json.new"
    scratch.write_text(summary)
    write_page(results, out / "report.html")
    os.replace(scratch, out / "summary.json")


def _show(results: Sequence[ReleaseResult], settings: Settings, console: Console) -> None:
    console.print(results_table(results))
    for result in results:
        if late := result.account.deadlines_missed:
            console.print(f"[bold yellow]release {result.number}:[/] {missed(late)}", soft_wrap=True)
        for problem in result.differs:
            console.print(f"[bold red]release {result.number}:[/] {escape(problem)}", soft_wrap=True)
    console.print(f"report: {settings.out / 'report.html'}", soft_wrap=True)
    if settings.keep:
        console.print(
            f"the lab goes on: simulate lab shell --name {LAB}; end it: simulate lab stop --name {LAB}"
        )


def results_table(results: Sequence[ReleaseResult]) -> Table:
    """Narrow enough for a terminal of 80 columns. Times are from the start of each rollout."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    for heading in ("release", "fault", "outcome"):
        table.add_column(heading)
    for heading in ("sent", "failed", "breach", "decided", "moved"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("right", justify="right")
    for result in results:
        told = summarize(result)
        times = (told[key] for key in ("first_breach_s", "decided_s", "traffic_moved_s"))
        table.add_row(
            f"{result.number} {result.account.candidate}",
            result.fault or "none",
            result.account.outcome,
            f"{result.client.requests:,}",
            f"{result.client.failed:,}",
            *("" if t is None else f"{t:.1f} s" for t in times),
            "[bold red]no[/]" if result.differs else "yes",
        )
    return table


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end a rehearsal as Ctrl-C does: orderly."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
