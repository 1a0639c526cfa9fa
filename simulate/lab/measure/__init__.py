"""Measures a lab, so that the simulator's predictions can be held against it; see ``simulate.studies.validation.lab``."""
