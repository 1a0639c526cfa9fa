"""From a command's options to a job. Whatever is wrong with them is one :class:`BadInput`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rollout.plan import Plan, PlanError, load_plan
from simulate.commands.errors import BadInput
from simulate.controlplane.alarms import TIER
from simulate.dataplane import HIGHEST_RATE, BadTrace, Trace
from simulate.figures import plain
from simulate.scenarios import BadParameter, UnknownScenario
from simulate.studies.replication import Job

_DAY = 86_400  # seconds


def job_of(
    scenario: str, plan: str, settings: Sequence[str], rate: float | None, trace: Path | None, seed: int
) -> Job:
    """A job whose world can be built."""
    given = with_rate(read_settings(settings), rate)
    check_trace_alone(trace, given)
    try:
        arrivals = None if trace is None else Trace.from_csv(trace)
        job = Job(scenario, read_plan(plan), seed, given, arrivals)
        job.world()
    except BadTrace as error:
        raise BadInput(f"--trace: {error}") from None
    except UnknownScenario as error:
        raise BadInput(f"{error}; see `simulate list`") from None
    except BadParameter as error:
        raise BadInput(f"--set: {error}; see `simulate list {scenario}`") from None
    except ValueError as error:
        raise BadInput(f"--set: {error}") from None
    return job


def read_settings(settings: Sequence[str]) -> dict[str, float]:
    """``key=value`` each, no key twice."""
    given: dict[str, float] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise BadInput(f"--set {text}: it takes key=value, such as error_percent=3")
        if name in given:
            raise BadInput(f"--set {name}: it was given twice")
        try:
            given[name] = float(value)
        except ValueError:
            raise BadInput(f"--set {name}: '{value}' is not a number") from None
    return given


def with_rate(given: dict[str, float], rate: float | None, *, some: bool = False) -> dict[str, float]:
    """The settings with ``--rate``; it must be above 0 if there must be ``some`` requests."""
    if rate is None:
        return given
    if "rate_per_minute" in given:
        raise BadInput("--rate and --set rate_per_minute set the same value: give one of them")
    if not 0 <= rate <= HIGHEST_RATE or (some and rate == 0):
        least = "above 0 and" if some else "0 or more,"
        raise BadInput(
            f"--rate is {plain(rate)}: it takes requests per minute, {least} up to {HIGHEST_RATE:,}"
        )
    return {**given, "rate_per_minute": rate}


def check_trace_alone(trace: Path | None, given: Mapping[str, float]) -> None:
    """A trace fixes how many requests come when, so nothing else may set that."""
    if trace is None:
        return
    for name in ("rate_per_minute", "variance_to_mean"):
        if name in given:
            own = "rate" if name == "rate_per_minute" else "bursts"
            also = "--rate and " if name == "rate_per_minute" else ""
            raise BadInput(f"--trace has its own {own}: leave out {also}{name}")


def check_workers(workers: int, dask: str | None) -> None:
    if dask is not None and workers != 1:
        raise BadInput("--workers are processes here and --dask is a cluster: give one of them")


def read_plan(name_or_path: str, flag: str = "--plan") -> Plan:
    """A plan that can be rehearsed: the alarms it names must exist here."""
    try:
        plan = load_plan(name_or_path)
    except PlanError as error:
        raise BadInput(f"{flag}: {error}") from None
    for key, value, low in (
        ("metrics.period", plan.metrics.period, 1.0),
        ("health.interval", plan.health.interval, 0.1),
    ):
        if not low <= value <= _DAY:
            raise BadInput(
                f"{flag}: {key} is {plain(value, 6)} s: in a rehearsal it takes {low:g} s to {_DAY:,} s"
            )
    if unknown := [name for name in plan.alarms if name not in TIER]:
        raise BadInput(
            f"{flag}: alarms.{unknown[0]} cannot go off in a rehearsal; those that can: {', '.join(TIER)}"
        )
    return plan


def check_output(flag: str, path: Path | None) -> None:
    """Raises :class:`BadInput` before the work if its result could not be written."""
    if path is None:
        return
    if path.is_dir():
        raise BadInput(f"{flag}: {path} is a directory: give a file")
    if not path.parent.is_dir():
        raise BadInput(
            f"{flag}: the directory {path.parent} does not exist: make it, or give a file elsewhere"
        )
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise BadInput(f"{flag}: {path} cannot be written")
