"""The dashboard of the 72-hour watch in CloudWatch. Whoever opens it chooses how often it is read anew; its periods are the guide's 60 s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.operations.alarms import PERIOD
from infra.operations.panels import Panel

# Of the 24 columns, and rows.
_WIDTH, _HEIGHT = 8, 6
_STATUS_HEIGHT = 4


@dataclass(frozen=True, slots=True)
class DashboardArgs:
    """`status` are the ARNs of the alarms that make the service's status, by the words above them; `region` is the stack's."""

    name: str
    region: str
    panels: Sequence[Panel]
    status: Mapping[str, Sequence[pulumi.Input[str]]]


class Dashboard(pulumi.ComponentResource):
    """The status on top, then the panels, three in a row."""

    def __init__(self, name: str, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:operations:Dashboard", name, None, opts)
        status = [
            {
                "type": "alarm",
                "x": index * (24 // len(args.status)),
                "y": 0,
                "width": 24 // len(args.status),
                "height": _STATUS_HEIGHT,
                "properties": {"title": title, "alarms": list(alarms)},
            }
            for index, (title, alarms) in enumerate(args.status.items())
        ]
        drawn = [
            {
                "type": "metric",
                "x": index % 3 * _WIDTH,
                "y": _STATUS_HEIGHT + index // 3 * _HEIGHT,
                "width": _WIDTH,
                "height": _HEIGHT,
                "properties": _properties(panel, args.region),
            }
            for index, panel in enumerate(args.panels)
        ]
        body = pulumi.Output.json_dumps({"periodOverride": "inherit", "widgets": [*status, *drawn]})
        aws.cloudwatch.Dashboard(
            f"{name}-dashboard",
            dashboard_name=args.name,
            dashboard_body=body,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def _properties(panel: Panel, region: str) -> dict[str, Any]:
    hidden = bool(panel.expressions)
    lines: list[list[Any]] = [
        [
            metric.namespace,
            metric.name,
            *(part for pair in metric.dimensions.items() for part in pair),
            {"stat": metric.stat, "label": label}
            # Only what an expression names needs an id, and an id may have no spaces.
            | ({"id": label, "visible": False} if hidden else {}),
        ]
        for label, metric in panel.metrics.items()
    ]
    lines += [
        [{"expression": expression, "label": label, "id": f"e{number}"}]
        for number, (label, expression) in enumerate(panel.expressions.items(), start=1)
    ]
    return {
        "title": panel.title,
        "view": "timeSeries",
        "region": panel.region or region,
        "period": PERIOD,
        "liveData": True,
        "metrics": lines,
        "yAxis": {"left": {"min": 0, "label": panel.unit, "showUnits": False}},
        "annotations": {
            "horizontal": [{"label": label, "value": value} for label, value in panel.limits.items()]
        },
    }
