"""Risk 6: the new version leaks database connections, or its queries hang, until its pool has none left."""

from collections.abc import Mapping

from simulate.controlplane import Fault, RehearsalResult, Switch, World
from simulate.dataplane import CANDIDATE
from simulate.scenarios.scenario import Parameter, Scenario, Values, with_faults


def _build(values: Values, world: World) -> World:
    faults = []
    if leak := values["leaks_per_query"]:
        faults.append(
            Fault(
                f"each query of the candidate leaves {leak:g} connections lost to its pool",
                0,
                (Switch(CANDIDATE, {"pool_leak": leak}),),
            )
        )
    if hang := values["hang_s"]:
        begins = values["hang_at_s"]
        faults += [
            Fault("the candidate's queries hang", begins, (Switch(CANDIDATE, {"hung": 1}),)),
            Fault("the candidate's queries go on", begins + hang, (Switch(CANDIDATE, {"hung": 0}),)),
        ]
    return with_faults(world, *faults)


def _findings(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    sides = [closed.sides[CANDIDATE] for closed in result.periods]
    return {
        "database_connection_errors": float(sum(side.db_connection_errors for side in sides)),
        "pool_waiting_at_most": float(max(side.pool_waiting for side in sides)),
    }


SCENARIO = Scenario(
    name="pool-exhaustion",
    sentence="the new version leaks database connections until its pool has none left",
    symptom="connection time-outs, 'too many connections', active connections near the maximum",
    mitigation="any database connection error aborts the rollout; pgbouncer goes with the candidate",
    risk=6,
    probability=35,
    bad_release=True,
    build=_build,
    parameters=(
        Parameter(
            "leaks_per_query", 0.1, "connections", "connections lost to the pool with each query", 0, 1e6
        ),
        Parameter("hang_s", 0, "s", "for which the candidate's queries hang"),
        Parameter("hang_at_s", 60, "s", "from the start until they do"),
    ),
    findings=_findings,
)
