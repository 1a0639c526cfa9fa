"""``simulate tune``: which plan is best, as tables, JSON, a page, and a plan file that `simulate adopt` judges."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from simulate.commands.adopt import ADOPTED
from simulate.commands.errors import BadInput, Interrupted
from simulate.commands.inputs import check_output, check_workers, read_plan, read_settings, with_rate
from simulate.commands.output import print_json, writing
from simulate.commands.progress import cluster_errors, progress_bar
from simulate.commands.tune_text import print_tuned
from simulate.figures import plain
from simulate.scenarios import BadParameter, find
from simulate.studies.tune import REGRESSIONS, Asked, Bounds, default_cases, plans_to_try, tune
from simulate.studies.tune.tuned_plan import text

PROPOSED = Path("build/tuned.yaml")  # where a proposed plan is written unless another place is asked for


def asked_of(
    settings: Sequence[str],
    rate: float | None,
    own: Sequence[str],
    *,
    replications: int,
    seed: int,
    confirm_seed: int,
    regressions: float,
    bounds: Bounds,
) -> Asked:
    """What is to be tuned. Raises :class:`BadInput` if it cannot be."""
    given = with_rate(read_settings(settings), rate, some=True)
    if given.get("rate_per_minute", 1.0) <= 0:
        raise BadInput(
            "--set rate_per_minute: without requests all plans do the same: give requests per minute above 0"
        )
    for flag, value in (
        ("--regressions", regressions),
        ("--hurt-at-most", bounds.hurt_at_most),
        ("--missed-more", bounds.missed_more),
    ):
        if not 0 <= value < math.inf:
            raise BadInput(f"{flag} is {plain(value)}: it takes a number from 0 up")
    if confirm_seed == seed:
        raise BadInput(
            "--confirm-seed is the same as --seed: the front is confirmed on a fresh seed, so give another"
        )
    cases = default_cases(regressions)
    try:
        for case in cases:
            find(case.scenario).values({**given, **case.given})
    except BadParameter as error:
        raise BadInput(f"--set: {error}; what holds for all releases is in `simulate list healthy`") from None
    if theirs := [name for name in given for case in cases if name in case.given]:
        raise BadInput(
            f"--set {theirs[0]}: it differs between the releases; set only what holds for all of them"
        )
    return Asked(
        plans=(*plans_to_try(read_plan("phase-c")), *(read_plan(file) for file in own)),
        cases=cases,
        given=given,
        replications=replications,
        seed=seed,
        confirm_seed=confirm_seed,
        regressions=regressions,
        bounds=bounds,
        files=tuple(own),
    )


def tune_plans(
    asked: Asked,
    *,
    workers: int,
    dask: str | None,
    out: Path,
    as_json: bool,
    html: Path | None,
) -> None:
    """Prints the result and writes the proposed plan to ``out``.

    Raises :class:`BadInput`, or :class:`Interrupted` if Ctrl-C ended it early, after what is known was printed.
    """
    if out == PROPOSED:
        out.parent.mkdir(exist_ok=True)
    if out.resolve().parent == ADOPTED.parent:
        raise BadInput(f"--out: {out} ships: write elsewhere, look at the plan, then `simulate adopt FILE`")
    check_output("--out", out)
    check_output("--html", html)
    if html is not None and html.resolve() == out.resolve():
        raise BadInput(f"--out and --html are both {out}: give two files")
    check_workers(workers, dask)
    what = f"{len(asked.plans)} plans, then the best of them"
    with cluster_errors(), progress_bar(2 * len(asked.cases) * asked.replications, what) as advance:
        tuned = tune(asked, workers=workers, dask=dask, progress=advance)
    command = command_of(asked)
    if tuned.chosen is not None:
        with writing("--out", out):
            out.write_text(text(tuned, command))
    if as_json:
        print_json(tuned.to_json())
    else:
        print_tuned(tuned)
        if tuned.chosen is not None:
            print(f"\nWritten to {out}. To put it in place of the plan that ships: simulate adopt {out}")
        else:
            print(f"\nNothing was written to {out}.")
    if html:
        from simulate.commands.tune_page import write_page  # noqa: PLC0415 -- matplotlib takes a second to import

        with writing("--html", html):
            write_page(html, tuned, command)
    if tuned.interrupted:
        raise Interrupted("no plan is proposed")


def command_of(asked: Asked) -> str:
    """The command that gives the same numbers again, whatever it wrote and on however many workers it ran."""
    words = ["simulate", "tune", f"--replications={asked.replications}", f"--seed={asked.seed}"]
    words += [f"--confirm-seed={asked.confirm_seed}"]
    words += [f"--set={name}={value:.15g}" for name, value in asked.given.items()]
    if asked.regressions != REGRESSIONS:
        words.append(f"--regressions={asked.regressions:g}")
    if asked.bounds != Bounds():
        words += [
            f"--hurt-at-most={asked.bounds.hurt_at_most:g}",
            f"--missed-more={asked.bounds.missed_more:g}",
        ]
    return shlex.join([*words, *(f"--plan={file}" for file in asked.files)])
