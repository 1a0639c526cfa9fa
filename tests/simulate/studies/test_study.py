"""Many rehearsals: the same for any number of workers, told with honest intervals, and dead workers are noticed."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import LocalCluster
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simulate.studies.replication import (
    Incomplete,
    Interrupted,
    Job,
    NoCluster,
    Rows,
    Task,
    estimate,
    measure,
    run,
    run_all,
    summarize,
    wilson,
)
from simulate.studies.replication.parallel import BLOCK, joined
from tests.simulate.lab.cluster import until
from tests.simulate.rehearsals import PLAN, dies_always, dies_once

JOB = Job("error-regression", PLAN, 3, {"rate_per_minute": 200})
N = 3 * BLOCK + 1


@pytest.fixture(scope="module")
def alone() -> Rows:
    return run(JOB, N)


def same(one: Rows, two: Rows) -> bool:
    return one.names == two.names and np.array_equal(one.values, two.values, equal_nan=True)


@pytest.mark.parametrize("workers", [2, 3])
def test_the_number_of_workers_changes_nothing(alone: Rows, workers: int) -> None:
    assert same(run(JOB, N, workers=workers), alone)


def test_progress_counts_every_replication() -> None:
    done: list[int] = []
    run(JOB, BLOCK + 1, progress=done.append)
    assert done == [BLOCK, 1]


def test_a_longer_study_begins_with_the_shorter_one(alone: Rows) -> None:
    assert np.array_equal(run(JOB, 5).values, alone.values[:5], equal_nan=True)


def test_another_seed_is_another_study(alone: Rows) -> None:
    other = run(Job(JOB.scenario, PLAN, 4, JOB.given), 5)
    assert not np.array_equal(other.values, alone.values[:5], equal_nan=True)


# --- workers that die


def test_the_share_of_a_worker_that_dies_is_done_again(alone: Rows, tmp_path: Path) -> None:
    mark = tmp_path / "died"
    assert same(run(JOB, N, workers=2, measure=partial(dies_once, mark=mark)), alone)
    assert mark.exists()


def test_what_cannot_be_done_is_said() -> None:
    with pytest.raises(Incomplete, match=r"replications \S*39 are missing"):
        run(JOB, 2 * BLOCK, workers=2, measure=dies_always)


def test_what_was_complete_is_kept_after_ctrl_c(alone: Rows) -> None:
    asked: list[int] = []

    def interrupted(job: Job, first: int, last: int) -> Rows:
        asked.append(first)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return measure(job, first, last)

    with pytest.raises(Interrupted) as end:
        run_all([Task(JOB, interrupted), Task(JOB, interrupted)], 2 * BLOCK)
    assert asked == [0, 0, BLOCK, BLOCK], "the tasks advance side by side"
    both = end.value.rows
    assert [len(rows.values) for rows in both] == [BLOCK, BLOCK]
    assert np.array_equal(both[0].values, alone.values[:BLOCK], equal_nan=True)


def test_ctrl_c_before_anything_is_complete_is_just_that() -> None:
    def interrupted(job: Job, first: int, last: int) -> Rows:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(JOB, BLOCK, measure=interrupted)


# --- Dask


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None, silence_logs="ERROR"
    ) as cluster:
        yield cluster


def test_a_cluster_of_processes_gives_the_same(cluster: LocalCluster, alone: Rows) -> None:
    assert same(run(JOB, N, dask=cluster.scheduler_address), alone)


def test_a_worker_of_the_cluster_that_dies_with_results_is_replaced(
    cluster: LocalCluster, alone: Rows
) -> None:
    scheduler: Any = cluster.scheduler
    killed: list[int] = []

    def kill_once(done: int) -> None:
        if killed:
            return
        # All is measured and only the first block fetched: whoever holds most holds results that only it has.
        until(lambda: {task.state for task in [*scheduler.tasks.values()]} == {"memory"} or None)
        victim = max(scheduler.workers.values(), key=lambda worker: len(worker.has_what)).address
        killed.append(next(w.pid for w in cluster.workers.values() if w.worker_address == victim))
        os.kill(killed[0], signal.SIGKILL)
        until(lambda: victim not in scheduler.workers or None)

    assert same(run(JOB, N, dask=cluster.scheduler_address, progress=kill_once), alone)
    assert killed


def test_a_dead_scheduler_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulate.studies.replication.parallel._CONNECT_S", 0.5)
    with pytest.raises(NoCluster, match=r"tcp://127\.0\.0\.1:9"):
        run(JOB, 1, dask="tcp://127.0.0.1:9")
    with pytest.raises(NoCluster, match="nonsense"):
        run(JOB, 1, dask="nonsense://x")


# --- figures


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_is_scipys(counts: tuple[int, int]) -> None:
    count, total = counts
    expected = stats.binomtest(count, total).proportion_ci(0.95, method="wilson")
    found = wilson(count, total)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_mean_has_students_interval() -> None:
    values = np.array([1.0, 2.0, math.nan, 4.0])
    found = estimate(values)
    assert found
    there = values[~np.isnan(values)]
    expected = stats.t.interval(0.95, 2, there.mean(), stats.sem(there))
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.n == 3
    assert found.mean == pytest.approx(7 / 3)


def test_one_value_has_no_interval_and_none_no_figure() -> None:
    one = estimate(np.array([5.0]))
    assert one
    assert (one.mean, one.low, one.high, one.p95) == (5.0, None, None, 5.0)
    assert estimate(np.array([math.nan])) is None


def test_parts_with_different_findings_are_joined() -> None:
    one, two = Rows(("a",), np.array([[1.0]])), Rows(("b", "a"), np.array([[2.0, 3.0]]))
    found = joined([one, two])
    assert found.names == ("a", "b")
    assert np.array_equal(found.values, np.array([[1, math.nan], [3, 2]]), equal_nan=True)


def test_outcomes_add_up(alone: Rows) -> None:
    summary = summarize(JOB, alone)
    assert sum(share.count for share in summary.outcomes.values()) == N
    assert summary.rolled_back.count >= summary.outcomes["aborted"].count > 0
    assert summary.figures["requests"]


def test_measuring_in_parts_is_measuring_the_whole() -> None:
    whole = measure(JOB, 0, 4)
    parts = joined([measure(JOB, 0, 1), measure(JOB, 1, 4)])
    assert same(whole, parts)
