"""The timing around the policy: how often it is fed, and how long what it orders may take. In seconds, unless stated otherwise.

The live controller, the simulator and the odds all read these when they need them, so a change here is a change of what is
rehearsed and of what runs. What a plan sets (windows, periods, time-outs of the policy itself) is in the plan.
"""

from __future__ import annotations

from rollout.plan import Plan

# --- what feeds the policy

POLLS_A_PERIOD = 6  # a closed metric period is noticed within a sixth of one
POLL_LIMIT = 30.0  # for one query of the metrics, retries included
READ_BACK = 0.5  # between read-backs while a weight is to change
READ_LIMIT = 20.0  # for one read-back of the weight, retries included
UNREADABLE = 3  # failed read-backs, or failed queries of metrics or alarms, in a row that are paged
TICKS_A_ROUND = 2  # ticks in one interval of the probes
MISSED_ROUNDS = 3  # health intervals without a tick after which nobody was watching...
SHORTEST_GAP = 5.0  # ... but never fewer seconds, however short a rehearsal's rounds are
STEADY_INTERVAL, LATER_INTERVAL = 30.0, 60.0  # between probe rounds after the promotion: at first, and then
STEADY_AT_FIRST = 24 * 3600.0

CHECKS_LIMIT = 60.0  # for the checks that are made again after a gap

# --- what carries its decisions out

READING_LIMIT = 20.0  # for reading the stacks before an abort, which then goes without them
DECREASE_LIMIT = 20.0  # for a stack update, before a decrease goes through the load balancer's own API
SETTLE_GAP = 0.5  # between the two readings of a decrease that must agree
DISK_WAIT = 1.0  # that a decrease waits for its intent to be durable
RETRY_WAIT = (1.0, 2.0, 5.0, 10.0)  # between tries of a decrease; the last one repeats
RECONCILE_LIMIT = 120.0
PROMOTE_LIMIT, PROMOTE_TRIES = 60.0, 3  # for one try, and tries
CHECK_LIMIT = 20.0  # for looking whether a rollback would work
LIMIT_SETTLES = (
    60.0  # after the edge's limit was changed its counts begin anew, and until then it may limit nobody
)
RAISE_LIMIT = 120.0  # for the stack update of the rate limit
NOTIFY_LIMIT = 10.0  # for one try of a notification
NOTIFY_RETRY = (1.0, 2.0, 5.0, 10.0, 30.0)  # between tries of a notification; the last one repeats
NOTIFY_DRAIN = (
    30.0  # that an ended controller still tries; what nobody took by then is shown and sent by the next one
)
DRAIN_LIMIT = 300.0  # at the end, for promotion, notifications and reconciliation

LOOK_TRIES, LOOK_RETRY, LOOK_LIMIT = (
    3,
    1.0,
    10.0,
)  # at the targets of that colour: tries, between them, for one
SCALE_LIMIT = 300.0  # for the pods of the colour that an undo goes back to
WARM_UP_LIMIT = 30.0  # for its warm-up: traffic is on a bad release meanwhile
STOP_LIMIT = 180.0  # for the bad colour's to go
SCALE_POLL = 2.0  # between looks at its targets meanwhile
SCALE_REPORTED = 10.0  # between lines that say how far that is

# --- the world, where no run has measured it

# From a period's end until CloudWatch can be asked for its numbers. AWS gives no figure; a 60-s alarm of one period was measured
# to take 4 min from the fault, which is 60 s of period, up to 60 s of evaluation, and the rest delay.
METRIC_DELAY_P50, METRIC_DELAY_P95 = 75.0, 150.0


def attention_gap(interval: float) -> float:
    """Without a tick of its own for longer than this, the controller was not watching. ``interval`` is that of the probes."""
    return max(MISSED_ROUNDS * interval, SHORTEST_GAP)


def probe_interval(plan: Plan, *, steady: bool, t: float = 0.0, time_scale: float = 1.0) -> float:
    """Between probe rounds; ``steady``: after the promotion, ``t`` seconds ago."""
    if not steady:
        return plan.health.interval
    return (STEADY_INTERVAL if t * time_scale < STEADY_AT_FIRST else LATER_INTERVAL) / time_scale


def poll_interval(plan: Plan) -> float:
    """Between queries of the metrics."""
    return plan.metrics.period / POLLS_A_PERIOD


def limit_settles(plan: Plan) -> float:
    """From the read-back of the edge's limit until what is counted counts. A rehearsal shortens it with the metric period."""
    return min(LIMIT_SETTLES, plan.metrics.period)


def received_within(plan: Plan) -> float:
    """From a period's end until it was received, if only that it has no datapoint: by the poll after ``metrics.delay``."""
    return plan.metrics.delay + poll_interval(plan) + poll_limit(plan)


def poll_limit(plan: Plan) -> float:
    """For one query of the metrics: three must fit into the time after which the policy is blind."""
    return min(plan.metrics.blind_limit / 3, POLL_LIMIT)


def read_back_interval(plan: Plan, *, changing: bool) -> float:
    """Between read-backs of the weight; ``changing``: one is commanded and was not seen yet."""
    return min(READ_BACK, plan.health.interval) if changing else plan.health.interval


def decrease_limit(apply_limit: float) -> float:
    """For the stack update of a decrease; ``apply_limit`` is the plan's."""
    return min(DECREASE_LIMIT, apply_limit)
