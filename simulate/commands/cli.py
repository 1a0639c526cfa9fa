"""The command line of what needs no lab. The work is imported late: numba and scipy take a second."""

# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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


def register(app: typer.Typer) -> None:
    """Adds the commands to ``simulate``."""
    app.command(name="list")(list_command)
    app.command(name="rehearse")(rehearse_command)
    app.command(name="risk")(risk_command)
    app.command(name="tune")(tune_command)
    app.command(name="validate")(validate_command)
    app.command(name="bench")(bench_command)
    app.command(name="capacity")(capacity_command)


def list_command(
    scenario: Annotated[str | None, typer.Argument(help="One scenario: its parameters.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the scenarios, or the parameters of one."""
    from simulate.commands.rehearse import list_scenarios

    list_scenarios(scenario, as_json=as_json)


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
    from simulate.commands.inputs import job_of
    from simulate.commands.rehearse import rehearse

    job = job_of(scenario, plan, settings, rate, trace, seed)
    rehearse(job, replications, workers=workers, dask=dask, as_json=as_json, html=html)


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
    """The register's nine risks, alone and together, and what each mitigation is worth.

    Each replication rehearses some twenty nights of 40 minutes with the same luck: without any risk, with each risk alone, with
    the risks that occur by their probabilities, and the last again without each mitigation. Costs are beyond the night without
    any risk.

    --json gives plan, seed, replications, night_s, rate_per_minute; calm, risks (a list), together: each with ends
    (promoted, held, rolled_back: count, low, high) and costs (n, mean, low, high, p95), risks also with probability and
    detection_s, together with risks, bad_promoted, false_rollback; and mitigations, sorted by worth: what nights without each
    cost more (hurt, failed_requests, unsafe_minutes, bad_promoted, false_rollback), and seen.
    """
    from simulate.commands.risk import register_of, risk

    job, register = register_of(plan, settings, rate, seed)
    risk(job, register, replications, workers=workers, dask=dask, as_json=as_json, html=html)


def tune_command(
    settings: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Set a parameter of all releases; see `simulate list healthy`."
        ),
    ] = [],  # noqa: B006 -- typer copies it
    rate: RateOption = None,
    candidate: Annotated[
        list[str],
        typer.Option("--candidate", metavar="FILE", help="Try a plan of your own, too; again for more."),
    ] = [],  # noqa: B006 -- typer copies it
    replications: Annotated[
        int, typer.Option("--replications", min=2, help="Rehearsals of each plan and release.")
    ] = 1000,
    seed: SeedOption = 1,
    confirm_seed: Annotated[
        int, typer.Option("--confirm-seed", min=0, help="The best plans are confirmed on this seed.")
    ] = 1001,
    regressions: Annotated[
        float,
        typer.Option(
            "--regressions",
            metavar="PERCENT",
            help="Weight of a release with more errors, and of a slow one.",
        ),
    ] = 40,
    hurt_at_most: Annotated[
        float,
        typer.Option(
            "--hurt-at-most", metavar="TIMES", help="What the proposed plan may cost users, beside phase-c."
        ),
    ] = 1.25,
    missed_more: Annotated[
        float,
        typer.Option(
            "--missed-more",
            metavar="POINTS",
            help="Percentage points of bad releases that it may promote beyond phase-c.",
        ),
    ] = 0.1,
    workers: WorkersOption = 1,
    dask: DaskOption = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the proposed plan goes.")] = Path(
        "rollout/plans/tuned.yaml"
    ),
    as_json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """Hold twenty plans against each other: false rollbacks, missed bad releases, users hurt; propose one.

    phase-c, and nineteen others with a larger first stage, other limits, minimum requests, M of N periods, an abort in place of the
    way back to 5 %, or a comparison with stable, are rehearsed on a healthy release and eight bad ones with the same luck. Bad
    ones count by the register's probabilities. The plans that no other beats are rehearsed again on a fresh seed. Proposed is, of
    those that promote at most --missed-more points more bad releases than phase-c and hurt at most --hurt-at-most times as many
    requests, the one with the fewest false rollbacks, and of those that chance does not tell apart in that the one that hurts fewest.

    --json gives seed, confirm_seed, replications, bounds, given, cases (name, weight); plans (a list): number, name, differences, front,
    screened and confirmed (false_rollbacks and missed in percent, hurt, failed, detection_s, night_s: each mean, low, high); the
    numbers chosen, best_fixed and best_compared; simulated_s, what was run through, and asked_s, what a rehearsal each would be.
    """
    from simulate.commands.tune import asked_of, tune_plans
    from simulate.studies.tune import Bounds

    asked = asked_of(
        settings,
        rate,
        candidate,
        replications=replications,
        seed=seed,
        confirm_seed=confirm_seed,
        regressions=regressions,
        bounds=Bounds(hurt_at_most, missed_more),
    )
    tune_plans(asked, workers=workers, dask=dask, out=out, as_json=as_json, html=html)


def validate_command(
    seed: SeedOption = 1,
    lab: Annotated[
        Path | None,
        typer.Option(
            "--lab", metavar="FILE", help="Of `simulate lab measure`; the shipped one if not given."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Hold the simulator against closed forms, its oracle and the lab; exits with 1 if a line fails."""
    from simulate.commands.validate import validate

    validate(seed, lab, as_json=as_json)


def bench_command(
    seed: SeedOption = 1,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Tell the best of so many runs.")] = 5,
    profile: Annotated[bool, typer.Option("--profile", help="Show where the time goes, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast the simulator is on one core, beside its aims; `simulate lab bench` measures the lab."""
    from simulate.commands.bench import run

    run(seed, repeats, profile=profile, as_json=as_json)


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
    """Say which replicas, pool size, max_connections and rate limit a load needs, with its latency curve.

    Each colour alone must carry all of the traffic within the targets (--set p95_ms, losses_percent) while some of it is down
    (--set spare). Exits with 1 if nothing within the bounds does, and says which bound: 100 replicas a colour, the guide's 100
    connections a pgbouncer.

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
