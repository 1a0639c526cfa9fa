"""Runs replications in this process, in others of this machine, or on a Dask cluster.

Replications are divided into blocks that do not depend on who runs them, and joined in their order: the same seed gives
the same numbers, bit for bit. Workers send rows of numbers, never traces.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any, NamedTuple

import joblib
import numpy as np

from simulate.studies.replication.job import NAN, Job, Rows, measure

BLOCK = 20  # replications
TRIES = 3  # of a block whose worker died
_CONNECT_S = 5
_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx)://[^\s/]+:\d+/?")
_WORKERS_S = 30

Block = tuple[int, int]
Measure = Callable[[Job, int, int], Rows]
Progress = Callable[[int], None]  # replications that have just been done


class Task(NamedTuple):
    """A job and how its replications are measured."""

    job: Job
    measure: Measure = measure


_Share = tuple[int, Block]  # number of a task, and a block of its replications


class NoCluster(Exception):
    """The Dask scheduler cannot be used; the message names its address and what to do."""


class Incomplete(Exception):
    """Workers died and their share could not be repeated; the message says what is missing."""


class Interrupted(Exception):
    """Ctrl-C ended a study early. ``rows`` holds, for each task, the replications that all tasks have completed."""

    def __init__(self, rows: list[Rows]) -> None:
        self.rows = rows
        super().__init__(f"interrupted after {len(rows[0].values)} replications")


def run(
    job: Job,
    replications: int,
    *,
    workers: int = 1,
    dask: str | None = None,
    progress: Progress = lambda done: None,
    measure: Measure = measure,
) -> Rows:
    """All replications of one job, in order. Raises as :func:`run_all`."""
    return run_all([Task(job, measure)], replications, workers=workers, dask=dask, progress=progress)[0]


def run_all(
    tasks: Sequence[Task],
    replications: int,
    *,
    workers: int = 1,
    dask: str | None = None,
    progress: Progress = lambda done: None,
) -> list[Rows]:
    """All replications of each task, in order; the tasks advance side by side.

    Raises :class:`NoCluster`, :class:`Incomplete`, or after Ctrl-C :class:`Interrupted` if anything is complete.
    """
    blocks = [(first, min(first + BLOCK, replications)) for first in range(0, replications, BLOCK)]
    shares = [(number, block) for block in blocks for number in range(len(tasks))]
    if dask is not None:
        done = _on_cluster(dask, tasks, shares)
    elif workers == 1 or len(shares) == 1:
        done = (_measured(tasks[share[0]], share) for share in shares)
    else:
        done = _on_processes(workers, tasks, shares)
    found: dict[_Share, Rows] = {}
    try:
        for share, rows in done:
            found[share] = rows
            progress(len(rows.values))
    except KeyboardInterrupt:
        blocks = [block for block in blocks if all((number, block) in found for number in range(len(tasks)))]
        if not blocks:
            raise
        raise Interrupted(_by_task(tasks, blocks, found)) from None
    return _by_task(tasks, blocks, found)


def _by_task(tasks: Sequence[Task], blocks: Sequence[Block], found: Mapping[_Share, Rows]) -> list[Rows]:
    return [joined([found[number, block] for block in blocks]) for number in range(len(tasks))]


def joined(parts: list[Rows]) -> Rows:
    """Rows under one another; a finding that only some have is NaN in the others."""
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    whole = np.full((sum(len(part.values) for part in parts), len(names)), NAN)
    at = 0
    for part in parts:
        columns = [names.index(name) for name in part.names]
        whole[at : at + len(part.values), columns] = part.values
        at += len(part.values)
    return Rows(names, whole)


def _measured(task: Task, share: _Share) -> tuple[_Share, Rows]:
    return share, task.measure(task.job, *share[1])


def _on_processes(
    workers: int, tasks: Sequence[Task], shares: Sequence[_Share]
) -> Iterator[tuple[_Share, Rows]]:
    missing = dict.fromkeys(shares)
    for _ in range(TRIES):
        parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
        try:
            for share, rows in parallel(
                joblib.delayed(_measured)(tasks[share[0]], share) for share in [*missing]
            ):
                del missing[share]
                yield share, rows
        except BrokenExecutor:
            continue  # a worker died, and the others with it: what is missing is repeated
        return
    raise Incomplete(
        f"workers died {TRIES} times; {_listed(missing)}. Use fewer --workers, or look for memory"
    )


def _on_cluster(
    address: str, tasks: Sequence[Task], shares: Sequence[_Share]
) -> Iterator[tuple[_Share, Rows]]:
    if not _ADDRESS.fullmatch(address):  # Dask's client would fail late and with a traceback
        raise NoCluster(
            f"'{address}' is not a Dask scheduler's address: it takes one such as tcp://host:8786"
        )
    from distributed import Client, as_completed  # noqa: PLC0415 -- takes a second to import

    for name in ("distributed", "distributed.client"):  # our own error says it in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=_CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        raise NoCluster(
            f"no Dask scheduler answers at {address} ({type(error).__name__}): start one"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_WORKERS_S)
        except TimeoutError:
            raise NoCluster(f"the Dask scheduler at {address} has no workers: start some") from None
        missing = dict.fromkeys(shares)
        futures: list[Any] = client.map(
            _measured, [tasks[number] for number, _ in shares], shares, pure=False, retries=TRIES - 1
        )
        for future in as_completed(futures, loop=client.loop):  # type: ignore[no-untyped-call]
            if future.status in ("error", "cancelled"):
                why = future.status if future.status != "error" else repr(future.exception())
                raise Incomplete(f"the Dask cluster at {address} lost work ({why}); {_listed(missing)}")
            # "lost": the worker died with a result that nobody had fetched. The scheduler repeats the task, and this waits for it.
            share, rows = future.result()
            del missing[share]
            yield share, rows


def _listed(missing: Iterable[_Share]) -> str:
    spans: list[list[int]] = []
    for first, last in sorted({block for _, block in missing}):
        if spans and spans[-1][1] == first:
            spans[-1][1] = last
        else:
            spans.append([first, last])
    return f"replications {', '.join(f'{first}-{last - 1}' for first, last in spans)} are missing"
