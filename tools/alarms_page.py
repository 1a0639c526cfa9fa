"""Writes docs/alarms.md: every alarm of the program, from the table that the program itself deploys.

.venv/bin/python -m tools.alarms_page
"""

from __future__ import annotations

from pathlib import Path

from infra.layers.foundation.alarm_table import Group, table
from infra.operations.alarms import Alarm, Composite, Missing
from infra.stacks import Colour

PAGE = Path(__file__).parents[1] / "docs" / "alarms.md"

_HEAD = """# Alarms

Made by `make alarms` from the table that the program deploys (`infra/layers/foundation/alarm_table.py`); a test fails when this page is
older than the table. Each alarm is evaluated on series that must fire it and series that must not: `tests/infra/test_alarms.py`.

- **when**: the value, and how many of the newest periods must be beyond the limit. Thresholds are those of the settings' default values.
- **silent**: what a period without data is. It is a breach where silence is the failure, else it is none.
- **tier**: the topic that is told. `immediate` pages, `warning` is mailed or posted, `notice` is only published. *quiet* alarms tell nobody:
  a composite alarm speaks for them.
- **guide**: the line that asks for it. *(rollback)* marks what is also a criterion of a release.

`ENV` is the environment; a colour's alarms exist for blue and for green. Who is behind a topic: `simple378:alertEmail` (immediate and
warning) and `simple378:alarmUrls` (any tier, HTTPS, such as PagerDuty's CloudWatch integration, whose escalation policy calls on-call
engineer, team lead and manager in turn). AWS Incident Manager takes no new customers, so it is not used.
"""


def render() -> str:
    """The page as text."""
    parts = [_HEAD, *(_section(group) for group in table("ENV", Colour.GREEN))]
    return "\n".join(parts)


def _section(group: Group) -> str:
    needs = f"\nOnly with {group.needs}.\n" if group.needs else ""
    rows = "\n".join(_row(group, alarm) for alarm in group.alarms)
    return (
        f"## {group.title}\n{needs}\n"
        "| alarm | when | silent | tier | guide |\n|---|---|---|---|---|\n"
        f"{rows}\n"
    )


def _row(group: Group, alarm: Alarm | Composite) -> str:
    name = f"`{group.prefix}-{alarm.suffix}`"
    if isinstance(alarm, Composite):
        when = " and ".join([*alarm.all_of, *(f"not {other}" for other in alarm.none_of)])
        cells = [name, f"{alarm.description}: {when}", "", alarm.tier.value, alarm.guide]
    else:
        tier = f"{alarm.tier.value}, *quiet*" if alarm.quiet else alarm.tier.value
        guide = f"{alarm.guide} *(rollback)*" if alarm.rollback else alarm.guide
        silent = "breach" if alarm.missing is Missing.BAD else ""
        cells = [name, f"{alarm.description}: {_condition(alarm)}", silent, tier, guide]
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _condition(alarm: Alarm) -> str:
    steps = [f"{key} = {text}" for key, text in alarm.expressions.items()]
    measured = [
        f"{key}: {metric.namespace} {metric.name} {metric.stat}" for key, metric in alarm.metrics.items()
    ]
    value = list(alarm.expressions or alarm.metrics)[-1]
    sign = "<" if alarm.below else ">"
    times = "1 minute" if alarm.period == 60 else f"{alarm.period // 60} minutes"  # noqa: PLR2004 - seconds of a minute
    span = f"{alarm.breaches} of {alarm.of} x {times}" if alarm.of > 1 else times
    return f"`{value} {sign} {alarm.threshold:g}`, {span} (`{'; '.join([*measured, *steps])}`)"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE}")
