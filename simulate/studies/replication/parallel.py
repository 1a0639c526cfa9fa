"""Runs a job's replications in this process, in others of this machine, or on a Dask cluster.

Replications are shared out in blocks that do not depend on who runs them, and put together in their order: the same seed
gives the same numbers, bit for bit. Workers send rows of numbers, never traces.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from typing import Any

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


class NoCluster(Exception):
    """The Dask scheduler cannot be used; the message names its address and what to do."""


class Incomplete(Exception):
    """Workers died and their share could not be done again; the message says what is missing."""


def run(
    job: Job,
    replications: int,
    *,
    workers: int = 1,
    dask: str | None = None,
    progress: Progress = lambda done: None,
    measure: Measure = measure,
) -> Rows:
    """All replications, in order. Raises :class:`NoCluster` or :class:`Incomplete`."""
    blocks = [(first, min(first + BLOCK, replications)) for first in range(0, replications, BLOCK)]
    if dask is not None:
        done = _on_cluster(dask, job, blocks, measure)
    elif workers == 1 or len(blocks) == 1:
        done = ((block, measure(job, *block)) for block in blocks)
    else:
        done = _on_processes(workers, job, blocks, measure)
    found: dict[Block, Rows] = {}
    for block, rows in done:
        found[block] = rows
        progress(block[1] - block[0])
    return joined([found[block] for block in blocks])


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


def _numbered(work: Measure, job: Job, block: Block) -> tuple[Block, Rows]:
    return block, work(job, *block)


def _on_processes(workers: int, job: Job, blocks: list[Block], work: Measure) -> Iterator[tuple[Block, Rows]]:
    missing = dict.fromkeys(blocks)
    for _ in range(TRIES):
        parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
        try:
            for block, rows in parallel(joblib.delayed(_numbered)(work, job, block) for block in [*missing]):
                del missing[block]
                yield block, rows
        except BrokenExecutor:
            continue  # a worker died, and the others with it: what is missing is done again
        return
    raise Incomplete(f"workers died {TRIES} times; {_said(missing)}. Use fewer --workers, or look for memory")


def _on_cluster(address: str, job: Job, blocks: list[Block], work: Measure) -> Iterator[tuple[Block, Rows]]:
    if not _ADDRESS.fullmatch(address):  # a client would not be told so at once, nor end well
        raise NoCluster(
            f"'{address}' is not a Dask scheduler's address: it takes one such as tcp://host:8786"
        )
    from distributed import Client, as_completed  # noqa: PLC0415 -- takes a second to import

    for name in ("distributed", "distributed.client"):  # what they would say ends in one error of ours
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
        missing = dict.fromkeys(blocks)
        futures: list[Any] = client.map(
            lambda block: _numbered(work, job, block), blocks, pure=False, retries=TRIES - 1
        )
        for future in as_completed(futures, loop=client.loop):  # type: ignore[no-untyped-call]
            if future.status != "finished":
                why = future.status if future.status != "error" else repr(future.exception())
                raise Incomplete(f"the Dask cluster at {address} lost work ({why}); {_said(missing)}")
            block, rows = future.result()
            del missing[block]
            yield block, rows


def _said(missing: dict[Block, None]) -> str:
    spans: list[list[int]] = []
    for first, last in sorted(missing):
        if spans and spans[-1][1] == first:
            spans[-1][1] = last
        else:
            spans.append([first, last])
    return f"replications {', '.join(f'{first}-{last - 1}' for first, last in spans)} are missing"
