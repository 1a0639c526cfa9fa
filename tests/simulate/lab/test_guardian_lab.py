"""The guardian's handler against the lab's AWS server and load balancer: users' requests really go to stable.

The emulated AWS runs no function, so the handler is started here as Lambda would start it, in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from rollout.journal import Record
from rollout.journal.store import record_name
from tests.simulate.lab.cloud import Cloud, TargetServer, running_cloud, until

pytestmark = [pytest.mark.lab]
NAME, STORE = "20251220T020000Z", "s3://releases/simple378"
_HANDLER = "from rollout.guardian.handler import handle; handle({}, None)"


async def look(cloud: Cloud) -> str:
    """One start of the function."""
    settings = {
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "AWS_ACCESS_KEY_ID": "lab",
        "AWS_SECRET_ACCESS_KEY": "lab",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SIMPLE378_ENV": "prod",
        "SIMPLE378_REGION": "us-east-1",
        "SIMPLE378_STORE": STORE,
        "SIMPLE378_RULE": cloud.rules["traffic"],
        "SIMPLE378_TOPIC": (await cloud.call("sns", "create_topic", Name="immediate"))["TopicArn"],
        "SIMPLE378_AFTER": "2",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HANDLER, env=os.environ | settings, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said
    return said.decode().strip()


async def put(cloud: Cloud, key: str, body: bytes) -> None:
    await cloud.call("s3", "put_object", Bucket="releases", Key=f"simple378/prod/{key}", Body=body)


async def rule(cloud: Cloud) -> dict[str, Any]:
    found = await cloud.call("elbv2", "describe_rules", RuleArns=[cloud.rules["traffic"]])
    one: dict[str, Any] = found["Rules"][0]
    return one


async def targets(cloud: Cloud) -> list[TargetServer]:
    return [await cloud.target(colour, 1) for colour in ("blue", "green")]


async def test_users_of_an_unwatched_rollout_go_to_stable(tmp_path: Path) -> None:
    header = {
        "env": "prod",
        "region": "us-east-1",
        "stable": "blue",
        "candidate": "green",
        "versions": {"stable": "1.0.0", "candidate": "2.0.0"},
    }
    async with running_cloud(tmp_path) as cloud:
        await targets(cloud)
        await cloud.weigh(50)
        await cloud.call("s3", "create_bucket", Bucket="releases")
        header |= {"rule_arn": cloud.rules["traffic"]}
        roles = {"stable": cloud.groups["blue"], "candidate": cloud.groups["green"]}
        line = Record(1, "", "rollout", 0.0, header | {"groups": roles}).to_line()
        await put(cloud, f"journals/{NAME}/{record_name(1)}", line.encode())
        await put(cloud, "lease.json", b"{}")
        before = await rule(cloud)

        async def reached(names: set[str]) -> bool:
            return {(await cloud.get())[1] for _ in range(40)} == names

        await until(lambda: reached({"blue-1", "green-1"}))

        async def taken_back() -> str:
            said = await look(cloud)
            return said if said.startswith("no controller") else ""

        assert (await until(taken_back, 60)).endswith("all traffic is on blue 1.0.0")
        await until(lambda: reached({"blue-1"}))
        after = await rule(cloud)
        assert {**after, "Actions": None} == {**before, "Actions": None}, "nothing else of the rule"
        assert after["Actions"][0]["ForwardConfig"]["TargetGroupStickinessConfig"]["Enabled"] is False
        kept = await cloud.call("s3", "list_objects_v2", Bucket="releases", Prefix="simple378/prod/")
        assert {f"simple378/prod/aborted/{NAME}", "simple378/prod/guardian.json"} <= {
            each["Key"] for each in kept["Contents"]
        }
        found = await cloud.call("s3", "get_object", Bucket="releases", Key="simple378/prod/guardian.json")
        guard = json.loads(found["Body"].read())
        assert (guard["settled"], guard["told"]) == (True, "an unwatched rollout was taken back")
        assert await look(cloud) == guard["found"], "the second look finds nothing to do"
