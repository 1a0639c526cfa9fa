"""Many rehearsals: measured in parallel, equal for equal seeds whatever runs them, summarized with intervals."""

from rollout.odds.shares import Share, wilson
from simulate.studies.replication.intervals import Estimate, estimate
from simulate.studies.replication.job import Job, Rows, measure, rehearsal
from simulate.studies.replication.parallel import Incomplete, Interrupted, NoCluster, Task, run, run_all
from simulate.studies.replication.summary import Summary, summarize

__all__ = [
    "Estimate",
    "Incomplete",
    "Interrupted",
    "Job",
    "NoCluster",
    "Rows",
    "Share",
    "Summary",
    "Task",
    "estimate",
    "measure",
    "rehearsal",
    "run",
    "run_all",
    "summarize",
    "wilson",
]
