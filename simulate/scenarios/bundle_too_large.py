"""Risk 9: the new frontend's bundle is too large. No server shows it; browsers do."""

import math
from collections.abc import Mapping
from statistics import NormalDist

from simulate.controlplane import RehearsalResult
from simulate.scenarios.scenario import Parameter, Scenario, Values, flag

_SLOW = 3.0  # s; the guide's "Page load time > 3 seconds"
_TARGET_KB = 500  # gzipped; the guide's target
_OLD_KB = 400


def _bundle_kb(values: Values) -> float:
    """What users load: with the gate a bundle beyond the target is not released."""
    return _OLD_KB if values["mitigation"] and values["bundle_kb"] > _TARGET_KB else values["bundle_kb"]


def _load_s(values: Values, share: float) -> float:
    """The page's load time at a quantile: latency, transfer over a lognormal bandwidth, and running the script."""
    kb = _bundle_kb(values)
    slow_line = values["mbit_per_s"] * math.exp(-values["mbit_sigma"] * NormalDist().inv_cdf(share))
    return values["first_byte_s"] + kb * 8e-3 / slow_line + kb * values["script_ms_per_kb"] / 1000


def _slow_share(values: Values, kb: float) -> float:
    """The share of page loads that take longer than 3 s."""
    left = _SLOW - values["first_byte_s"] - kb * values["script_ms_per_kb"] / 1000
    if left <= 0:
        return 1.0
    needed = kb * 8e-3 / left  # Mbit/s
    return NormalDist().cdf(math.log(needed / values["mbit_per_s"]) / values["mbit_sigma"])


def _slow_pages(values: Values, result: RehearsalResult) -> float:
    """Page loads that the new bundle makes slow, beyond those that were slow with the old one."""
    more = _slow_share(values, _bundle_kb(values)) - _slow_share(values, _OLD_KB)
    return values["pages_per_minute"] / 60 * max(result.ended, result.watched) * more


def _findings(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    kb = _bundle_kb(values)
    return {
        "bundle_kb": kb,
        "page_load_p50_s": _load_s(values, 0.5),
        "page_load_p95_s": _load_s(values, 0.95),
        "page_loads_above_3s_percent": 100 * _slow_share(values, kb),
    }


SCENARIO = Scenario(
    name="bundle-too-large",
    sentence="the new frontend's bundle is far larger than its target",
    symptom="page load time above 3 s, large downloads",
    mitigation="a gate on the bundle's size (500 KB gzipped) before release; code splitting after",
    risk=9,
    probability=10,
    spoiled_pages=_slow_pages,
    build=lambda values, world: world,
    parameters=(
        Parameter("pages_per_minute", 200, "pages/min", "page loads"),
        Parameter("bundle_kb", 1500, "KB gzipped", "of the new bundle", 1, 1e6),
        Parameter("mbit_per_s", 8, "Mbit/s", "of a user's line, at the median", 0.01, 1e5),
        Parameter("mbit_sigma", 0.8, "log", "standard deviation of its logarithm", 0.01, 5),
        Parameter("first_byte_s", 0.4, "s", "until the first byte", 0, 60),
        Parameter("script_ms_per_kb", 0.6, "ms/KB", "to run the script", 0, 1000),
        flag("mitigation", 0, "a gate refuses a bundle above 500 KB"),
    ),
    findings=_findings,
)
