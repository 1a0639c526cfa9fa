"""Risk 3: the new frontend's assets are missing at the CDN, so pages stay blank. The backend does not show it."""

from collections.abc import Mapping

from simulate.controlplane import FRONTEND_ASSETS, Fault, RehearsalResult, Surge, World
from simulate.dataplane import LogNormal
from simulate.scenarios.scenario import Parameter, Scenario, Values, flag, with_faults

_BLANK = "the new index.html points at assets that the CDN does not have: pages stay blank"
_NOTICED = "the canary that loads the page finds it blank"
_REVERTED = "the previous index.html is back and the cache invalidated: pages load"


def _build(values: Values, world: World) -> World:
    begins = values["released_s"]
    noticed = begins + values["check_every_s"]
    lost = Surge(1 - values["calls_lost_percent"] / 100)
    faults = [Fault(_BLANK, begins, (lost,)), Fault(_NOTICED, noticed, alarm=FRONTEND_ASSETS)]
    if values["mitigation"]:
        # Decided by a person, then one object is written and the cache invalidated.
        spread = LogNormal.from_quantiles(values["revert_s"], 2 * values["revert_s"])
        faults.append(Fault(_REVERTED, noticed, (Surge(1.0),), spread))
    return with_faults(world, *faults, observe_s=noticed + 5 * values["revert_s"])


def _blank_pages(values: Values, result: RehearsalResult) -> float:
    at = {sentence: t for t, sentence in result.faults}
    until = at.get(_REVERTED, max(result.ended, result.watched))
    return values["pages_per_minute"] / 60 * (until - at[_BLANK]) if _BLANK in at else 0.0


def _findings(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    at = {sentence: t for t, sentence in result.faults}
    found = {"blank_pages": _blank_pages(values, result)}
    if _REVERTED in at:
        found["frontend_rollback_s"] = at[_REVERTED] - at[_NOTICED]
    return found


SCENARIO = Scenario(
    name="cdn-failure",
    sentence="the new frontend's assets are missing at the CDN: pages stay blank, the backend looks healthy",
    symptom="404 for static assets, blank pages",
    mitigation="the previous index.html comes back and the cache is invalidated, within 3 min",
    risk=3,
    probability=15,
    alarm=FRONTEND_ASSETS,
    spoiled_pages=_blank_pages,
    build=_build,
    parameters=(
        Parameter("released_s", 30, "s", "from the start until the frontend is released"),
        Parameter("pages_per_minute", 200, "pages/min", "page loads"),
        Parameter("calls_lost_percent", 30, "%", "of the requests that blank pages do not make", 0, 100),
        Parameter("check_every_s", 60, "s", "between the canary's looks at the page", 1),
        Parameter("revert_s", 90, "s", "from the alarm until the old frontend is back, at the median", 1),
        flag("mitigation", 1, "the frontend is reverted"),
    ),
    findings=_findings,
)
