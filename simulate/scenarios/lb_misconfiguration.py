"""Risk 2: the load balancer does not reach the candidate, or has no target for it."""

from simulate.controlplane import Fault, Switch, World
from simulate.dataplane import CANDIDATE
from simulate.scenarios.scenario import Parameter, Scenario, Values, flag, with_faults


def _build(values: Values, world: World) -> World:
    refused = values["refused_percent"]
    if values["without_targets"]:
        fault = Fault("the candidate has no registered target", 0, (Switch(CANDIDATE, {"no_targets": 1}),))
    else:
        fault = Fault(
            f"{refused:g} % of the users' connections to the candidate are refused; probes, by another way, are not",
            0,
            (Switch(CANDIDATE, {"unreachable_share": refused / 100}),),
        )
    return with_faults(world, fault)


SCENARIO = Scenario(
    name="lb-misconfiguration",
    sentence="users' requests do not reach the candidate, while the probes' test route does",
    symptom="connection refused, 502 and 503, zero successful requests",
    mitigation="the load balancer goes back to the weights before: automated rollback",
    risk=2,
    probability=25,
    bad_release=True,
    build=_build,
    parameters=(
        Parameter(
            "refused_percent", 100, "%", "of the connections to the candidate that are refused", 0, 100
        ),
        flag("without_targets", 0, "instead, the candidate's target group is empty"),
    ),
)
