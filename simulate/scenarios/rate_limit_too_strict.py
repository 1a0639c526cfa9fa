"""Risk 4: a rate limit per client meets a few addresses behind which many people work."""

from collections.abc import Mapping
from dataclasses import replace

from simulate.controlplane import RehearsalResult, World
from simulate.dataplane import Clients, RateLimit
from simulate.scenarios.scenario import BadParameter, Parameter, Scenario, Values

_GUIDE = 1000.0  # requests per minute and client: the guide's conservative initial limit
_STRICT = 1 / 6  # of all requests: what the guide's limit is of 6,000 requests a minute
_LEAST = 10.0  # AWS WAF refuses less


def _build(values: Values, world: World) -> World:
    limit = values["limit_per_minute"]
    if 0 < limit < _LEAST:
        raise BadParameter(f"'limit_per_minute' is {limit:g}: it takes 0, or {_LEAST:g} and more")
    if not limit:  # the guide's would not be too strict for little traffic
        limit = max(min(_GUIDE, _STRICT * world.model.arrivals.per_minute), _LEAST)
    heavy, clients = int(values["heavy_clients"]), int(values["clients"])
    if heavy >= clients:
        raise BadParameter(f"'heavy_clients' is {heavy}: it takes fewer than all clients ({clients})")
    model = replace(
        world.model,
        clients=Clients(clients, heavy, values["heavy_percent"] / 100),
        rate_limit=RateLimit(limit),
    )
    # The limit's window is full when the rollout begins.
    return replace(world, model=model, warm_up_s=max(world.warm_up_s, 70.0))


def _findings(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    def limited(sides: list[float]) -> float:
        return 100 * sides[0] / sides[1] if sides[1] else 0.0

    edges = [closed.edge for closed in result.periods]
    found = {
        "rate_limited_percent": limited([sum(e.rate_limited for e in edges), sum(e.attempts for e in edges)]),
        "rate_limited_percent_at_the_end": limited([edges[-1].rate_limited, edges[-1].attempts]),
    }
    if result.limits:
        found["rate_limit_per_minute"] = result.limits[-1][1]
        found["rate_limit_raised_after_s"] = result.limits[-1][0]
    return found


SCENARIO = Scenario(
    name="rate-limit-too-strict",
    sentence="a few addresses, each an office full of people, send more than the rate limit admits",
    symptom="429 for legitimate requests",
    mitigation="above 5 % of the requests: raise the limit, step by step up to the cap",
    risk=4,
    probability=40,
    build=_build,
    parameters=(
        Parameter(
            "limit_per_minute",
            0,
            "requests/min",
            "first limit of a client; 0: the guide's 1,000, or a sixth of all requests if that is less",
        ),
        Parameter("heavy_clients", 2, "clients", "behind which many people work", 1, 1e6, whole=True),
        Parameter("heavy_percent", 60, "%", "of all requests that they send together", 0.001, 100),
    ),
    findings=_findings,
)
