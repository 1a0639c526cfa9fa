"""Traffic rises to more than one colour can carry while the candidate has it all."""

from collections.abc import Mapping

from simulate.controlplane import Fault, RehearsalResult, Surge, World
from simulate.dataplane import CANDIDATE, STABLE
from simulate.scenarios.scenario import Parameter, Scenario, Values, with_faults


def _build(values: Values, world: World) -> World:
    begins, factor = values["surge_at_s"], values["surge_factor"]
    return with_faults(
        world,
        Fault(f"traffic rises to {factor:g} times the usual", begins, (Surge(factor),)),
        Fault("traffic is as usual again", begins + values["surge_s"], (Surge(1.0),)),
    )


def _findings(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    return {
        f"{role}_p95_s_at_most": max(
            (closed.sides[colour].p95 or 0.0 for closed in result.periods), default=0.0
        )
        for colour, role in ((CANDIDATE, "candidate"), (STABLE, "stable"))
    }


SCENARIO = Scenario(
    name="traffic-surge",
    sentence="traffic rises to more than one colour can carry while the candidate has it all",
    symptom="latency rises although the release is good",
    mitigation="capacity (`slots`) of one colour for the whole surge; a rollback only moves it to stable, alone as well",
    build=_build,
    parameters=(
        Parameter("surge_at_s", 560, "s", "from the start until traffic rises"),
        Parameter("surge_s", 300, "s", "for which it stays high"),
        Parameter("surge_factor", 3, "times", "the usual traffic", 0, 1000),
    ),
    defaults={"rate_per_minute": 12_000, "slots": 8},
    findings=_findings,
)
