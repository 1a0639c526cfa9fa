"""Where the compiled data plane and the oracle disagree, attempt by attempt, on one script of control events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from simulate.dataplane import (
    CANDIDATE,
    STABLE,
    Backend,
    Bursty,
    Clients,
    Constant,
    Database,
    DataPlane,
    Exponential,
    Model,
    Period,
    Poisson,
    Pool,
    RateLimit,
    Retries,
    WebSockets,
)
from simulate.dataplane.oracle import Oracle

Step = tuple[float, str, tuple[Any, ...], dict[str, Any]]
"""Wait so many seconds, then do this to the plane (``weight`` or one of its methods) with these arguments."""

_AFTER = 7.0  # seconds that a run goes on after the last step


def play(plane: DataPlane | Oracle, script: Sequence[Step]) -> list[object]:
    """Runs a script with probes each 0.5 s; what probes and gauges showed on the way."""
    seen: list[object] = []
    plane.watch_probes(0.5, 0.25)

    def go_on(until: float) -> None:
        while (reached := plane.advance(until)) < until:
            seen.append((reached, plane.failed_probes(0), plane.failed_probes(1)))

    at = 0.0
    for wait, action, arguments, keywords in script:
        at += wait
        go_on(at)
        if action == "weight":
            plane.weight = arguments[0]
        elif action != "set_rate_limit" or plane.model.rate_limit:
            getattr(plane, action)(*arguments, **keywords)
        seen.append((plane.in_flight(0), plane.in_flight(1), plane.failed_probes(0), plane.failed_probes(1)))
    go_on(at + _AFTER)
    return seen


def _near(period: Period) -> Period:
    """A period without what only the order of summation decides."""
    mean = None if period.mean is None else round(period.mean, 9)
    return period._replace(mean=mean, memory=round(period.memory, 9))


def differences(
    model: Model,
    script: Sequence[Step],
    seed: int,
    build: Callable[[Model, int], DataPlane] = lambda model, seed: DataPlane(model, seed, log=True),
) -> list[str]:
    """In words; empty if every attempt has the same colour, fate and times, and all periods and probes are equal."""
    kernel, oracle = build(model, seed), Oracle(model, seed)
    seen, expected = play(kernel, script), play(oracle, script)
    found = []
    fates = sorted(tuple(row) for row in kernel.attempts().tolist())
    wanted = sorted(tuple(map(float, row)) for row in oracle.attempts())
    if fates != wanted:
        first = next(
            (pair for pair in zip(fates, wanted, strict=False) if pair[0] != pair[1]), "the last ones"
        )
        found.append(f"attempts: {len(fates)} and {len(wanted)}, first difference {first}")
    if seen != expected:
        found.append(f"probes: {next(p for p in zip(seen, expected, strict=False) if p[0] != p[1])}")
    for n in range(oracle.periods):
        if kernel.edge(n) != oracle.edge(n):
            found.append(f"edge period {n}: {kernel.edge(n)}, {oracle.edge(n)}")
        for side in (0, 1):
            ours, theirs = _near(kernel.period(n, side)), _near(oracle.period(n, side))
            if ours != theirs:
                found.append(f"period {n} of colour {side}: {ours}, {theirs}")
    return found


def disagreements(seed: int, nights: int) -> int:
    """How many differences there are on so many nights with a bit of everything, and on a quiet one."""
    backend = Backend(
        2, 8, 30, Exponential(0.1), Exponential(0.05), 0.01, Pool(6, 40, Constant(0.8)), restart_s=6.1, detect_s=2.3
    )  # fmt: skip
    model = Model(
        Bursty(1800.0, 10.0, 5.0),
        Clients(200, heavy=2, heavy_share=0.2),
        RateLimit(40.0, 6.0, 1.0),
        Retries(3, 0.2, budget=0.5),
        stable=backend,
        candidate=backend,
        database=Database(11, 9),
        websockets=WebSockets(20, 30.0, 0.7),
        timeout_s=1.3,
        sticky_s=3.0,
        period_s=5.0,
        probe_timeout_s=0.4,
    )
    night: list[Step] = [
        (3.1, "weight", (50,), {}),
        (
            4.7,
            "switch",
            (CANDIDATE,),
            {"error_share": 0.2, "slow_share": 0.1, "slow_added_s": 0.9, "memory_mb_per_s": 20.0},
        ),
        (3.3, "switch", (STABLE,), {"hung": 1}),
        (2.9, "switch", (STABLE,), {"hung": 0}),
        (2.3, "switch", (CANDIDATE,), {"pool_leak": 0.05, "ws_drops_per_s": 0.5}),
        (4.1, "switch", (CANDIDATE,), {"database_refuses": 1}),
        (1.9, "switch", (CANDIDATE,), {"database_refuses": 0, "pool_size": 3}),
        (3.7, "kill", (CANDIDATE, 1), {}),
        (2.1, "set_traffic", (2.5,), {}),
        (
            4.3,
            "switch",
            (STABLE,),
            {"memory_mb_per_request": 3.0, "unreachable_share": 0.1, "connect_s": 0.3},
        ),
        (3.9, "set_rate_limit", (80.0,), {}),
        (2.7, "weight", (0,), {}),
    ]
    quiet: list[Step] = [(2.0, "weight", (5,), {}), (60.0, "weight", (25,), {})]
    found = len(differences(Model(Poisson(1000.0)), quiet, seed))
    return found + sum(len(differences(model, night, seed + n)) for n in range(nights))
