"""Notifications to people: SNS topics by urgency."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.aws.failures import AWS_ERRORS, failure
from rollout.control.ports import PortError


@dataclass(frozen=True, slots=True)
class SnsNotifier:
    """``topics``: tier (immediate, warning, notice) -> topic ARN; ``env`` begins every subject."""

    sns: Any
    topics: Mapping[str, str]
    env: str

    async def send(self, topic: str, subject: str, body: str) -> None:
        # SNS takes one line of at most 100 characters of printable ASCII as a subject.
        text = " ".join(f"[{self.env}] {subject}".split()).encode("ascii", "replace").decode()[:100]

        def publish() -> None:
            self.sns.publish(TopicArn=self.topics[topic], Subject=text, Message=body)

        try:
            await asyncio.to_thread(publish)
        except AWS_ERRORS as error:
            raise PortError(failure(error, "sns:Publish", f"topic {self.topics[topic]}")) from error
