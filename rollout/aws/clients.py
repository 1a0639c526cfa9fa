"""Clients of AWS with time-outs and retries that a rollout can live with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

CLOUDFRONT = "us-east-1"  # the region of everything that belongs to CloudFront, its WebACL's metrics too
_COMMON = {"user_agent_extra": "simple378-rollout", "max_pool_connections": 50}
# Three tries of at most 2 + 5 s: an answer or an error well before any criterion of a plan waits for it.
_PATIENT = Config(
    connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}, **_COMMON
)


@dataclass(frozen=True, slots=True)
class Clients:
    """boto3's clients are thread-safe; each is made once. ``probing`` is elbv2 for probes: one try, no longer than theirs."""

    elbv2: Any
    probing: Any
    cloudwatch: Any
    edge_cloudwatch: Any  # where CloudFront's metrics are; None in that region itself
    sns: Any
    sts: Any
    secretsmanager: Any


def _impatient(timeout: float) -> Config:
    return Config(connect_timeout=timeout, read_timeout=timeout, retries={"total_max_attempts": 1}, **_COMMON)


def quick_elbv2(region: str, timeout: float) -> Any:
    """One client, one try of at most ``timeout`` seconds: for whoever only looks."""
    return boto3.session.Session(region_name=region).client("elbv2", config=_impatient(timeout))


def patient(service: str, region: str) -> Any:
    """One client alone, as :func:`clients` makes it."""
    return boto3.session.Session(region_name=region).client(service, config=_PATIENT)


def brief(service: str) -> Any:
    """One client of the default region, which answers or fails within a few seconds: nothing waits for it."""
    config = Config(
        connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}, **_COMMON
    )
    session = boto3.session.Session()
    return session.client(service, config=config, region_name=session.region_name or CLOUDFRONT)


def clients(region: str, probe_timeout: float = 2.0) -> Clients:
    """``probe_timeout`` in seconds."""
    session = boto3.session.Session(region_name=region)
    impatient = _impatient(probe_timeout)

    def client(service: str, config: Config = _PATIENT, **more: str) -> Any:
        return session.client(service, config=config, **more)

    return Clients(
        elbv2=client("elbv2"),
        probing=client("elbv2", impatient),
        cloudwatch=client("cloudwatch"),
        edge_cloudwatch=None if region == CLOUDFRONT else client("cloudwatch", region_name=CLOUDFRONT),
        sns=client("sns"),
        sts=client("sts"),
        secretsmanager=client("secretsmanager"),
    )
