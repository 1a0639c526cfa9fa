"""From the words of a command line to a job. Everything wrong with them is one :class:`BadInput`."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from rollout.plan import Plan, PlanError, load_plan
from simulate.commands.errors import BadInput
from simulate.controlplane.alarms import TIER
from simulate.dataplane import BadTrace, Trace
from simulate.scenarios import BadParameter, UnknownScenario
from simulate.study import Job


def job_of(
    scenario: str, plan: str, settings: Sequence[str], rate: float | None, trace: Path | None, seed: int
) -> Job:
    """A job whose world can be built."""
    given = read_settings(settings)
    if rate is not None:
        if "rate_per_minute" in given:
            raise BadInput("--rate and --set rate_per_minute say the same thing: give one of them")
        if not 0 <= rate < math.inf:
            raise BadInput(f"--rate is {rate:g}: it takes requests per minute, 0 or more")
        given["rate_per_minute"] = rate
    if trace is not None and "rate_per_minute" in given:
        raise BadInput("--trace has its own rate: leave out --rate and rate_per_minute")
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


def read_plan(name_or_path: str, flag: str = "--plan") -> Plan:
    """A plan that can be rehearsed: the alarms it names must exist here."""
    try:
        plan = load_plan(name_or_path)
    except PlanError as error:
        raise BadInput(f"{flag}: {error}") from None
    if unknown := [name for name in plan.alarms if name not in TIER]:
        raise BadInput(
            f"{flag}: alarms.{unknown[0]} cannot go off in a rehearsal; those that can: {', '.join(TIER)}"
        )
    return plan


def check_output(flag: str, path: Path | None) -> None:
    """Says before the work that its result could not be written."""
    if path is None:
        return
    if path.is_dir():
        raise BadInput(f"{flag}: {path} is a directory: give a file")
    if not path.parent.is_dir():
        raise BadInput(f"{flag}: the directory {path.parent} does not exist: make it")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise BadInput(f"{flag}: {path} cannot be written")
