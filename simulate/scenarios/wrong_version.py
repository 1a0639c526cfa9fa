"""Somebody deploys another version into the candidate in the middle of its release."""

from simulate.controlplane import Fault, Redeploy, World
from simulate.dataplane import CANDIDATE
from simulate.scenarios.scenario import Parameter, Scenario, Values, with_faults

_OTHER = "2.0.1"


def _build(values: Values, world: World) -> World:
    at, restored = values["deployed_at_s"], values["restored_after_s"]
    approved = world.versions[CANDIDATE]
    faults = [Fault(f"somebody deploys {_OTHER} into the candidate", at, (Redeploy(CANDIDATE, _OTHER),))]
    if restored:
        back = f"{approved}, which was approved, is the candidate again"
        faults.append(Fault(back, at + restored, (Redeploy(CANDIDATE, approved),)))
    return with_faults(world, *faults)


SCENARIO = Scenario(
    name="wrong-version",
    sentence="somebody deploys another version into the candidate in the middle of its release",
    symptom="the candidate answers as a version that nobody approved; what was measured is of another",
    mitigation="the release is held, `resume` is refused while it lasts, and nobody's decision ends it as an abort",
    build=_build,
    parameters=(
        Parameter("deployed_at_s", 200, "s", "from the start until it is deployed"),
        Parameter("restored_after_s", 0, "s", "after which the approved version is back; 0: never"),
    ),
)
