"""Is the simulator right? Against closed forms, its two implementations against each other, and against the lab."""

from simulate.studies.validation.agreement import Step, differences
from simulate.studies.validation.checks import Check, validate
from simulate.studies.validation.lab import Line, Progress, compare
from simulate.studies.validation.measurement import BadMeasurement, Measurement, read, shipped

__all__ = [
    "BadMeasurement",
    "Check",
    "Line",
    "Measurement",
    "Progress",
    "Step",
    "compare",
    "differences",
    "read",
    "shipped",
    "validate",
]
