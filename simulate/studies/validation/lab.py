"""The simulator's predictions beside what was measured on real parts: the lab's lines of ``simulate validate``.

The laws of times are fitted to low load; loads, pool sizes, patience and faults are predicted with them. Nothing is
fitted to a point that is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulate.dataplane import (
    STABLE,
    DataPlane,
    Empirical,
    Exponential,
    Law,
    Model,
    Poisson,
)
from simulate.dataplane import layout as x
from simulate.lab.measure.points import Point
from simulate.studies.validation.lab_model import DATABASE, backend
from simulate.studies.validation.measurement import Fit, Measured, Measurement, fit
from simulate.studies.validation.rollouts import predicted_rollouts

Progress = Callable[[str], None]

BUSY = 0.60  # beyond it processors are waited for, which the model has not
RUNS = 40  # of the simulator, each as long as the measurement

_TAIL_S = 30.0  # that the last requests are waited for


@dataclass(frozen=True, slots=True)
class Line:
    """One prediction. ``low`` and ``high`` hold 95 % of the simulator's runs of the measured length or number.

    ``aim`` is the largest error that passes: percent of what was measured, or, if ``absolute``, in the line's unit.
    ``excused`` says why a line is not judged, '' if it is.
    """

    where: str
    what: str
    unit: str
    predicted: float
    low: float
    high: float
    measured: float
    aim: float
    absolute: bool = False
    excused: str = ""

    @property
    def error(self) -> float:
        """Predicted minus measured, as ``aim`` counts it."""
        difference = self.predicted - self.measured
        return difference if self.absolute else 100 * difference / self.measured

    @property
    def passed(self) -> bool:
        return bool(self.excused) or abs(self.error) <= self.aim


def compare(
    measurement: Measurement,
    *,
    seed: int = 1,
    runs: int = RUNS,
    progress: Progress = lambda _: None,
) -> list[Line]:
    """All lines. Raises :class:`BadMeasurement` if there is nothing to fit to."""
    laws = fit(measurement)
    lines: list[Line] = []
    for measured in measurement.points:
        progress(f"lab: {measured.point.name}")
        lines += _lines(measured, predict(measured.point, laws, measurement.replicas, seed=seed, runs=runs))
    for one in predicted_rollouts(measurement, laws, seed=seed, progress=progress):
        seen = one.measured
        lines += _mean("detection", seen.fault, one.detection_s, seen.detection_s, one.period_s)
        lines += _mean("rollback", seen.fault, one.rollback_s, seen.rollback_s, one.period_s)
    return lines


def _mean(
    what: str, fault: str, predicted: NDArray[np.float64], measured: Sequence[float], period_s: float
) -> list[Line]:
    """The mean of some rollouts beside that of many predicted ones, and what the mean of as few could be."""
    if not measured:
        return []
    mean = float(np.mean(predicted))
    half = 1.96 * float(np.std(predicted)) / len(measured) ** 0.5
    name = f"{fault}, mean of {len(measured)} rollouts"
    seen = float(np.mean(measured))
    return [Line(name, what, "s", mean, mean - half, mean + half, seen, period_s, absolute=True)]


def predict(point: Point, laws: Fit, replicas: int, *, seed: int, runs: int) -> NDArray[np.float64]:
    """``runs`` rows: throughput (1/s), p50, p95 (s), failures (percent)."""
    query: Law
    if point.sleep == "fixed":
        query, added = Empirical.from_samples(np.asarray(laws.database.quantiles) + point.sleep_s), 0.0
    else:
        query, added = Exponential(point.sleep_s), laws.database.mean
    colour = backend(replicas, query, laws.rest, point.pool, point.wait_s)
    model = Model(
        Poisson(60 * point.rate),
        rate_limit=None,
        stable=colour,
        candidate=colour,
        database=DATABASE,
        timeout_s=point.timeout_s,
    )
    plane = DataPlane(model, seed, log=True)
    rows = []
    for run in range(runs):
        plane.restart(seed, run)
        if added:
            plane.switch(STABLE, query_added_s=added)
        for at, hung in zip(point.hang or (), (1, 0), strict=False):
            plane.advance(point.warm_up_s + at)
            plane.switch(STABLE, hung=hung)
        plane.advance(point.warm_up_s + point.window_s + _TAIL_S)
        rows.append(_seen(plane.attempts(), point))
    return np.array(rows)


def is_answered(outcomes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which attempts a client takes for good: 200, as in the measurement."""
    return np.asarray(outcomes == x.OK, dtype=np.bool_)


def _seen(attempts: NDArray[np.float64], point: Point) -> tuple[float, float, float, float]:
    """Of the requests that came in the window."""
    arrived = attempts[:, x.LOG_ARRIVED] - point.warm_up_s
    counted = attempts[(arrived >= 0) & (arrived < point.window_s)]
    good = counted[is_answered(counted[:, x.LOG_OUTCOME])]
    took = good[:, x.LOG_ENDED] - good[:, x.LOG_ARRIVED]
    p50, p95 = np.quantile(took, [0.5, 0.95])
    return len(good) / point.window_s, float(p50), float(p95), 100 * (1 - len(good) / len(counted))


def _lines(measured: Measured, rows: NDArray[np.float64]) -> list[Line]:
    point = measured.point
    excused = ""
    if point.fit:
        excused = "fitted to"
    elif measured.processors_busy >= BUSY:
        excused = f"processors {100 * measured.processors_busy:.0f} % busy"
    elif not point.sleep_s:
        excused = "no pg_sleep"
    found = (
        ("throughput", "1/s", measured.throughput, 5.0, False),
        ("p50", "s", measured.p50_s, 20.0, False),
        ("p95", "s", measured.p95_s, 20.0, False),
        ("failures", "%", measured.failures, 2.0, True),
    )
    low, high = np.quantile(rows, [0.025, 0.975], axis=0)
    return [
        Line(
            point.name,
            what,
            unit,
            float(rows[:, k].mean()),
            float(low[k]),
            float(high[k]),
            value,
            aim,
            absolute,
            excused,
        )
        for k, (what, unit, value, aim, absolute) in enumerate(found)
        if what != "failures" or value or high[k] > 0
    ]
