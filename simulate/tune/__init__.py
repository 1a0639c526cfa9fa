"""Which plan: many of them rehearsed on the same luck, held against each other, one proposed."""

from simulate.tune.cases import REGRESSIONS, Case, default_cases
from simulate.tune.grid import candidates
from simulate.tune.objectives import Bounds, Figures, Value
from simulate.tune.result import GUIDE, Asked, Tuned, tune
from simulate.tune.words import differences

__all__ = [
    "GUIDE",
    "REGRESSIONS",
    "Asked",
    "Bounds",
    "Case",
    "Figures",
    "Tuned",
    "Value",
    "candidates",
    "default_cases",
    "differences",
    "tune",
]
