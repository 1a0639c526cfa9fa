"""What `simulate lab measure` wrote, and the laws that are fitted to its points of low load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulate.dataplane import Empirical
from simulate.lab.measure.points import Point

FORMAT = 1
SHIPPED = "lab.json"
_POINT = tuple(field.name for field in fields(Point))


class BadMeasurement(ValueError):
    """The file is not a measurement; the message says why."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One point and what the lab's clients saw of it. Quantiles are of the requests answered 200, in seconds."""

    point: Point
    sent: int
    answered: int
    p50_s: float
    p95_s: float
    processors_busy: float
    database_beyond_sleep_s: NDArray[np.float64]
    rest_s: NDArray[np.float64]

    @property
    def throughput(self) -> float:
        """Requests answered 200 a second."""
        return self.answered / self.point.window_s

    @property
    def failures(self) -> float:
        """Percent of the requests that were not answered 200."""
        return 100 * (1 - self.answered / self.sent)


@dataclass(frozen=True, slots=True)
class Releases:
    """Rollouts of one fault: seconds from its begin to the decision, and from there to the moved traffic."""

    fault: str
    detection_s: tuple[float, ...]
    rollback_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A whole file; parts that were not measured are empty.

    ``updates_idle`` and ``updates_busy`` are how long traffic updates took (seconds): in a lab that does nothing else, and in
    the rollouts.
    """

    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    replicas: int
    points: tuple[Measured, ...]
    updates_idle: Empirical | None
    updates_busy: Empirical | None
    plan: str
    rate: float
    time_scale: float
    releases: tuple[Releases, ...]


def shipped() -> Measurement:
    """The measurement that the project was compared with, and that docs/validation.md shows."""
    return parse(files("simulate.studies.validation").joinpath(SHIPPED).read_text(), SHIPPED)


def read(path: Path) -> Measurement:
    """Raises :class:`BadMeasurement`."""
    try:
        return parse(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadMeasurement(f"{path} cannot be read: {error}") from None


def parse(text: str, source: str) -> Measurement:
    """Raises :class:`BadMeasurement` naming what is missing."""
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise BadMeasurement(f"{source} has format {document['format']}: measure again")
        return _measurement(document)
    except json.JSONDecodeError as error:
        raise BadMeasurement(f"{source} is not JSON: {error}") from None
    except KeyError as error:
        raise BadMeasurement(f"{source} is no whole measurement: {error} is missing") from None
    except (TypeError, ValueError) as error:
        if isinstance(error, BadMeasurement):
            raise
        raise BadMeasurement(f"{source} is no measurement: {error}") from None


def _measurement(document: Mapping[str, Any]) -> Measurement:
    points, rollouts = document.get("points"), document.get("rollouts")
    return Measurement(
        machine=document["machine"],
        versions=document["versions"],
        replicas=points["replicas"] if points else 1,
        points=tuple(map(_measured, points["points"])) if points else (),
        updates_idle=_updates(document.get("updates")),
        updates_busy=_updates(rollouts),
        plan=rollouts["plan"] if rollouts else "phase-c",
        rate=rollouts["rate"] if rollouts else 0.0,
        time_scale=rollouts["time_scale"] if rollouts else 1.0,
        releases=_releases(rollouts["releases"]) if rollouts else (),
    )


def _updates(part: Mapping[str, Any] | None) -> Empirical | None:
    return Empirical.from_samples(part["stack_update_s"]["quantiles"]) if part else None


def _measured(found: Mapping[str, Any]) -> Measured:
    if not 0 < found["answered"] <= found["sent"]:
        raise BadMeasurement(f"point {found['name']}: {found['answered']} of {found['sent']} were answered")
    return Measured(
        Point(**{name: found[name] for name in _POINT}),
        found["sent"],
        found["answered"],
        found["p50_s"],
        found["p95_s"],
        found["processors_busy"],
        np.asarray(found["database_beyond_sleep_s"], dtype=np.float64),
        np.asarray(found["rest_s"], dtype=np.float64),
    )


def _releases(found: list[Mapping[str, Any]]) -> tuple[Releases, ...]:
    """By fault, in the order in which they were measured; a rollout without a rollback has no part in it."""
    decided = [one for one in found if one["decided_s"] is not None and one["fault_started_s"] is not None]
    moved = [one for one in decided if one["traffic_moved_s"] is not None]
    return tuple(
        Releases(
            fault,
            tuple(one["decided_s"] - one["fault_started_s"] for one in decided if one["fault"] == fault),
            tuple(one["traffic_moved_s"] - one["decided_s"] for one in moved if one["fault"] == fault),
        )
        for fault in dict.fromkeys(one["fault"] for one in decided)
    )


@dataclass(frozen=True, slots=True)
class Fit:
    """What a request takes beside its sleep: in the database while it holds a connection, and everywhere else."""

    database: Empirical
    rest: Empirical


def fit(measurement: Measurement) -> Fit:
    """From the points of low load, all others unseen. Raises :class:`BadMeasurement` if there is none."""
    low = [measured for measured in measurement.points if measured.point.fit]
    if not low:
        raise BadMeasurement("it has no point of low load to fit to: measure its part 'points'")
    database = np.concatenate([measured.database_beyond_sleep_s for measured in low])
    rest = np.concatenate([measured.rest_s for measured in low])
    return Fit(Empirical.from_samples(np.maximum(database, 0.0)), Empirical.from_samples(rest))
