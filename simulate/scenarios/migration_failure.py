"""Risk 1: a schema migration hangs and its lock stops the queries of both colours."""

from collections.abc import Mapping

from simulate.controlplane import Fault, RehearsalResult, Switch, World
from simulate.dataplane import CANDIDATE, STABLE
from simulate.scenarios.scenario import Parameter, Scenario, Values, flag, with_faults


def _blocked(values: Values) -> float:
    """Seconds for which the lock is held."""
    hangs = values["migration_hangs_s"]
    return min(hangs, values["migration_limit_s"]) if values["mitigation"] else hangs


def _build(values: Values, world: World) -> World:
    begins, ends = values["begins_s"], values["begins_s"] + _blocked(values)
    why = "at its limit" if _blocked(values) < values["migration_hangs_s"] else "at last"
    return with_faults(
        world,
        Fault(
            "the migration hangs: its lock stops every query of both colours",
            begins,
            (Switch(STABLE, {"hung": 1}), Switch(CANDIDATE, {"hung": 1})),
        ),
        Fault(
            f"the migration is ended {why} and rolled back: queries run again",
            ends,
            (Switch(STABLE, {"hung": 0}), Switch(CANDIDATE, {"hung": 0})),
        ),
        observe_s=ends + 60,
    )


def _findings(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    return {"database_blocked_s": _blocked(values)}


SCENARIO = Scenario(
    name="migration-failure",
    sentence="a schema migration hangs and its lock stops the queries of both colours",
    symptom="migration script hangs for more than 2 min; time-outs, connection pool exhaustion",
    mitigation="stop the deployment, end the migration at its time limit (10 min), roll it back",
    risk=1,
    probability=30,
    bad_release=True,
    build=_build,
    parameters=(
        Parameter("begins_s", 60, "s", "from the start until the migration runs"),
        Parameter("migration_hangs_s", 1800, "s", "length of the hang if nobody ends it"),
        Parameter("migration_limit_s", 600, "s", "after which it is ended"),
        flag("mitigation", 1, "the migration has its time limit"),
    ),
    findings=_findings,
)
