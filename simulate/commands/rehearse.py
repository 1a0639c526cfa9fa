"""``simulate rehearse``: one rehearsal with its timeline, or many with shares and times."""

from __future__ import annotations

from pathlib import Path

from simulate.commands.inputs import check_output
from simulate.commands.output import print_json, writing
from simulate.commands.progress import study
from simulate.commands.rehearse_text import print_one, print_summary
from simulate.studies.replication import Job, rehearsal, summarize


def rehearse(
    job: Job, replications: int, *, workers: int, dask: str | None, as_json: bool, html: Path | None
) -> None:
    """Prints the result. Raises :class:`Interrupted` if Ctrl-C ended it early, after what is known was printed."""
    check_output("--html", html)
    studied = study(job, replications, workers, dask)
    summary = summarize(job, studied.rows)
    result = rehearsal(job, 0).run() if replications == 1 or html else None
    if as_json:
        print_json(summary.to_json())
    elif result and replications == 1:
        print_one(job, result, summary)
    else:
        print_summary(summary)
    if html and result:
        from simulate.commands.rehearse_page import write_page  # noqa: PLC0415 -- matplotlib takes a second to import

        with writing("--html", html):
            write_page(html, summary, studied.rows, result)
    studied.check_complete()
