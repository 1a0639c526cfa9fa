"""Which plan is best: many are rehearsed on the same random numbers and compared, and one is proposed."""

from simulate.studies.tune.cases import REGRESSIONS, Case, default_cases
from simulate.studies.tune.grid import plans_to_try
from simulate.studies.tune.objectives import Bounds, Figures, Value
from simulate.studies.tune.result import GUIDE, Asked, Tuned, tune
from simulate.studies.tune.words import differences

__all__ = [
    "GUIDE",
    "REGRESSIONS",
    "Asked",
    "Bounds",
    "Case",
    "Figures",
    "Tuned",
    "Value",
    "default_cases",
    "differences",
    "plans_to_try",
    "tune",
]
