"""Many rehearsals: measured in parallel, the same from a seed whatever runs them, told with their intervals."""

from simulate.studies.replication.intervals import Estimate, Share, estimate, wilson
from simulate.studies.replication.job import Job, Rows, measure, rehearsal
from simulate.studies.replication.parallel import Incomplete, NoCluster, run
from simulate.studies.replication.summary import Summary, summarize

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
