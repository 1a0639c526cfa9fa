"""The whole of a tuning: screen all plans, confirm the best on fresh seeds, propose one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """What came of it. Plans are named by their numbers.

    ``confirmed`` has the guide's plan, the front, and the best with fixed limits and with a comparison. ``chosen`` is ``None`` when no
    other plan is within the rule's bounds. ``walked_s`` and ``asked_s``: simulated seconds run through, and of a rehearsal each.
    """

    asked: Asked
    screened: tuple[Figures, ...]
    front: tuple[int, ...]
    best_fixed: int
    best_compared: int | None
    confirmed: Mapping[int, Figures]
    chosen: int | None
    walked_s: float
    asked_s: float

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
            "simulated_s": self.walked_s,
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
    """Raises ``NoCluster`` or ``Incomplete``. ``progress`` is told twice of each replication of each case."""

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
    second = run([asked.plans[number] for number in again], asked.confirm_seed)
    confirmed = {number: figures(second, place) for place, number in enumerate(again)}
    held = (k for k in order if k in confirmed and asked.bounds.hold(confirmed[k], confirmed[GUIDE]))
    chosen = next(held, GUIDE)
    return Tuned(
        asked=asked,
        screened=screened,
        front=best,
        best_fixed=GUIDE if fixed is None else fixed,
        best_compared=compared,
        confirmed=confirmed,
        chosen=None if chosen == GUIDE else chosen,
        walked_s=first.walked_s + second.walked_s,
        asked_s=first.asked_s + second.asked_s,
    )


def _best(asked: Asked, found: Sequence[Figures], order: Sequence[int], *, compared: bool) -> int | None:
    """The best of a kind by the rule; when none is within its bounds, the one that misses least."""
    kind = [k for k, plan in enumerate(asked.plans) if (plan.criteria.comparison is not None) == compared]
    allowed = [k for k in order if k in kind]
    by_missed = sorted(kind, key=lambda k: (found[k].missed.mean, found[k].hurt.mean))
    return next(iter([*allowed, *by_missed]), None)
