"""``simulate risk``: the register as a Monte Carlo, as tables, JSON, or a page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from simulate.commands.errors import BadInput
from simulate.commands.inputs import check_output, read_plan, read_settings, with_rate
from simulate.commands.output import print_json, writing
from simulate.commands.progress import study
from simulate.commands.risk_text import print_result
from simulate.scenarios import BadParameter
from simulate.studies.replication import Job
from simulate.studies.risk import Register, measure, summarize


def register_of(plan: str, settings: Sequence[str], rate: float | None, seed: int) -> tuple[Job, Register]:
    """A register whose nights can be built, and the job that has its plan and seed."""
    try:
        register = Register.read(with_rate(read_settings(settings), rate))
    except BadParameter as error:
        raise BadInput(f"--set: {error}; see `simulate list SCENARIO`") from None
    except ValueError as error:
        raise BadInput(f"--set: {error}") from None
    return Job("healthy", read_plan(plan), seed, register.common), register


def risk(
    job: Job,
    register: Register,
    replications: int,
    *,
    workers: int,
    dask: str | None,
    as_json: bool,
    html: Path | None,
) -> None:
    """Prints the result. Raises :class:`Interrupted` if Ctrl-C ended it early, after what is known was printed."""
    check_output("--html", html)
    studied = study(job, replications, workers, dask, measure=partial(measure, register), what="nights")
    result = summarize(register, job, studied.rows)
    if as_json:
        print_json(result.to_json())
    else:
        print_result(result)
    if html:
        from simulate.commands.risk_page import write_page  # noqa: PLC0415 -- matplotlib takes a second to import

        with writing("--html", html):
            write_page(html, result)
    studied.check_complete()
