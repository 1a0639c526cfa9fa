"""``simulate capacity``: which sizes a load needs, with the latency curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simulate.commands.capacity_text import Answer, print_answer, print_known
from simulate.commands.errors import BadInput, Failed, Interrupted
from simulate.commands.inputs import check_output, check_trace_alone, read_settings, with_rate
from simulate.commands.output import print_json, writing
from simulate.commands.progress import compiled, steps
from simulate.dataplane import BadTrace, Trace
from simulate.scenarios import BadParameter
from simulate.studies.capacity import (
    Assumptions,
    Curve,
    Hangs,
    NoSize,
    Runner,
    Sizes,
    hang_table,
    latency_curve,
    size,
)
from simulate.studies.capacity.measure import Died, Measured
from simulate.studies.capacity.sizes import Size
from simulate.studies.replication import Estimate

_ANSWERS = {
    "replicas": "replicas",
    "pool_size": "pool sizes",
    "max_connections": "max_connections",
    "rate_limit": "the rate limit",
}


def capacity(
    settings: Sequence[str],
    rate: float | None,
    trace: Path | None,
    *,
    seed: int,
    replications: int,
    workers: int,
    as_json: bool,
    html: Path | None,
) -> None:
    """Prints the answer. Raises :class:`BadInput`, or :class:`Failed` if nothing within the bounds will do.

    After Ctrl-C it prints what has been found, and raises :class:`Interrupted`.
    """
    check_output("--html", html)
    assumptions = assumed(settings, rate, trace)
    compiled()
    runner = Runner(seed, replications, workers, steps())
    sizes = curve = None
    try:
        sizes = size(assumptions, runner)
        curve = latency_curve(sizes, runner)
        answer = Answer(sizes, curve, hang_table(sizes, runner), runner)
    except (NoSize, Died) as error:
        raise Failed(str(error)) from None
    except KeyboardInterrupt:
        if not as_json:
            print_known(runner, sizes, curve)
        missing = "the sizes" if sizes is None else "the latency curve" if curve is None else "the hangs"
        raise Interrupted(f"{missing} and what follows are not known yet") from None
    if as_json:
        print_json(to_json(answer))
    else:
        print_answer(answer)
    if html:
        from simulate.commands.capacity_page import write_page  # noqa: PLC0415 -- matplotlib takes a second

        with writing("--html", html):
            write_page(html, answer)


def assumed(settings: Sequence[str], rate: float | None, trace: Path | None) -> Assumptions:
    """What the command line says. Raises :class:`BadInput`."""
    given = read_settings(settings)
    if asked := [name for name in _ANSWERS if name in given]:
        raise BadInput(f"--set {asked[0]}: {_ANSWERS[asked[0]]} are what this command answers: leave it out")
    given = with_rate(given, rate, some=True)
    check_trace_alone(trace, given)
    try:
        return Assumptions.of(given, None if trace is None else Trace.from_csv(trace))
    except BadTrace as error:
        raise BadInput(f"--trace: {error}") from None
    except BadParameter as error:
        raise BadInput(f"{'--trace' if 'of the trace' in str(error) else '--set'}: {error}") from None


# --- JSON


def to_json(answer: Answer) -> dict[str, Any]:
    """What `--json` prints. Times in ms, shares in percent, rates per minute."""
    sizes, curve = answer.sizes, answer.curve
    return {
        "rate_per_minute": sizes.assumptions.per_minute,
        "seed": answer.runner.seed,
        "replications": answer.runner.replications,
        "replicas": sizes.replicas,
        "pool_size": sizes.pool_size,
        "max_connections": sizes.max_connections,
        "rate_limit": sizes.rate_limit,
        "needed": _needed(sizes),
        "bounds_per_minute": curve.bounds,
        "bounded_by": curve.bounded_by,
        "knee_per_minute": curve.knee.per_minute,
        "within_targets_per_minute": answer.carries.per_minute if answer.carries else None,
        "curve": _curve(curve),
        "hangs": _hangs(answer.hangs),
        "assumptions": dict(sizes.assumptions.values),
    }


def _needed(sizes: Sizes) -> dict[str, Any]:
    found = {
        "replicas_for_the_load": sizes.for_load,
        "pool_size_for_the_load": sizes.pool_for_load,
        "pool_size_for_the_hang": sizes.pool_for_hang,
        "rate_limit": sizes.limit,
    }
    return {name: _size(one) if one else None for name, one in found.items()}


def _size(found: Size) -> dict[str, Any]:
    fewer = _measured(found.fewer) if found.fewer else None
    return {"needed": found.needed, "measured": _measured(found.measured), "one_fewer": fewer}


def _curve(curve: Curve) -> list[dict[str, Any]]:
    return [
        {
            "percent": point.percent,
            "per_minute": point.per_minute,
            "mean_by_closed_form_ms": None if point.closed_form is None else 1000 * point.closed_form,
            **_measured(point.measured),
        }
        for point in curve.points
    ]


def _hangs(hangs: Hangs) -> list[dict[str, Any]]:
    return [
        {"pool_size": pool, "hang_s": hang, "failed_requests": _estimate(found.failed), "worst": found.worst}
        for pool, row in hangs.found.items()
        for hang, found in row.items()
    ]


def _measured(found: Measured) -> dict[str, Any]:
    times = {f"{name}_ms": getattr(found, name) for name in ("p50", "p95", "p99", "mean")}
    return {name: _estimate(one, 1000) for name, one in times.items()} | {
        "lost_percent": _estimate(found.lost, 100),
        "rate_limited_percent": _estimate(found.limited, 100),
        "answered_per_minute": _estimate(found.answered_per_minute),
    }


def _estimate(found: Estimate | None, factor: float = 1.0) -> dict[str, float | None] | None:
    if found is None:
        return None
    values = asdict(found)
    return {name: None if values[name] is None else factor * values[name] for name in ("mean", "low", "high")}
