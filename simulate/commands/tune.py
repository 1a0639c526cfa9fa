"""``simulate tune``: which plan, told as tables, JSON, a page, and a plan file."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from rollout.plan import Plan
from simulate.commands.errors import BadInput, Failed
from simulate.commands.inputs import check_output, check_workers, read_plan, read_settings, with_rate, writing
from simulate.commands.rehearse import progress_bar
from simulate.commands.tune_text import told
from simulate.scenarios import BadParameter, find
from simulate.studies.replication import Incomplete, NoCluster
from simulate.studies.tune import REGRESSIONS, Asked, Bounds, Tuned, candidates, default_cases, tune
from simulate.studies.tune.tuned_plan import text


def asked_of(
    settings: Sequence[str],
    rate: float | None,
    mine: Sequence[str],
    *,
    replications: int,
    seed: int,
    confirm_seed: int,
    regressions: float,
    bounds: Bounds,
) -> Asked:
    """What is to be tuned, known to be possible."""
    given = with_rate(read_settings(settings), rate, some=True)
    if given.get("rate_per_minute", 1.0) <= 0:
        raise BadInput(
            "--set rate_per_minute: without requests no plan can be told from another: give requests per minute above 0"
        )
    for flag, value in (
        ("--regressions", regressions),
        ("--hurt-at-most", bounds.hurt_at_most),
        ("--missed-more", bounds.missed_more),
    ):
        if not 0 <= value < math.inf:
            raise BadInput(f"{flag} is {value:g}: it takes a number from 0 up")
    if confirm_seed == seed:
        raise BadInput("--confirm-seed: the front is confirmed on fresh seeds; give another than --seed")
    cases = default_cases(regressions)
    try:
        for case in cases:
            find(case.scenario).values({**given, **case.given})
    except BadParameter as error:
        raise BadInput(f"--set: {error}; what holds for all releases is in `simulate list healthy`") from None
    if own := [name for name in given for case in cases if name in case.given]:
        raise BadInput(f"--set {own[0]}: the releases have their own; set what holds for all of them")
    return Asked(
        plans=(*candidates(read_plan("phase-c")), *_own(mine)),
        cases=cases,
        given=given,
        replications=replications,
        seed=seed,
        confirm_seed=confirm_seed,
        regressions=regressions,
        bounds=bounds,
        files=tuple(mine),
    )


def _own(files: Sequence[str]) -> list[Plan]:
    return [read_plan(file, "--candidate") for file in files]


def tune_plans(
    asked: Asked,
    *,
    workers: int,
    dask: str | None,
    out: Path,
    as_json: bool,
    html: Path | None,
) -> None:
    check_output("--out", out)
    check_output("--html", html)
    if html is not None and html.resolve() == out.resolve():
        raise BadInput(f"--out and --html are both {out}: give two files")
    check_workers(workers, dask)
    tuned = _tuned(asked, workers, dask)
    command = command_of(asked)
    if tuned.chosen is not None:
        with writing("--out", out):
            out.write_text(text(tuned, command))
    if as_json:
        print(json.dumps(tuned.to_json(), indent=2))
    else:
        print("\n".join(told(tuned)))
        print(f"\n{out} is written." if tuned.chosen is not None else f"\n{out} is left as it was.")
    if html:
        from simulate.commands.tune_page import write_page  # noqa: PLC0415 -- matplotlib takes a second to import

        with writing("--html", html):
            write_page(html, tuned, command)


def command_of(asked: Asked) -> str:
    """What gives the same numbers again, wherever it is written to and whoever does the work."""
    words = ["simulate", "tune", f"--replications={asked.replications}", f"--seed={asked.seed}"]
    words += [f"--confirm-seed={asked.confirm_seed}"]
    words += [f"--set={name}={value:g}" for name, value in asked.given.items()]
    if asked.regressions != REGRESSIONS:
        words.append(f"--regressions={asked.regressions:g}")
    if asked.bounds != Bounds():
        words += [
            f"--hurt-at-most={asked.bounds.hurt_at_most:g}",
            f"--missed-more={asked.bounds.missed_more:g}",
        ]
    return shlex.join([*words, *(f"--candidate={file}" for file in asked.files)])


def _tuned(asked: Asked, workers: int, dask: str | None) -> Tuned:
    """With a progress bar where somebody watches it."""
    total = len(asked.cases) * asked.replications
    try:
        with progress_bar(2 * total, f"{len(asked.plans)} plans, then the best of them") as advance:
            return tune(asked, workers=workers, dask=dask, progress=advance)
    except NoCluster as error:
        raise BadInput(f"--dask: {error}") from None
    except Incomplete as error:
        raise Failed(str(error)) from None
