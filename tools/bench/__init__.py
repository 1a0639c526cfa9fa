"""Measures the simulator: ``python -m tools.bench`` or ``make bench``."""
