"""Alarms on what no single component of a stack is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from infra.operations.alarms import Alarm, Composite, create_alarms
from infra.operations.topics import Tier


@dataclass(frozen=True, slots=True)
class WatchArgs:
    """As in `create_alarms`."""

    prefix: str
    alarms: Sequence[Alarm | Composite]
    topics: Mapping[Tier, pulumi.Input[str]]
    region: str | None = None
    after: Sequence[pulumi.Resource] = ()


class Watch(pulumi.ComponentResource):
    """A group of alarms; `arns` are theirs by `Alarm.suffix`."""

    arns: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: WatchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:operations:Watch", name, None, opts)
        self.arns = create_alarms(
            name,
            args.alarms,
            prefix=args.prefix,
            topics=args.topics,
            parent=self,
            region=args.region,
            after=args.after,
        )
        self.register_outputs({"arns": self.arns})
