"""The guide's risk register as a Monte Carlo: each risk alone, together by their probabilities, and without each mitigation."""

from simulate.studies.risk.mitigations import Mitigation, mitigations_of
from simulate.studies.risk.nights import measure
from simulate.studies.risk.register import NIGHT_S, Register, Risk
from simulate.studies.risk.result import Result, summarize

__all__ = [
    "NIGHT_S",
    "Mitigation",
    "Register",
    "Result",
    "Risk",
    "measure",
    "mitigations_of",
    "summarize",
]
