"""Latency against load, from 10 % to 120 % of what the tightest part carries, for one colour with its spares down."""

from __future__ import annotations

from dataclasses import dataclass

from simulate.studies.capacity.closed_forms import mean_response, saturation
from simulate.studies.capacity.measure import Case, Measured, Runner
from simulate.studies.capacity.sizes import Sizes

PERCENT = (10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95, 100, 105, 110, 120)


@dataclass(frozen=True, slots=True)
class Point:
    """``closed_form``: the mean (s), where it is known."""

    percent: float
    per_minute: float
    measured: Measured
    closed_form: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """``bounds``: requests per minute at which each part is busy all the time, the tightest first: it is 100 %."""

    bounds: dict[str, float]
    points: tuple[Point, ...]

    @property
    def bounded_by(self) -> str:
        return next(iter(self.bounds))

    @property
    def capacity(self) -> float:
        return self.bounds[self.bounded_by]

    @property
    def knee(self) -> Point:
        """Where throughput over mean response, L. Kleinrock's power (1979), is highest: beyond, waiting grows faster."""
        return max(self.points, key=_power)

    def last_within(self, p95_s: float, losses: float) -> Point | None:
        """The highest load up to which both targets hold; ``None`` if at none."""
        last = None
        for point in self.points:
            if not point.measured.within(p95_s, losses):
                break
            last = point
        return last


def _power(point: Point) -> float:
    mean = point.measured.mean
    return point.measured.answered_per_minute.mean / mean.mean if mean else 0.0


def latency_curve(sizes: Sizes, runner: Runner) -> Curve:
    runner.progress("latency curve")
    assumptions, model = sizes.assumptions, sizes.degraded
    bounds = saturation(assumptions, model)
    capacity = next(iter(bounds.values()))
    loads = [capacity * percent / 100 for percent in PERCENT]
    measured = runner.measure([Case(model, load / assumptions.per_minute) for load in loads])
    points = [
        Point(percent, load, found, mean_response(assumptions, model, load))
        for percent, load, found in zip(PERCENT, loads, measured, strict=True)
    ]
    return Curve(bounds, tuple(points))
