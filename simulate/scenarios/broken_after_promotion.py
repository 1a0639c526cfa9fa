"""The new version breaks after it was promoted, when a release no longer watches it."""

from collections.abc import Mapping
from dataclasses import replace

from simulate.controlplane import Aftermath, Fault, RehearsalResult, Switch, World
from simulate.dataplane import CANDIDATE, Constant
from simulate.scenarios.scenario import Parameter, Scenario, Values, flag

_BREAKS = "the promoted release breaks"


def _build(values: Values, world: World) -> World:
    share = min((values["error_percent"] + values["base_error_percent"]) / 100, 1.0)
    broken = Switch(CANDIDATE, {"error_share": share, "deep_fails": values["probes_fail"]})
    undo = values["undo_after_s"]
    aftermath = Aftermath(
        lasts_s=values["watched_s"],
        faults=(Fault(_BREAKS, values["breaks_after_s"], (broken,)),),
        watched_from_s=values["watch_begins_s"] if values["mitigation"] else None,
        undo=Constant(undo) if undo else None,
    )
    return replace(world, aftermath=aftermath)


def _findings(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    broke = next((t for t, sentence in result.faults if sentence == _BREAKS), None)
    if broke is None:
        return {}
    gone = next((t for t, weight in result.weights if weight == 0 and t > broke), None)
    return {"broken_for_users_s": (result.watched if gone is None else gone) - broke}


SCENARIO = Scenario(
    name="broken-after-promotion",
    sentence="the new version breaks after it was promoted",
    symptom="probes or requests fail when the release is over",
    mitigation="`rollout watch` undoes it after three failed rounds in a row; errors alone are for the alarm and `rollout undo`",
    bad_release=True,
    build=_build,
    parameters=(
        Parameter("breaks_after_s", 300, "s", "from the promotion until it breaks"),
        Parameter("error_percent", 20, "%", "of its answers that are 5xx from then on", 0, 100),
        flag("probes_fail", 1, "its deep health fails as well"),
        flag("mitigation", 1, "somebody runs `rollout watch`"),
        Parameter("watch_begins_s", 60, "s", "from the promotion until the watch begins", 0, 86_400),
        Parameter("watched_s", 3600, "s", "from the promotion until the night is over", 1, 86_400),
        Parameter("undo_after_s", 0, "s", "from the alarm until a person types `rollout undo`; 0: nobody"),
    ),
    findings=_findings,
)
