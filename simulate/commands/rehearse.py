"""``simulate rehearse`` and ``simulate list``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simulate.commands.errors import BadInput, Failed
from simulate.commands.inputs import check_output, job_of
from simulate.commands.show import print_one, print_scenario, print_scenarios, print_summary
from simulate.scenarios import SCENARIOS, UnknownScenario, find
from simulate.study import Incomplete, Job, NoCluster, Rows, rehearsal, run, summarize

PlanOption = Annotated[
    str, typer.Option("--plan", metavar="FILE", help="Rollout plan: a file, or one that ships.")
]
SetOption = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter; see `simulate list SCENARIO`."),
]
RateOption = Annotated[float | None, typer.Option("--rate", metavar="N", help="Users' requests per minute.")]
TraceOption = Annotated[
    Path | None,
    typer.Option("--trace", metavar="CSV", help="Traffic from `timestamp,value`: requests per interval."),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="Same seed, same numbers, for any number of workers.")
]
ReplicationsOption = Annotated[int, typer.Option("--replications", min=1, help="How many rollouts.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes on this machine.")]
DaskOption = Annotated[
    str | None, typer.Option("--dask", metavar="ADDRESS", help="Use a Dask cluster, such as tcp://host:8786.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page to share.")]


def list_command(
    scenario: Annotated[str | None, typer.Argument(help="One scenario: its parameters.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the scenarios, or the parameters of one."""
    if scenario is None:
        print_scenarios(list(SCENARIOS.values()), as_json=as_json)
        return
    try:
        print_scenario(find(scenario), as_json=as_json)
    except UnknownScenario as error:
        raise BadInput(f"{error}") from None


def rehearse_command(
    scenario: Annotated[str, typer.Argument(help="What goes wrong; see `simulate list`.")],
    plan: PlanOption = "phase-c",
    settings: SetOption = [],  # noqa: B006 -- typer copies it
    rate: RateOption = None,
    trace: TraceOption = None,
    seed: SeedOption = 1,
    replications: ReplicationsOption = 1,
    workers: WorkersOption = 1,
    dask: DaskOption = None,
    as_json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """Rehearse a release: one run tells its timeline, many give shares and times with 95 % intervals."""
    job = job_of(scenario, plan, settings, rate, trace, seed)
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

        write_page(html, summary, rows, record)


def study(job: Job, replications: int, workers: int, dask: str | None) -> Rows:
    """Runs a job with a progress bar where somebody watches it."""
    try:
        with progress_bar(replications, job.scenario) as advance:
            return run(job, replications, workers=workers, dask=dask, progress=advance)
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
