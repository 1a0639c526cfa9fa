"""Which plan: many of them rehearsed on the same luck, held against each other, one proposed."""

from simulate.studies.tune.cases import REGRESSIONS, Case, default_cases
from simulate.studies.tune.grid import candidates
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
    "candidates",
    "default_cases",
    "differences",
    "tune",
]
