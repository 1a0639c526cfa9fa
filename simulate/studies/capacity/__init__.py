"""How large a deployment must be for a load: replicas, pools, max_connections, rate limit, and the latency curve.

Every size is found on the data plane, as the smallest with which each colour alone carries all of the traffic within the
targets while one of its replicas and one of its pgbouncers are down; closed forms stand beside it.
"""

from simulate.studies.capacity.assumptions import PARAMETERS, Assumptions
from simulate.studies.capacity.curve import Curve, latency_curve
from simulate.studies.capacity.hangs import Hangs, hang_table
from simulate.studies.capacity.measure import Measured, Runner
from simulate.studies.capacity.sizes import NoSize, Sizes, size

__all__ = [
    "PARAMETERS",
    "Assumptions",
    "Curve",
    "Hangs",
    "Measured",
    "NoSize",
    "Runner",
    "Sizes",
    "hang_table",
    "latency_curve",
    "size",
]
