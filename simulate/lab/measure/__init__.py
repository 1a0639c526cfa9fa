"""Measures a lab, so that the simulator's predictions can be compared with it; see ``simulate.studies.validation.lab``."""
