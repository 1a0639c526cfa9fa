"""A tuning: screens all plans, confirms the best on a fresh seed, proposes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from rollout.plan import Plan
from simulate.studies.tune.cases import Case
from simulate.studies.tune.objectives import Bounds, Figures, figures, front, ranked
from simulate.studies.tune.sweep import Sweep, sweep
from simulate.studies.tune.words import differences

GUIDE = 0  # the number of the plan that the others are held against


@dataclass(frozen=True, slots=True)
class Asked:
    """What is tuned. ``given`` are parameters of every release; the first plan is the guide's, the last ones are of ``files``."""

    plans: tuple[Plan, ...]
    cases: tuple[Case, ...]
    given: Mapping[str, float]
    replications: int
    seed: int
    confirm_seed: int
    regressions: float
    bounds: Bounds
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tuned:
    """The result. Plans are named by their numbers.

    ``confirmed`` has the guide's plan, the front, and the best with fixed limits and with a comparison. ``chosen`` is ``None`` when no
    other plan is within the rule's bounds. ``simulated_s`` and ``asked_s``: seconds of the clock that were simulated, and that a
    rehearsal for each plan would have taken. ``screened_of`` and ``confirmed_of``: rehearsals of each release behind the figures.
    """

    asked: Asked
    screened: tuple[Figures, ...]
    front: tuple[int, ...]
    best_fixed: int
    best_compared: int | None
    confirmed: Mapping[int, Figures]
    chosen: int | None
    simulated_s: float
    asked_s: float
    screened_of: int
    confirmed_of: int

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it early; then nothing is chosen."""
        return min(self.screened_of, self.confirmed_of) < self.asked.replications

    def to_json(self) -> dict[str, Any]:
        """What `simulate tune --json` prints."""
        asked = self.asked
        return {
            "seed": asked.seed,
            "confirm_seed": asked.confirm_seed,
            "replications": asked.replications,
            "bounds": asdict(asked.bounds),
            "given": dict(asked.given),
            "cases": [{"name": case.label, "weight": case.weight} for case in asked.cases],
            "plans": [self._plan(number) for number in range(len(asked.plans))],
            "chosen": self.chosen,
            "best_fixed": self.best_fixed,
            "best_compared": self.best_compared,
            "simulated_s": self.simulated_s,
            "asked_s": self.asked_s,
        }

    def _plan(self, number: int) -> dict[str, Any]:
        plan = self.asked.plans[number]
        return {
            "number": number,
            "name": plan.name,
            "differences": differences(plan, self.asked.plans[GUIDE]),
            "front": number in self.front,
            "screened": asdict(self.screened[number]),
            "confirmed": asdict(self.confirmed[number]) if number in self.confirmed else None,
        }


def tune(
    asked: Asked,
    *,
    workers: int = 1,
    dask: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Tuned:
    """Raises ``NoCluster`` or ``Incomplete``. ``progress`` is called with replications done, in all two of each case.

    Ctrl-C ends it with what is known; before anything is, it raises ``KeyboardInterrupt``.
    """

    def run(plans: Sequence[Plan], seed: int) -> Sweep:
        return sweep(
            plans,
            asked.cases,
            asked.replications,
            seed=seed,
            given=asked.given,
            workers=workers,
            dask=dask,
            progress=progress,
        )

    first = run(asked.plans, asked.seed)
    screened = tuple(figures(first, number) for number in range(len(asked.plans)))
    order = ranked(screened, GUIDE, asked.bounds)
    fixed = _best(asked, screened, order, compared=False)
    compared = _best(asked, screened, order, compared=True)
    best = tuple(front(screened))
    again = sorted({GUIDE, *best, *(k for k in (fixed, compared) if k is not None)})
    second = None
    if first.replications == asked.replications:
        with suppress(KeyboardInterrupt):
            second = run([asked.plans[number] for number in again], asked.confirm_seed)
    confirmed = (
        {} if second is None else {number: figures(second, place) for place, number in enumerate(again)}
    )
    chosen = None
    if second is not None and second.replications == asked.replications:
        within = (k for k in order if k in confirmed and asked.bounds.hold(confirmed[k], confirmed[GUIDE]))
        chosen = next(within, None)
    return Tuned(
        asked=asked,
        screened=screened,
        front=best,
        best_fixed=GUIDE if fixed is None else fixed,
        best_compared=compared,
        confirmed=confirmed,
        chosen=None if chosen == GUIDE else chosen,
        simulated_s=first.simulated_s + (second.simulated_s if second else 0.0),
        asked_s=first.asked_s + (second.asked_s if second else 0.0),
        screened_of=first.replications,
        confirmed_of=second.replications if second else 0,
    )


def _best(asked: Asked, found: Sequence[Figures], order: Sequence[int], *, compared: bool) -> int | None:
    """The best of a kind by the rule; when none is within its bounds, the one that misses least."""
    kind = [k for k, plan in enumerate(asked.plans) if (plan.criteria.comparison is not None) == compared]
    allowed = [k for k in order if k in kind]
    by_missed = sorted(kind, key=lambda k: (found[k].missed.mean, found[k].hurt.mean))
    return next(iter([*allowed, *by_missed]), None)
