"""Runs the work of a command and reports on stderr how far it is, where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simulate.commands.errors import BadInput, Failed, Interrupted
from simulate.commands.inputs import check_workers
from simulate.dataplane.compilation import compile_once
from simulate.studies import replication
from simulate.studies.replication import Incomplete, Job, NoCluster, Rows, measure, run
from simulate.studies.replication.parallel import Measure


def steps() -> Callable[[str], None]:
    """A function that reports each step as it begins."""
    console = Console(stderr=True)

    def report(what: str) -> None:
        if console.is_terminal:
            console.print(f"  {what}", highlight=False)

    return report


def compiled() -> None:
    """Compiles the simulator if this checkout has not yet, and says so: nothing else explains a minute of silence."""
    compile_once(
        lambda: print("compiling the simulator, once; this takes about a minute", file=sys.stderr, flush=True)
    )


@dataclass(frozen=True, slots=True)
class Studied:
    """The rows of a study; fewer than ``asked`` when Ctrl-C ended it."""

    rows: Rows
    asked: int

    def check_complete(self) -> None:
        """To be called once the rows are printed. Raises :class:`Interrupted`."""
        done = len(self.rows.values)
        if done < self.asked:
            raise Interrupted(f"{done:,} of {self.asked:,} replications were done; the figures are of these")


def study(
    job: Job,
    replications: int,
    workers: int,
    dask: str | None,
    *,
    measure: Measure = measure,
    what: str = "",
) -> Studied:
    """Runs a job with a progress bar named ``what``, or as its scenario."""
    check_workers(workers, dask)
    with cluster_errors(), progress_bar(replications, what or job.scenario) as advance:
        try:
            rows = run(job, replications, workers=workers, dask=dask, progress=advance, measure=measure)
        except replication.Interrupted as stopped:
            rows = stopped.rows[0]
    return Studied(rows, replications)


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Failures of workers as errors of the command."""
    try:
        yield
    except NoCluster as error:
        raise BadInput(f"--dask: {error}") from None
    except Incomplete as error:
        raise Failed(str(error)) from None


@contextmanager
def progress_bar(total: int, what: str) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    compiled()
    with Progress(
        *columns, console=console, transient=True, disable=total == 1 or not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
