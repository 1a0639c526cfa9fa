"""Is the simulator right? Its data plane against closed forms, and its two implementations against each other."""

from simulate.validation.agreement import Step, differences
from simulate.validation.checks import Check, validate

__all__ = ["Check", "Step", "differences", "validate"]
