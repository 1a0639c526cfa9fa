"""Is the simulator right? Against closed forms, its two implementations against each other, and against the lab."""

from simulate.validation.agreement import Step, differences
from simulate.validation.checks import Check, validate
from simulate.validation.lab import Line, Progress, compare
from simulate.validation.measurement import BadMeasurement, Measurement, read, shipped

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
