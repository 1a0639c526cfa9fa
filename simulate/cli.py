"""The command ``simulate``. Whatever a command works with is imported when it runs: numba and scipy take a second."""

# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from rollout.extras import missing
from rollout.program import Program, complain
from simulate.commands.errors import CommandError
from simulate.lab.cli import INTERRUPTED
from simulate.lab.cli import app as lab_app
from simulate.lab.errors import LabError


@contextmanager
def _interrupt_reported() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        complain("simulate", "interrupted")
        raise typer.Exit(INTERRUPTED) from None


class _Group(Program):
    """Reports Ctrl-C, also while a command is parsed or imported: typer would exit without a word."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _interrupt_reported():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with _interrupt_reported():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Group,
    name="simulate",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # it fills paragraphs to the terminal's width
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Rehearse a release before the night.\n\n"
    "Exit codes: 0 done, 1 a failure at run time or a check that does not hold, 2 bad input, 130 interrupted.",
)
app.add_typer(lab_app)


def _scenarios(incomplete: str) -> list[str]:
    """The scenarios that begin so, for the shell's completion."""
    from simulate.scenarios import SCENARIOS

    return [name for name in SCENARIOS if name.startswith(incomplete)]


def _plans(incomplete: str) -> Iterator[str]:
    """The plans that ship and the YAML files that begin so, for the shell's completion."""
    from rollout.plan import BUILT_IN

    yield from (name for name in BUILT_IN if name.startswith(incomplete))
    start = Path(incomplete)
    folder = start if incomplete.endswith("/") else start.parent
    for path in sorted(folder.glob("*")):
        if str(path).startswith(incomplete) and (path.is_dir() or path.suffix == ".yaml"):
            yield f"{path}/" if path.is_dir() else str(path)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"simulate {version('simple378')}")
        raise typer.Exit


PlanOption = Annotated[
    str,
    typer.Option(
        "--plan",
        metavar="PLAN",
        help="A plan file, or one that ships: phase-c, tuned.",
        autocompletion=_plans,
    ),
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
    int,
    typer.Option("--seed", min=0, help="The same seed gives the same numbers, with any number of workers."),
]
ReplicationsOption = Annotated[int, typer.Option("--replications", min=1, help="How many rollouts.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes on this machine.")]
DaskOption = Annotated[
    str | None, typer.Option("--dask", metavar="ADDRESS", help="Use a Dask cluster, such as tcp://host:8786.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page to share.")]


@app.command(name="list")
def list_command(
    scenario: Annotated[
        str | None, typer.Argument(help="One scenario, for its parameters.", autocompletion=_scenarios)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the scenarios, or the parameters of one."""
    from simulate.commands.list import list_scenarios

    list_scenarios(scenario, as_json=as_json)


@app.command(name="rehearse")
def rehearse_command(
    scenario: Annotated[
        str, typer.Argument(help="What goes wrong; see `simulate list`.", autocompletion=_scenarios)
    ],
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
    """Rehearse a release: the timeline of one run, or shares and times of many, with 95 % intervals.

    Ctrl-C ends many runs early and prints what they have shown so far.

    --json gives scenario, plan, seed, replications, outcomes, rolled_back (count, low, high); detection_s, rollback_s,
    failed_requests, requests and the scenario's own findings, each with mean, low, high and p95.
    """
    from simulate.commands.inputs import job_of
    from simulate.commands.rehearse import rehearse

    job = job_of(scenario, plan, settings, rate, trace, seed)
    rehearse(job, replications, workers=workers, dask=dask, as_json=as_json, html=html)


@app.command(name="risk")
def risk_command(
    plan: PlanOption = "phase-c",
    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="SCENARIO.probability in percent, SCENARIO.parameter, or a parameter of all nights.",
        ),
    ] = [],  # noqa: B006 -- typer copies it
    rate: RateOption = None,
    seed: SeedOption = 1,
    replications: Annotated[
        int, typer.Option("--replications", min=2, help="How many nights of each kind.")
    ] = 200,
    workers: WorkersOption = 1,
    dask: DaskOption = None,
    as_json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """Rehearse the nine risks of the register, alone and together, and measure what each mitigation is worth.

    Each replication rehearses about twenty nights of 40 minutes on the same random numbers: without any risk, with each risk
    alone, with risks drawn by their probabilities, and the last again without each mitigation. Costs are those beyond the night
    without any risk.

    --json gives plan, seed, replications, night_s and rate_per_minute; calm, risks (a list) and together, each with ends
    (promoted, held, rolled_back: count, low, high) and costs (n, mean, low, high, p95); risks also with probability and
    detection_s; together also with risks, bad_promoted and false_rollback; and mitigations, sorted by worth: what nights
    without each cost more (hurt, failed_requests, unsafe_minutes, bad_promoted, false_rollback), and seen.
    """
    from simulate.commands.risk import register_of, risk

    job, register = register_of(plan, settings, rate, seed)
    risk(job, register, replications, workers=workers, dask=dask, as_json=as_json, html=html)


@app.command(name="tune")
def tune_command(
    settings: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Set a parameter of all releases; see `simulate list healthy`."
        ),
    ] = [],  # noqa: B006 -- typer copies it
    rate: RateOption = None,
    plan: Annotated[
        list[str],
        typer.Option(
            "--plan",
            metavar="PLAN",
            help="Try this plan, too: a file, or one that ships. Repeatable.",
            autocompletion=_plans,
        ),
    ] = [],  # noqa: B006 -- typer copies it
    replications: Annotated[
        int, typer.Option("--replications", min=2, help="Rehearsals of each plan and release.")
    ] = 1000,
    seed: SeedOption = 1,
    confirm_seed: Annotated[
        int, typer.Option("--confirm-seed", min=0, help="The seed on which the best plans are confirmed.")
    ] = 1001,
    regressions: Annotated[
        float,
        typer.Option(
            "--regressions",
            metavar="PERCENT",
            help="Weight of a release with more errors, and of a slow release.",
        ),
    ] = 40,
    hurt_at_most: Annotated[
        float,
        typer.Option(
            "--hurt-at-most", metavar="TIMES", help="Most requests it may hurt, as a multiple of phase-c's."
        ),
    ] = 1.25,
    missed_more: Annotated[
        float,
        typer.Option(
            "--missed-more",
            metavar="POINTS",
            help="Percentage points more bad releases than phase-c that it may promote.",
        ),
    ] = 0.1,
    workers: WorkersOption = 1,
    dask: DaskOption = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where the proposed plan is written.")
    ] = Path("build/tuned.yaml"),
    as_json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """Compare twenty plans by false rollbacks, missed bad releases and requests hurt, and propose one.

    Hurt means affected: failed or slow.

    phase-c and nineteen variants (a larger first stage, other limits, a minimum of requests, M of N periods, an abort in place
    of the way back to 5 %, a comparison with stable) are rehearsed on a healthy release and eight bad ones, on the same random
    numbers. Bad releases count by their probabilities in the register. The Pareto-optimal plans are rehearsed again on a
    fresh seed.

    Proposed is the plan with the fewest false rollbacks among those that promote at most --missed-more points more bad releases
    than phase-c and hurt at most --hurt-at-most times as many requests; where chance may explain the difference, the one that
    hurts fewest. It is written to --out; `simulate adopt` puts it in place of the plan that ships. Ctrl-C prints what is known
    and proposes nothing.

    --json gives seed, confirm_seed, replications, bounds, given, cases (name, weight); plans (a list) with number, name,
    differences, front, and screened and confirmed (false_rollbacks and missed in percent, hurt, failed, detection_s, night_s:
    each mean, low, high); the numbers chosen, best_fixed and best_compared; simulated_s and asked_s, the seconds of the clock
    that were simulated and that a rehearsal for each plan would have taken.
    """
    from simulate.commands.tune import asked_of, tune_plans
    from simulate.studies.tune import Bounds

    asked = asked_of(
        settings,
        rate,
        plan,
        replications=replications,
        seed=seed,
        confirm_seed=confirm_seed,
        regressions=regressions,
        bounds=Bounds(hurt_at_most, missed_more),
    )
    tune_plans(asked, workers=workers, dask=dask, out=out, as_json=as_json, html=html)


@app.command(name="adopt")
def adopt_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The plan to adopt, as `simulate tune` wrote it.")
    ] = Path("build/tuned.yaml"),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Put a tuned plan in place of the one that ships, rollout/plans/tuned.yaml.

    Shows both side by side and asks. A plan whose gain over phase-c is within its 95 % interval is refused with exit code 1.
    """
    from simulate.commands.adopt import adopt

    adopt(file, yes=yes)


@app.command(name="validate")
def validate_command(
    seed: SeedOption = 1,
    lab: Annotated[
        Path | None,
        typer.Option(
            "--lab",
            metavar="FILE",
            help="A measurement by `simulate lab measure`, in place of the shipped one.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the simulator with closed forms, its oracle and the lab. Exits with 1 if a line fails."""
    from simulate.commands.validate import validate

    validate(seed, lab, as_json=as_json)


@app.command(name="capacity")
def capacity_command(
    settings: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Set an assumption; the output ends with all of them."
        ),
    ] = [],  # noqa: B006 -- typer copies it
    rate: RateOption = None,
    trace: TraceOption = None,
    seed: SeedOption = 1,
    replications: Annotated[int, typer.Option("--replications", min=2, help="Runs of each size.")] = 10,
    workers: WorkersOption = 1,
    as_json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """Find the replicas, pool size, max_connections and rate limit that a load needs, and its latency curve.

    Each colour alone must carry all of the traffic within the targets (--set p95_ms, losses_percent) while some of it is down
    (--set spare). If no size within the bounds does (100 replicas a colour, the guide's 100 connections a pgbouncer), the
    command names the bound and exits with 1. Ctrl-C prints the sizes found so far.

    --json gives rate_per_minute, seed, replications, replicas, pool_size, max_connections, rate_limit; needed (what each size
    showed, and one fewer), bounds_per_minute, bounded_by, knee_per_minute, within_targets_per_minute, curve and hangs (lists),
    assumptions.
    """
    from simulate.commands.capacity import capacity

    capacity(
        settings,
        rate,
        trace,
        seed=seed,
        replications=replications,
        workers=workers,
        as_json=as_json,
        html=html,
    )


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of ``simulate`` itself."""


def main() -> None:
    """Run the command line. Exits with 2 for bad input, 1 for a failure, 130 when interrupted."""
    try:
        app()
    except (LabError, CommandError) as error:
        complain("simulate", str(error))
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if (sentence := missing(error)) is None:
            raise
        complain("simulate", sentence)
        sys.exit(2)
    except KeyboardInterrupt:
        complain("simulate", "interrupted")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
