"""Clients of AWS with time-outs and retries that a rollout can live with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

# Three tries of at most 2 + 5 s: an answer or an error well before any criterion of a plan waits for it.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=10,
    user_agent_extra="simple378-rollout",
)


@dataclass(frozen=True, slots=True)
class Clients:
    """boto3's clients are thread-safe; each is made once."""

    elbv2: Any
    cloudwatch: Any
    sns: Any
    sts: Any


def clients(region: str) -> Clients:
    session = boto3.session.Session(region_name=region)

    def client(service: str) -> Any:
        return session.client(service, config=_CONFIG)

    return Clients(client("elbv2"), client("cloudwatch"), client("sns"), client("sts"))
