"""Many rehearsals: measured in parallel, the same from a seed whatever runs them, told with their intervals."""

from simulate.study.intervals import Estimate, Share, estimate, wilson
from simulate.study.job import Job, Rows, measure, rehearsal
from simulate.study.parallel import Incomplete, NoCluster, run
from simulate.study.summary import Summary, summarize

__all__ = [
    "Estimate",
    "Incomplete",
    "Job",
    "NoCluster",
    "Rows",
    "Share",
    "Summary",
    "estimate",
    "measure",
    "rehearsal",
    "run",
    "summarize",
    "wilson",
]
