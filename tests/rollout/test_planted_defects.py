"""Defects planted in controller, effects, session, adapters, front door and identity: a quick test must notice each.

A row breaks one promise to whoever is on call; the test it names is the one that holds the promise.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
CONTROLLER = "control/test_controller.py::test_"
EFFECTS = "control/test_effects.py::test_"
SESSION = "test_session.py::test_"
TRAFFIC = "stacks/test_traffic.py::test_"
STOP = "control/test_stop.py::test_"
UNDO = "procedure/test_undo.py::test_"
CLOUDWATCH = "aws/test_cloudwatch.py::test_"
FRONT_DOOR = "policy/test_front_door.py::test_"
IDENTITY = "policy/test_identity.py::test_"


class Defect(NamedTuple):
    file: str  # below rollout/
    old: str
    new: str
    test: str  # below tests/rollout/


DEFECTS = {
    # --- controller
    "weights that cannot be read are never paged": Defect(
        "control/controller.py",
        "if failures == timing.UNREADABLE:",
        "if failures < 0:",
        CONTROLLER + "weights_that_cannot_be_read_are_paged_once_an_outage",
    ),
    "weights that cannot be read are paged at each reading": Defect(
        "control/controller.py",
        "if failures == timing.UNREADABLE:",
        "if failures >= timing.UNREADABLE:",
        CONTROLLER + "weights_that_cannot_be_read_are_paged_once_an_outage",
    ),
    "one failed reading is paged": Defect(
        "control/controller.py",
        "if failures == timing.UNREADABLE:",
        "if failures == 1:",
        CONTROLLER + "one_reading_that_fails_pages_nobody",
    ),
    "a query of the metrics may hang": Defect(
        "control/controller.py",
        "async with asyncio.timeout(limit):",
        "async with asyncio.timeout(None):",
        CONTROLLER + "a_query_that_never_ends_is_no_data[metrics]",
    ),
    "a probe round may hang": Defect(
        "control/controller.py",
        "asyncio.timeout(2 * self.plan.health.timeout)",
        "asyncio.timeout(None)",
        CONTROLLER + "a_query_that_never_ends_is_no_data[probes]",
    ),
    "a part that failed is not started again": Defect(
        "control/controller.py",
        "                await asyncio.sleep(self.plan.health.interval)\n\n    @property\n    def _interval",
        "                return\n\n    @property\n    def _interval",
        CONTROLLER + "a_part_of_the_controller_that_fails_is_paged_and_started_again",
    ),
    "time runs back with the clock": Defect(
        "control/controller.py",
        "return max(round(self._clock.now() - self._start, 3), self.state.t)",
        "return round(self._clock.now() - self._start, 3)",
        CONTROLLER + "a_clock_that_steps_back_does_not_turn_back_the_rollout",
    ),
    "a weight is read back as rarely while it changes": Defect(
        "control/controller.py",
        "changing=changing",
        "changing=False",
        CONTROLLER + "a_weight_is_read_back_often_while_it_is_to_change",
    ),
    "the next step is not checked ahead": Defect(
        "control/controller.py",
        "self._effects.traffic.foresee(following.weight)",
        "pass",
        CONTROLLER + "a_refused_preview_stops_an_increase_but_not_a_decrease",
    ),
    "an increase goes on when the controller leaves": Defect(
        "control/controller.py",
        "stopping = self._effects.traffic.stop()",
        "stopping = None",
        CONTROLLER + "leaving_stops_an_increase_in_flight",
    ),
    "the controller leaves without a page": Defect(
        "control/controller.py",
        'self.page(\n            "nobody watches',
        'print(\n            "nobody watches',
        CONTROLLER + "leaving_keeps_traffic_and_says_so",
    ),
    "a release that is not promoted is a success": Defect(
        "control/controller.py",
        "Exit.DONE if self._effects.promoted else Exit.FAILED",
        "Exit.DONE",
        CONTROLLER + "a_release_whose_promotion_fails_is_no_success",
    ),
    "a command at the end is never answered": Defect(
        "control/controller.py",
        "                task.cancel()\n            self._refuse_waiting()",
        "                task.cancel()",
        CONTROLLER + "a_command_that_comes_too_late_is_answered",
    ),
    # --- effects
    "a decrease is done at the first reading": Defect(
        "control/effects.py",
        "for _ in range(2):",
        "for _ in range(1):",
        EFFECTS + "a_decrease_counts_as_done_only_when_two_readings_agree",
    ),
    "a decrease waits for the disk": Defect(
        "control/effects.py",
        "asyncio.timeout(timing.DISK_WAIT)",
        "asyncio.timeout(None)",
        EFFECTS + "a_decrease_waits_for_the_disk_no_longer_than_a_second",
    ),
    "an increase does not wait for the disk": Defect(
        "control/effects.py",
        "            await self._recorder.durable()\n            async with asyncio.timeout(self._apply_limit)",
        "            async with asyncio.timeout(self._apply_limit)",
        EFFECTS + "an_increase_waits_for_its_intent_to_be_durable",
    ),
    "a decrease waits for an increase in flight": Defect(
        "control/effects.py",
        "if not increase or (running and running.increase):",
        "if False:",
        CONTROLLER + "a_decrease_stops_an_increase_in_flight",
    ),
    "a decrease waits for the increase before the last": Defect(
        "control/effects.py",
        "if not increase or (running and running.increase):",
        "if not increase:",
        EFFECTS + "a_decrease_stops_every_increase_before_it",
    ),
    "a decrease is written beside the engine that it stops": Defect(
        "control/effects.py",
        "async with self._one_at_a_time:  # a stopped one",
        "async with asyncio.Lock():  # a stopped one",
        EFFECTS + "a_decrease_is_written_only_after_the_engine_it_stops_has_ended",
    ),
    "a repeated decrease starts again": Defect(
        "control/effects.py",
        "if running and running.weight == weight and not running.increase and not break_glass:",
        "if False:",
        EFFECTS + "the_same_decrease_ordered_again_joins_the_one_in_flight",
    ),
    "a stack update that hangs keeps a decrease waiting": Defect(
        "control/effects.py",
        "limit = timing.decrease_limit(self._apply_limit)",
        "limit = 1e6",
        CONTROLLER + "a_decrease_whose_stack_update_fails_breaks_the_glass[hanging_stack]",
    ),
    "a preview keeps a decrease waiting": Defect(
        "control/effects.py",
        "increase, break_glass)\n        self._end_foresight()",
        "increase, break_glass)",
        EFFECTS + "a_check_of_the_next_step_keeps_no_decrease_waiting",
    ),
    "only the first failed break-glass is paged": Defect(
        "control/effects.py",
        "if tries == 1 or tries % 10 == 0:",
        "if tries == 1:",
        EFFECTS + "while_traffic_cannot_be_moved_people_are_paged_again_and_again",
    ),
    "break-glass is not reconciled": Defect(
        "control/effects.py",
        "if outcome.break_glass:",
        "if False:",
        EFFECTS + "a_decrease_that_is_to_break_the_glass_tries_no_stack_first",
    ),
    "the rate limit does not wait for a weight change": Defect(
        "control/effects.py",
        "while self.traffic.busy and self.traffic.task:",
        "while False:",
        EFFECTS + "the_rate_limit_waits_for_a_weight_change",
    ),
    "a notification may hang": Defect(
        "control/notifications.py",
        "asyncio.timeout(timing.NOTIFY_LIMIT)",
        "asyncio.timeout(None)",
        EFFECTS + "a_message_is_sent_until_it_is_accepted",
    ),
    "a message is tried once": Defect(
        "control/notifications.py",
        "        while True:\n            tries += 1",
        "        for _ in range(1):\n            tries += 1",
        EFFECTS + "a_message_is_sent_until_it_is_accepted",
    ),
    "what nobody took is lost at the end": Defect(
        "control/notifications.py",
        "        return unsent",
        "        return ()",
        EFFECTS + "a_message_that_nobody_takes_keeps_no_other_waiting_and_is_named_at_the_end",
    ),
    "a rollback is only a notice": Defect(
        "control/effects.py",
        "case DecisionKind.SET_WEIGHT if decision.criterion in RAISES:",
        "case DecisionKind.SET_WEIGHT:",
        EFFECTS + "each_decision_notifies_by_its_urgency",
    ),
    "the end waits for no notification": Defect(
        "control/effects.py",
        "while self._tasks or self.traffic.busy:",
        "while False:",
        EFFECTS + "the_end_waits_for_what_is_under_way_but_not_for_ever",
    ),
    "a promotion is tried once": Defect(
        "control/effects.py",
        "(*timing.RETRY_WAIT[: timing.PROMOTE_TRIES - 1], None)",
        "(None,)",
        EFFECTS + "a_promotion_is_tried_three_times",
    ),
    "a promotion that failed is taken for one": Defect(
        "control/effects.py",
        "self.promoted = False",
        "self.promoted = True",
        EFFECTS + "a_promotion_that_fails_every_time_is_paged",
    ),
    "a promotion that never returns keeps everything waiting": Defect(
        "control/effects.py",
        "async with asyncio.timeout(limit):\n                outcome",
        "async with asyncio.timeout(None):\n                outcome",
        EFFECTS + "what_never_returns_is_reported_as_not_done[promote]",
    ),
    "a check that never returns tells nobody": Defect(
        "control/effects.py",
        "asyncio.timeout(timing.CHECK_LIMIT)",
        "asyncio.timeout(None)",
        EFFECTS + "what_never_returns_is_reported_as_not_done[prepare_rollback]",
    ),
    "a decrease joins one that has ended": Defect(
        "control/effects.py",
        "if self._running is command:",
        "if False:",
        EFFECTS + "a_decrease_does_not_join_one_that_has_ended",
    ),
    "a reading that hangs is waited for": Defect(
        "control/controller.py",
        "asyncio.timeout(timing.READ_LIMIT)",
        "asyncio.timeout(None)",
        CONTROLLER + "a_reading_that_never_ends_is_paged",
    ),
    "an answer does not wait for the disk": Defect(
        "control/controller.py",
        "await self.durable()\n        except (OSError",
        "pass\n        except (OSError",
        CONTROLLER + "an_answer_is_on_the_disk_before_it_is_given",
    ),
    "a message that was refused counts as sent": Defect(
        "journal/resume.py",
        'bool(answers.get((effect, "notify"), {}).get("ok"))',
        '(effect, "notify") in answers',
        "journal/test_resume.py::test_what_has_no_good_result_is_pending",
    ),
    "an increase without a result is begun again": Defect(
        "journal/resume.py",
        "return not decision.increase",
        "return True",
        "journal/test_resume.py::test_what_has_no_good_result_is_pending",
    ),
    # --- session
    "metrics are counted from before the questions": Defect(
        "session.py",
        "adapters.begin(start)",
        "pass",
        SESSION + "the_rollouts_time_begins_when_the_questions_are_answered",
    ),
    "metrics are never told when the rollout begins": Defect(
        "session.py",
        "self._cloudwatch.start = start",
        "pass",
        SESSION + "metrics_are_counted_from_the_rollouts_beginning",
    ),
    "the clock follows the system's": Defect(
        "session.py",
        "return self._epoch + _steady() - self._began",
        "return time.time()",
        SESSION + "the_clock_goes_on_when_the_systems_is_set_back",
    ),
    "secrets are written to the journal": Defect(
        "session.py",
        "path, clock.now, secrets=adapters.environment.secrets, local",
        "path, clock.now, local",
        SESSION + "no_secret_is_written_to_the_journal",
    ),
    "nobody needs to confirm": Defect(
        "session.py",
        "not confirm(environment)",
        "confirm(environment) is None",
        SESSION + "whoever_does_not_confirm_has_touched_nothing",
    ),
    "a failed check stops nothing": Defect(
        "session.py",
        "    if problems:",
        "    if False:",
        SESSION + "a_check_that_fails_stops_the_rollout_and_a_warning_does_not",
    ),
    "a dry run is the environment's rollout": Defect(
        "session.py",
        "if not header.dry_run:\n                station.point_at",
        "if True:\n                station.point_at",
        SESSION + "a_dry_run_is_not_the_environments_rollout",
    ),
    # --- undo, the watch after the promotion, stopped pods
    "a colour with traffic is stopped": Defect(
        "control/effects.py",
        'if weight := await traffic.read_weight():\n            raise TrafficError(f"the candidate',
        'if weight := 0:\n            raise TrafficError(f"the candidate',
        STOP + "a_colour_with_traffic_is_never_stopped[seen0]",
    ),
    "the bad colour is looked at once before it is stopped": Defect(
        "control/effects.py",
        'for _ in ("once", "again"):',
        'for _ in ("once",):',
        STOP + "a_colour_with_traffic_is_never_stopped[seen1]",
    ),
    "pods are stopped although stable is not verified": Defect(
        "control/controller.py",
        "bool(final.verified or self._stop)",
        "True",
        STOP + "an_abort_that_is_not_verified_stops_nothing",
    ),
    "the order to stop at once is forgotten": Defect(
        "control/controller.py",
        "self._stop = event.stop",
        "pass",
        STOP + "at_once_it_goes_when_its_weight_is_read_back_as_0[stable1]",
    ),
    "the update of the replicas may bring another version": Defect(
        "stacks/colours.py",
        "if more := beyond(preview, scope, self.allowed):",
        "if more := []:",
        "stacks/test_colours.py::test_an_update_that_would_change_more_is_refused",
    ),
    "an undo goes to whatever version is idle": Defect(
        "procedure/undo.py",
        "if runs != wanted:",
        "if not runs:",
        UNDO + "what_is_no_way_back_is_refused",
    ),
    "an undo goes to a colour without a healthy target": Defect(
        "procedure/undo.py",
        "if healthy == 0:",
        "if healthy == -1:",
        UNDO + "without_a_healthy_target_nothing_is_moved[True]",
    ),
    "an undo waits for ever for pods": Defect(
        "procedure/undo.py",
        "while _now() - began < timing.SCALE_LIMIT:",
        "while True:",
        UNDO + "pods_that_do_not_come_are_not_waited_for_for_ever",
    ),
    "the probes of an undo ask the wrong colour": Defect(
        "stacks/environment.py",
        "if isinstance(value, Mapping) and set(value) == set(_OTHER_ROLE):",
        'if name != "probe_groups" and isinstance(value, Mapping) and set(value) == set(_OTHER_ROLE):',
        UNDO + "everything_that_goes_by_role_is_exchanged",
    ),
    "an undo leaves the names behind": Defect(
        "stacks/traffic.py",
        'return {**(names if astray else {}), "candidateWeight": weight}',
        'return {"candidateWeight": weight}',
        TRAFFIC + "an_undo_moves_the_traffic_and_exchanges_the_names_in_one_update",
    ),
    "the watch sleeps on after its undo": Defect(
        "control/controller.py",
        "self._steady_over.set()",
        "pass",
        "control/test_undo.py::test_three_failed_rounds_undo_and_then_it_looks_as_often_as_in_a_release",
    ),
    "a candidate that fails to warm up gets traffic": Defect(
        "session.py",
        "if warmed and warmed[0].failed:",
        "if not plan:",
        "test_undo_cli.py::test_a_candidate_that_fails_to_warm_up_gets_no_traffic",
    ),
    # --- adapters to AWS
    "a call of AWS may take ten minutes": Defect(
        "aws/clients.py",
        'connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}',
        'connect_timeout=60, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 10}',
        "aws/test_clients.py::test_a_call_is_tried_more_than_once_and_given_up_before_anything_waits_for_it",
    ),
    "a probe is tried again": Defect(
        "aws/clients.py",
        'retries={"total_max_attempts": 1}',
        'retries={"total_max_attempts": 2}',
        "aws/test_clients.py::test_a_probe_has_one_try_and_its_own_time",
    ),
    "break-glass leaves clients where they are": Defect(
        "aws/forward.py",
        '"TargetGroupStickinessConfig": {"Enabled": False}',
        '"TargetGroupStickinessConfig": {"Enabled": True}',
        TRAFFIC + "break_glass_and_reconciliation",
    ),
    "break-glass exchanges the roles": Defect(
        "aws/forward.py",
        '"Weight": 100 - weight',
        '"Weight": weight',
        TRAFFIC + "break_glass_and_reconciliation",
    ),
    "a rule that forwards elsewhere is taken for ours": Defect(
        "aws/elb.py", "if unknown or not total:", "if not total:", TRAFFIC + "weights_are_read_as_shares"
    ),
    "a stranger's conditions stay": Defect(
        "aws/elb.py",
        'held != [wanted | {"Values": beside}]:',
        "held is None:",
        "aws/test_elb.py::test_changed_conditions_are_written_back",
    ),
    "a secret that cannot be read is not told": Defect(
        "aws/elb.py",
        "            problem = str(error)",
        "            pass",
        "aws/test_elb.py::test_what_could_not_be_written_back_is_told",
    ),
    "a secret that hangs holds a decrease up": Defect(
        "aws/elb.py",
        "asyncio.timeout(WHOLE_LIMIT)",
        "asyncio.timeout(None)",
        "aws/test_elb.py::test_a_secret_that_hangs_holds_nothing_up",
    ),
    "certificates are not verified": Defect(
        "aws/probes.py",
        "verify = True if trusted is None else trusted",
        "verify = False",
        "aws/test_front_door.py::test_one_that_is_not_is_a_failed_round_that_says_why",
    ),
    "our requests at the front door are users'": Defect(
        "aws/probes.py",
        "self.log.add_user(role, answer.status_code, by_target=True)",
        "pass",
        "aws/test_front_door.py::test_a_clean_round_is_taken_out_of_the_colour_that_answered_and_of_the_edge",
    ),
    "the answer of the other colour says the version": Defect(
        "aws/probes.py",
        "if asked and (version",
        "if (version",
        "aws/test_probes.py::test_a_round_says_each_version_that_answered",
    ),
    "unhealthy targets are no problem": Defect(
        "aws/elb.py",
        'all(state.startswith("initial") for state in self.others.values())',
        "True",
        "aws/test_probes.py::test_every_registered_target_must_be_healthy_and_there_must_be_one",
    ),
    "an answer of the other colour passes": Defect(
        "aws/probes.py",
        "== httpx.codes.OK and asked",
        "== httpx.codes.OK",
        "aws/test_probes.py::test_an_answer_of_the_other_colour_is_a_failure",
    ),
    "a subject that SNS refuses": Defect(
        "aws/notify.py",
        ".decode()[:100]",
        ".decode()",
        "aws/test_notify.py::test_a_subject_is_one_line_of_at_most_a_hundred_ascii_characters",
    ),
    "a revised period is not reported": Defect(
        "aws/cloudwatch.py",
        "return before != event.keywords",
        "return before is None",
        CLOUDWATCH + "a_revised_period_is_reported_again",
    ),
    "unmeasured database errors are none": Defect(
        "aws/cloudwatch.py",
        "None if counts.db_connection_errors is None else round(counts.db_connection_errors)",
        "round(counts.db_connection_errors or 0)",
        CLOUDWATCH + "missing_database_errors_are_unmeasured_not_zero",
    ),
    "a database error waits for the requests": Defect(
        "aws/cloudwatch.py",
        "or (counts.db_connection_errors or 0) > 0",
        "",
        CLOUDWATCH + "a_database_error_waits_for_nothing",
    ),
    "our own failed probes are taken for users": Defect(
        "aws/cloudwatch.py",
        "counts = without_ours(counts, self.probes.counted(role, start, start + self.plan.metrics.period))",
        "",
        CLOUDWATCH + "a_probe_that_the_load_balancer_answered_is_nobodys_error",
    ),
    "an alarm that stands already is not reported": Defect(
        "aws/cloudwatch.py",
        '"OK" if state in ("ALARM", UNKNOWN) else state',
        "state",
        CLOUDWATCH + "alarms_are_reported_when_they_change_and_when_they_stand",
    ),
    "all of the load balancer's errors are the candidate's": Defect(
        "aws/attribution.py",
        "min(filled(counts.elb_502) + filled(counts.elb_504), unanswered)",
        "filled(counts.elb_502) + filled(counts.elb_504)",
        CLOUDWATCH + "attribution",
    ),
    # --- stacks
    "an increase needs no preview": Defect(
        "stacks/traffic.py",
        "if increase and self._foreseen != self._fingerprint(weight):",
        "if False:",
        TRAFFIC + "an_increase_that_would_touch_more_than_the_weights_is_refused",
    ),
    "an update is not bounded to the rule": Defect(
        "stacks/traffic.py",
        '"rollout", *self.flags,',
        '"rollout",',
        TRAFFIC + "an_update_declares_deploys_and_is_read_back",
    ),
    "a decrease trusts the state": Defect(
        "stacks/traffic.py",
        "refresh=self._unclean or not increase",
        "refresh=self._unclean",
        TRAFFIC + "only_a_decrease_or_an_unclean_past_refreshes",
    ),
    "a decrease waits for somebody else's update": Defect(
        "stacks/traffic.py",
        "if deadline is not None and time.monotonic() > deadline:",
        "if False:",
        TRAFFIC + "a_decrease_waits_only_a_little",
    ),
    "a stale checkout stops a decrease": Defect(
        "stacks/traffic.py",
        "if _STALE not in problem or wait_for_lock or stale:",
        "if True:",
        TRAFFIC + "a_stale_generation_stops_an_increase_but_not_a_decrease",
    ),
    "an update is not read back": Defect(
        "stacks/traffic.py",
        "await self._read_back(weight)\n        read = ",
        "read = ",
        TRAFFIC + "an_update_that_is_not_seen_at_the_load_balancer_has_failed",
    ),
    "a rate limit is lowered": Defect(
        "stacks/traffic.py",
        '{"rateLimit": max(declared, per_minute)}',
        '{"rateLimit": per_minute}',
        TRAFFIC + "a_rate_limit_that_somebody_raised_further_is_not_lowered",
    ),
    # --- front door
    "failed rounds at the front door need not be in a row": Defect(
        "policy/front_door.py",
        "before.front_streak + 1 if event.failed else 0",
        "before.front_streak + 1 if event.failed else before.front_streak",
        FRONT_DOOR + "a_clean_round_begins_the_count_anew",
    ),
    "a front door that never let anybody in aborts": Defect(
        "policy/front_door.py",
        "elif not before.front_passed:",
        "elif False:",
        FRONT_DOOR + "one_that_never_passed_only_pages_and_delays_nothing",
    ),
    "what no colour passes is the front door's fault": Defect(
        "policy/front_door.py",
        "if streak >= rule.abort_after and passing:",
        "if streak >= rule.abort_after:",
        FRONT_DOOR + "when_no_direct_probe_passes_it_is_not_the_front_door",
    ),
    "after the promotion traffic goes back to a colour that fails": Defect(
        "policy/front_door.py",
        'if state.phase is not Phase.STEADY or role == "stable"]',
        "]",
        FRONT_DOOR + "after_the_promotion_nothing_is_moved_to_a_colour_that_fails",
    ),
    "a colour that fails counts as passing": Defect(
        "policy/front_door.py",
        "passing=others if event.failed else",
        "passing=step.state.passing if event.failed else",
        FRONT_DOOR + "one_colour_that_passes_is_enough[stable]",
    ),
    "still shut after the abort is not paged": Defect(
        "policy/front_door.py",
        "if before.phase is Phase.VERIFYING and streak == rule.abort_after:",
        "if False:",
        FRONT_DOOR + "still_closed_after_the_abort_pages_again_and_is_not_verified",
    ),
    "what failed before the rule was written back counts after it": Defect(
        "policy/front_door.py",
        "step.state = changed(step.state, front_streak=0)",
        "pass",
        FRONT_DOOR + "still_closed_after_the_abort_pages_again_and_is_not_verified",
    ),
    "a stage passes while the front door fails": Defect(
        "policy/front_door.py",
        "and state.front_streak > 0",
        "and state.front_streak > 1",
        FRONT_DOOR + "one_failed_round_delays_advancing",
    ),
    "a resume forgets nothing of the missing requests": Defect(
        "policy/front_door.py",
        "few_since=newest, few_reported=False",
        "few_reported=False",
        FRONT_DOOR + "periods_from_before_the_rollout_and_before_a_resume_say_nothing",
    ),
    # --- identity
    "an answer without a version is another version": Defect(
        "policy/identity.py",
        "if approved is None or not event.version or gone:",
        "if approved is None or gone:",
        IDENTITY + "resume_is_refused_while_it_lasts",
    ),
    "one replica of the approved version is enough": Defect(
        "policy/identity.py",
        "others = [version for version in event.version if not _same(approved, version)]",
        "others = [version for version in event.version[:1] if not _same(approved, version)]",
        IDENTITY + "another_version_than_approved_is_held_and_said_once",
    ),
    "one round without the wrong version clears it": Defect(
        "policy/identity.py",
        "last = step.plan.health.abort_after",
        "last = 1",
        IDENTITY + "one_of_several_replicas_that_answers_now_and_then_lasts",
    ),
    "a wrong version is never forgotten": Defect(
        "policy/identity.py",
        "if known.missed < last))",
        "))",
        IDENTITY + "resume_is_refused_while_it_lasts",
    ),
    "a resume is not refused": Defect(
        "policy/identity.py",
        "if not state.foreign:",
        "if True:",
        IDENTITY + "resume_is_refused_while_it_lasts",
    ),
    "a wrong version under the operator's pause is not said": Defect(
        "policy/identity.py",
        "step.emit(DecisionKind.HOLD, Reason.IDENTITY, reason, weight=step.state.commanded)",
        "pass",
        IDENTITY + "the_operators_pause_stays_a_pause",
    ),
    "stable's wrong version holds after an abort": Defect(
        "policy/identity.py",
        "if phase in (*ON_STABLE, Phase.STEADY):",
        "if False:",
        IDENTITY + "after_an_abort_only_stable_counts_and_only_pages",
    ),
}


@pytest.mark.timeout(600)  # half a minute on an idle machine
def test_every_planted_defect_is_noticed() -> None:
    tests = sorted({f"tests/rollout/{defect.test}" for defect in DEFECTS.values()})
    runs = [{"file": "", "old": "", "new": "", "tests": tests}] + [
        {
            "file": f"rollout/{defect.file}",
            "old": defect.old,
            "new": defect.new,
            "tests": [f"tests/rollout/{defect.test}"],
        }
        for defect in DEFECTS.values()
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.rollout.planting"],
        cwd=ROOT,
        input=json.dumps(runs),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    nothing, *codes = json.loads(done.stdout)
    assert nothing == 0  # without a defect the tests pass
    assert [name for name, code in zip(DEFECTS, codes, strict=True) if code != 1] == []
