"""``simulate lab rehearse``: starts a lab, performs two releases in it, writes a report and stops the lab.

Every failure ends with one message. Whatever happens, everything that was started is stopped: the lab is attached to this
process, so it ends even when this process is killed.
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
from simulate.lab.backend.metrics import PERIOD_S
from simulate.lab.errors import LabError, bad_input
from simulate.lab.faults import BadFault, Fault, fault
from simulate.lab.lab import Lab, Progress
from simulate.lab.layout import CHECKOUT
from simulate.lab.rehearsal.page import write_page
from simulate.lab.rehearsal.release import Rig
from simulate.lab.rehearsal.summary import ReleaseResult, summarize

LAB = "rehearsal"
GOOD_VERSION, BAD_VERSION = "2.0.0", "3.0.0"
#: Seconds of load before the first rollout, so that both sides of a comparison have traffic...
WARM_UP_S = 3.0
#: ...and at least so long that stable has published its metrics of a period when the candidate is deployed, which takes longer than this.
_DEPLOYMENT_S = 8.0


@dataclass(frozen=True, slots=True)
class RehearsalOptions:
    """The options of ``simulate lab rehearse``. ``keep``: the lab is left running, to look around in it."""

    fault: Fault
    time_scale: float
    out: Path
    keep: bool

    @property
    def summary(self) -> Path:
        return self.out / "summary.json"

    @classmethod
    def checked(cls, fault_name: str, time_scale: float, out: Path, *, keep: bool) -> RehearsalOptions:
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
            raise bad_input(f"--out {out}: exists and holds no rehearsal", "give a new or empty directory")
        return cls(found, time_scale, out, keep)


def _ours(directory: Path) -> bool:
    """Whether the directory may be emptied: it is empty, or holds an earlier rehearsal."""
    return directory.is_dir() and (not any(directory.iterdir()) or (directory / "logs").is_dir())


def rehearse(options: RehearsalOptions, console: Console) -> int:
    """Performs both releases. Returns the exit code: 0 when both ended as expected, 1 otherwise."""
    lab = Lab(LAB, time_scale=options.time_scale)
    report = reporter(console)
    keep = False
    with interrupted_by_signals():
        lab.start(report, attached=not options.keep)
        try:
            _empty(options.out)
            results = _perform(Rig.of(lab, options.out, report), options)
            keep = options.keep
        except LabError:
            console.print(
                f"logs: {lab.paths.logs} (the lab), {options.out / 'logs'} (the rehearsal)", soft_wrap=True
            )
            raise
        finally:
            if not keep:
                lab.stop()
    _write(results, options)
    _show(results, options, console)
    return 0 if not any(result.differs for result in results) else 1


def reporter(console: Console) -> Progress:
    """Prints lines with the seconds since the reporter was made."""
    began = time.monotonic()

    def report(line: str) -> None:
        console.print(
            f"[dim]{time.monotonic() - began:6.1f} s[/]  {escape(line)}", highlight=False, soft_wrap=True
        )

    return report


def _empty(out: Path) -> None:
    """Removes the results of an earlier rehearsal, so that they are not taken for this one's."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "logs").mkdir(parents=True)


def _perform(rig: Rig, options: RehearsalOptions) -> list[ReleaseResult]:
    rig.deploy_all()
    rig.clients.start()
    rig.report(f"load: {rig.clients.rate} requests per second")
    time.sleep(max(WARM_UP_S, PERIOD_S / options.time_scale - _DEPLOYMENT_S))
    results = []
    for number, (version, injected) in enumerate(
        ((GOOD_VERSION, None), (BAD_VERSION, options.fault)), start=1
    ):
        what = f"the fault {injected.name}: {injected.sentence}" if injected else "no fault"
        rig.report(f"release {number}: {version}, with {what}")
        results.append(rig.perform(number, version, injected))
    rig.clients.stop()
    rig.stacks.export(rig.directory / "stacks")
    return results


def _write(results: Sequence[ReleaseResult], options: RehearsalOptions) -> None:
    summary = json.dumps([summarize(result) for result in results], indent=2) + "\n"
    scratch = options.summary.with_suffix(".json.new")
    scratch.write_text(summary)
    write_page(results, options.out / "report.html")
    os.replace(scratch, options.summary)


def _show(results: Sequence[ReleaseResult], options: RehearsalOptions, console: Console) -> None:
    console.print(results_table(results))
    for result in results:
        if late := result.account.deadlines_missed:
            console.print(f"[bold yellow]release {result.number}:[/] {missed(late)}", soft_wrap=True)
        for problem in result.differs:
            console.print(f"[bold red]release {result.number}:[/] {escape(problem)}", soft_wrap=True)
    console.print(f"report: {options.out / 'report.html'}", soft_wrap=True)
    if options.keep:
        console.print(
            f"the lab is still running: simulate lab shell --name {LAB}; stop it: simulate lab stop --name {LAB}"
        )


def results_table(results: Sequence[ReleaseResult]) -> Table:
    """Narrow enough for a terminal of 80 columns. Times are from the start of each rollout."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    for heading in ("release", "fault", "outcome"):
        table.add_column(heading)
    # Without any, the column would only make the table wider than a terminal.
    limited = any(result.client.rate_limited for result in results)
    for heading in ("sent", "failed", *(["429"] if limited else []), "breach", "decided", "moved"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("ok", justify="right")
    for result in results:
        summary = summarize(result)
        times = (summary[key] for key in ("first_breach_s", "decided_s", "traffic_moved_s"))
        table.add_row(
            f"{result.number} {result.account.candidate}",
            result.fault or "none",
            result.account.outcome,
            f"{result.client.requests:,}",
            f"{result.client.failed:,}",
            *([f"{result.client.rate_limited:,}"] if limited else []),
            *("" if t is None else f"{t:.1f} s" for t in times),
            "[bold red]no[/]" if result.differs else "yes",
        )
    return table


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end a rehearsal as Ctrl-C does: orderly. A SIGHUP that nohup ignores stays ignored."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
