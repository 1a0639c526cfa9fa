"""What Lambda calls once a minute. Its settings are environment variables, from infra/layers/guardian."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rollout.aws.clients import patient
from rollout.aws.store import S3Store
from rollout.guardian.watchdog import Guardian, Tell

_SUBJECT_LIMIT = 100  # characters, SNS


def guardian(settings: Mapping[str, str]) -> Guardian:
    """Raises ``KeyError`` for a missing setting."""
    env, region = settings["SIMPLE378_ENV"], settings["SIMPLE378_REGION"]
    return Guardian(
        store=S3Store(settings["SIMPLE378_STORE"], env),
        elbv2=patient("elbv2", region),
        tell=_teller(settings["SIMPLE378_TOPIC"], env, region),
        env=env,
        rule_arn=settings["SIMPLE378_RULE"],
        after=float(settings["SIMPLE378_AFTER"]),
        now=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
    )


def handle(event: Any, context: Any) -> dict[str, str]:
    """Raises what went wrong, so that Lambda counts an error."""
    found = guardian(os.environ).look().found
    print(found)
    return {"found": found}


def _teller(topic: str, env: str, region: str) -> Tell:
    sns = patient("sns", region)

    def tell(subject: str, text: str) -> None:
        sns.publish(TopicArn=topic, Subject=f"simple378 {env}: {subject}"[:_SUBJECT_LIMIT], Message=text)

    return tell
