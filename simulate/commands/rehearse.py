"""``simulate list`` and ``simulate rehearse``: what they do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simulate.commands.errors import BadInput, Failed
from simulate.commands.inputs import check_output, check_workers, writing
from simulate.commands.show import print_one, print_scenario, print_scenarios, print_summary
from simulate.scenarios import SCENARIOS, UnknownScenario, find
from simulate.studies.replication import Incomplete, Job, NoCluster, Rows, measure, rehearsal, run, summarize
from simulate.studies.replication.parallel import Measure


def list_scenarios(name: str | None, *, as_json: bool) -> None:
    if name is None:
        print_scenarios(list(SCENARIOS.values()), as_json=as_json)
        return
    try:
        print_scenario(find(name), as_json=as_json)
    except UnknownScenario as error:
        raise BadInput(f"{error}") from None


def rehearse(
    job: Job, replications: int, *, workers: int, dask: str | None, as_json: bool, html: Path | None
) -> None:
    check_output("--html", html)
    rows = study(job, replications, workers, dask)
    summary = summarize(job, rows)
    record = rehearsal(job, 0).run() if replications == 1 or html else None
    if as_json:
        print(json.dumps(summary.to_json(), indent=2))
    elif record and replications == 1:
        print_one(job, record, summary)
    else:
        print_summary(summary)
    if html and record:
        from simulate.commands.page import write_page  # noqa: PLC0415 -- matplotlib takes a second to import

        with writing("--html", html):
            write_page(html, summary, rows, record)


def study(
    job: Job, replications: int, workers: int, dask: str | None, *, measure: Measure = measure, what: str = ""
) -> Rows:
    """Runs a job with a progress bar, named ``what`` or as its scenario, where somebody watches it."""
    check_workers(workers, dask)
    try:
        with progress_bar(replications, what or job.scenario) as advance:
            return run(job, replications, workers=workers, dask=dask, progress=advance, measure=measure)
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
    with Progress(
        *columns, console=console, transient=True, disable=total == 1 or not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
