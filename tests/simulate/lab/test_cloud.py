"""The lab's AWS server, load balancer and edge together: real HAProxy, real requests, on loopback addresses."""

from __future__ import annotations

import asyncio
import http.client
import json
import math
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from simulate.lab.load import Load, Profile, WebSocketClients
from simulate.lab.rehearsal.stranger import break_rule, restore_rule
from tests.simulate.lab.cloud import (
    ALB,
    EDGE,
    ORIGIN_SECRET,
    PERIOD_S,
    TEST_SECRET,
    Cloud,
    TargetServer,
    running_cloud,
    until,
)

pytestmark = [pytest.mark.lab, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    async with running_cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made


def by_test_route(colour: str) -> dict[str, str]:
    return {"X_Simple378_Test": TEST_SECRET, "X_Simple378_Colour": colour}


@asynccontextmanager
async def targets(
    cloud: Cloud, *, blue: int = 1, green: int = 1, weight: int = 0
) -> AsyncIterator[dict[str, list[TargetServer]]]:
    """Healthy targets of both colours for one test, and the candidate's weight in force."""
    await cloud.weigh(weight)
    made = {
        "blue": [await cloud.target("blue", number) for number in range(1, blue + 1)],
        "green": [await cloud.target("green", number) for number in range(1, green + 1)],
    }
    for colour, servers in made.items():
        for server in servers:
            await until(partial(cloud.has_state, colour, server, "healthy"))
        if servers:
            await until(partial(cloud.serves, 200, "/", **by_test_route(colour)))
    await until(lambda: cloud.serves(200))
    try:
        yield made
    finally:
        for colour, servers in made.items():
            for server in servers:
                if (await cloud.health(colour)).get(server.address, "draining") != "draining":
                    await cloud.deregister(colour, server)
                await server.stop()
                cloud.targets.remove(server)

        async def drained() -> bool:
            return not await cloud.health("blue") and not await cloud.health("green")

        await until(drained, 45)


async def answers(cloud: Cloud, number: int) -> Counter[str]:
    """Which target answered, of this many requests over a few kept-alive connections."""
    found: Counter[str] = Counter()

    async def some() -> None:
        for _ in range(number // 10):
            found[(await cloud.get())[1]] += 1

    await asyncio.gather(*(some() for _ in range(10)))
    return found


def improbable(successes: int, trials: int, share: float) -> bool:
    """Further from the share than four standard deviations: 1 in 16,000 by chance."""
    return abs(successes - trials * share) > 4 * math.sqrt(trials * share * (1 - share))


@pytest.mark.parametrize("weight", [5, 25])
async def test_clients_see_the_declared_weights(cloud: Cloud, weight: int) -> None:
    async with targets(cloud, blue=2, green=1, weight=weight):
        found = await answers(cloud, 3000)
        assert not improbable(found["green-1"], 3000, weight / 100), found
        assert abs(found["blue-1"] - found["blue-2"]) < 3000 * 0.05, "round robin among a group's targets"


async def test_a_weight_holds_for_the_next_request_of_an_open_connection(cloud: Cloud) -> None:
    async with targets(cloud):
        connection = http.client.HTTPConnection(ALB, cloud.port)
        connection.connect()
        opened = connection.sock

        def ask() -> str:
            connection.request("GET", "/", headers={"X-Origin-Verify": ORIGIN_SECRET})
            return connection.getresponse().read().decode()

        async def seen() -> str:
            return await asyncio.to_thread(ask)

        assert await seen() == "blue-1"
        for weight, wanted in ((100, "green-1"), (0, "blue-1")):
            await cloud.weigh(weight)

            async def moved(wanted: str = wanted) -> bool:
                return await seen() == wanted

            await until(moved, 5)
            assert [await seen() for _ in range(20)] == [wanted] * 20
        assert connection.sock is opened, "all over one connection"
        connection.close()


async def test_routes(cloud: Cloud) -> None:
    async with targets(cloud):
        assert await cloud.get("/", X_Nothing="1") == (403, "100% no, it's closed")
        assert (await cloud.get("/", X_Origin_Verify="wrong"))[0] == 403
        for colour in ("blue", "green"):
            assert await cloud.get("/", **by_test_route(colour)) == (200, f"{colour}-1"), (
                "whatever the weight"
            )


async def test_an_unhealthy_target_gets_nothing_and_without_a_healthy_one_all_get_all(cloud: Cloud) -> None:
    async with targets(cloud, blue=2) as made:
        one, two = made["blue"]
        one.ready = 503
        await until(lambda: cloud.has_state("blue", one, "unhealthy"))
        assert set(await answers(cloud, 50)) == {"blue-2"}
        two.ready = 503
        await until(lambda: cloud.has_state("blue", two, "unhealthy"))
        assert set(await answers(cloud, 50)) == {"blue-1", "blue-2"}, "fail-open"
        one.ready = 200
        await until(lambda: cloud.has_state("blue", one, "healthy"))
        assert set(await answers(cloud, 50)) == {"blue-1"}


async def test_a_target_leaves_without_a_failed_request(cloud: Cloud) -> None:
    async with targets(cloud, blue=2) as made:
        leaving = made["blue"][0]
        statuses: Counter[int] = Counter()
        going = True

        async def ask(path: str) -> None:
            while going:
                statuses[(await cloud.get(path))[0]] += 1

        asking = [asyncio.create_task(ask(path)) for path in ["/"] * 5 + ["/slow?s=0.7"] * 5]
        await asyncio.sleep(0.5)
        await cloud.deregister("blue", leaving)
        assert (await cloud.health("blue"))[leaving.address] == "draining"
        await asyncio.sleep(0.3)
        served = leaving.served
        await asyncio.sleep(1.5)
        assert leaving.served == served, "no new requests while it drains"
        await leaving.stop()
        await asyncio.sleep(0.3)
        going = False
        await asyncio.gather(*asking)
        assert set(statuses) == {200}, statuses


async def test_a_reload_drops_no_request(cloud: Cloud) -> None:
    async with targets(cloud, weight=50):
        statuses: Counter[int] = Counter()
        going = True

        async def ask() -> None:
            while going:
                statuses[(await cloud.get())[0]] += 1

        asking = [asyncio.create_task(ask()) for _ in range(5)]
        for path in ("/one", "/two"):
            await cloud.call(
                "elbv2",
                "modify_rule",
                RuleArn=cloud.rules["test-blue"],
                Conditions=[
                    {
                        "Field": "http-header",
                        "HttpHeaderConfig": {"HttpHeaderName": "X-Simple378-Test", "Values": [TEST_SECRET]},
                    },
                    {"Field": "path-pattern", "PathPatternConfig": {"Values": [path]}},
                ],
            )

            async def reloaded(path: str = path) -> bool:
                return (await cloud.get(path, X_Simple378_Test=TEST_SECRET))[0] == 200

            await until(reloaded)
        going = False
        await asyncio.gather(*asking)
        assert set(statuses) == {200}, statuses
        await cloud.call(
            "elbv2",
            "modify_rule",
            RuleArn=cloud.rules["test-blue"],
            Conditions=[
                {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name, "Values": [value]}}
                for name, value in (("X-Simple378-Test", TEST_SECRET), ("X-Simple378-Colour", "blue"))
            ],
        )


async def counted(cloud: Cloud, since: float, name: str, wanted: float, colour: str | None = None) -> None:
    """Waits until the metric's sum since a moment is as wanted, and stays so for a period."""
    found: float | None = None

    async def reached() -> bool:
        nonlocal found
        found = await cloud.total(name, colour, since=since)
        return found == wanted

    try:
        await until(reached, 3 * PERIOD_S)
    except TimeoutError:
        pytest.fail(f"{name} of {colour or 'the load balancer'} is {found}, not {wanted}")


async def period_begins() -> float:
    """Waits for the start of a metric period, so that a test's requests are alone in theirs."""
    now = time.time()
    start = math.ceil(now / PERIOD_S) * PERIOD_S
    await asyncio.sleep(start - now + 0.05)
    return start


async def test_who_made_an_error_is_in_the_metrics(cloud: Cloud) -> None:
    async with targets(cloud, weight=100):
        await cloud.call(
            "elbv2",
            "modify_load_balancer_attributes",
            LoadBalancerArn=cloud.arn,
            Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "1"}],
        )

        async def times_out() -> bool:
            return (await cloud.get("/slow?s=3"))[0] == 504

        await until(times_out)
        start = await period_begins()
        statuses = [
            (await cloud.get(path))[0]
            for path in ("/", "/status/404", "/status/500", "/status/503", "/abort")
        ]
        statuses.append((await cloud.get("/slow?s=3"))[0])
        assert statuses == [200, 404, 500, 503, 502, 504]
        await counted(cloud, start, "RequestCount", 6, "green")
        for name, wanted in (("2XX", 1.0), ("3XX", None), ("4XX", 1.0), ("5XX", 2.0)):
            assert await cloud.total(f"HTTPCode_Target_{name}_Count", "green", since=start) == wanted, name
        for code, wanted in (("502", 1.0), ("503", None), ("504", 1.0), ("5XX", 2.0)):
            assert await cloud.total(f"HTTPCode_ELB_{code}_Count", since=start) == wanted, code
            assert await cloud.total(f"HTTPCode_ELB_{code}_Count", "green", since=start) is None
        assert await cloud.total("RequestCount", "blue", since=start) is None
        slowest = await cloud.total("TargetResponseTime", "green", since=start, statistic="p95")
        assert slowest is not None
        assert slowest < 0.5, "an answer that never came is in no response time"
        await cloud.call(
            "elbv2",
            "modify_load_balancer_attributes",
            LoadBalancerArn=cloud.arn,
            Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "60"}],
        )


async def test_refused_connections_and_missing_targets(cloud: Cloud) -> None:
    async with targets(cloud, blue=1, green=1) as made:
        await made["green"][0].stop()
        await until(lambda: cloud.has_state("green", made["green"][0], "unhealthy"))
        await cloud.weigh(100)
        await until(lambda: cloud.serves(502))
        start = await period_begins()
        assert [(await cloud.get())[0] for _ in range(3)] == [502] * 3, "fail-open onto a closed port"
        await counted(cloud, start, "TargetConnectionErrorCount", 3, "green")
        assert await cloud.total("HTTPCode_ELB_502_Count", since=start) == 3
        await cloud.deregister("green", made["green"][0])
        await until(lambda: cloud.serves(503))
        start = await period_begins()
        assert [(await cloud.get())[0] for _ in range(3)] == [503] * 3, "no target at all"
        await counted(cloud, start, "HTTPCode_ELB_503_Count", 3)
        assert await cloud.total("RequestCount", "green", since=start) is None, "no target could be chosen"


async def test_unreachable_targets_look_healthy(cloud: Cloud) -> None:
    async with targets(cloud, weight=100) as made:
        cloud.switches.inject("targets-unreachable", {"target_group": cloud.groups["green"]})
        try:
            await until(lambda: cloud.serves(502))
            headers = by_test_route("green")
            assert await cloud.get("/", **headers) == (200, "green-1")
            assert await cloud.has_state("green", made["green"][0], "healthy")
            start = await period_begins()
            assert (await cloud.get())[0] == 502
            await counted(cloud, start, "RequestCount", 1, "green")
            assert await cloud.total("HTTPCode_Target_2XX_Count", "green", since=start) is None
            assert await cloud.total("HTTPCode_ELB_502_Count", since=start) == 1
        finally:
            cloud.switches.clear("targets-unreachable")
        await until(lambda: cloud.serves(200))


async def test_a_rule_changed_by_a_strangers_hand(cloud: Cloud, tmp_path: Path) -> None:
    elbv2, rule, kept = cloud.client("elbv2"), cloud.rules["traffic"], tmp_path / "conditions.json"
    async with targets(cloud, weight=30):
        await asyncio.to_thread(break_rule, elbv2, rule, kept)
        try:
            await until(lambda: cloud.serves(403))
            headers = by_test_route("blue")
            assert (await cloud.get("/", **headers))[0] == 200, "probes go round the rule"
            found = (await cloud.call("elbv2", "describe_rules", RuleArns=[rule]))["Rules"][0]
            weights = [group["Weight"] for group in found["Actions"][0]["ForwardConfig"]["TargetGroups"]]
            assert weights == [70, 30], "nothing but the conditions is changed"
        finally:
            await asyncio.to_thread(restore_rule, elbv2, rule, kept)
        await until(lambda: cloud.serves(200))
        assert not await cloud.serves(200, X_Origin_Verify="changed-by-hand")


async def test_metrics_go_missing_and_queries_fail(cloud: Cloud) -> None:
    async with targets(cloud):
        cloud.switches.inject("metrics-missing")
        start = await period_begins()
        assert (await cloud.get())[0] == 200
        await asyncio.sleep(2 * PERIOD_S)
        assert await cloud.total("RequestCount", "blue", since=start) is None
        cloud.switches.clear_all()
        for code in ("Throttling", "InternalServiceFault"):
            cloud.switches.inject("metrics-failing", {"code": code})
            with pytest.raises(ClientError) as error:
                await cloud.total("RequestCount", "blue", since=start)
            assert code[:8] in error.value.response["Error"]["Code"]
        cloud.switches.clear_all()
        start = await period_begins()
        assert (await cloud.get())[0] == 200
        await counted(cloud, start, "RequestCount", 1, "blue")


async def test_an_unknown_switch_is_refused(cloud: Cloud) -> None:
    with pytest.raises(Exception, match=r"gremlins.*metrics-missing"):
        cloud.switches.inject("gremlins")


def behaviour(pattern: str | None, origin: str) -> dict[str, Any]:
    policy = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    common = {"TargetOriginId": origin, "ViewerProtocolPolicy": "allow-all", "CachePolicyId": policy}
    return common if pattern is None else {"PathPattern": pattern, **common}


async def web_acl(cloud: Cloud, limit: int, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """Makes the WebACL with this limit a minute, or changes the known one."""
    visible = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True}
    rule = {
        "Name": "rate",
        "Priority": 0,
        "Statement": {
            "RateBasedStatement": {"Limit": limit, "AggregateKeyType": "IP", "EvaluationWindowSec": 60}
        },
        "Action": {"Block": {"CustomResponse": {"ResponseCode": 429, "CustomResponseBodyKey": "many"}}},
        "VisibilityConfig": {**visible, "MetricName": "rate"},
    }
    common = {
        "Name": "lab-limits",
        "Scope": "CLOUDFRONT",
        "DefaultAction": {"Allow": {}},
        "Rules": [rule],
        "CustomResponseBodies": {"many": {"ContentType": "APPLICATION_JSON", "Content": '{"error": "many"}'}},
        "VisibilityConfig": {**visible, "MetricName": "lab-limits"},
    }
    if known is None:
        made: dict[str, Any] = (await cloud.call("wafv2", "create_web_acl", **common))["Summary"]
        return made
    current = await cloud.call("wafv2", "get_web_acl", Name="lab-limits", Scope="CLOUDFRONT", Id=known["Id"])
    await cloud.call("wafv2", "update_web_acl", **common, Id=known["Id"], LockToken=current["LockToken"])
    return known


async def test_the_edge(cloud: Cloud) -> None:
    """A distribution with a bucket, the load balancer and a WebACL."""
    async with targets(cloud):
        acl = await web_acl(cloud, 600)
        await cloud.call("s3", "create_bucket", Bucket="lab-site")
        await cloud.call(
            "s3",
            "put_object",
            Bucket="lab-site",
            Key="index.html",
            Body=b"<h1>hello</h1>",
            ContentType="text/html",
        )
        deny = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": "arn:aws:s3:::lab-site/*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        await cloud.call(
            "s3",
            "put_bucket_policy",
            Bucket="lab-site",
            Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}),
        )
        secret = {"HeaderName": "X-Origin-Verify", "HeaderValue": ORIGIN_SECRET}
        api = {"HTTPPort": cloud.port, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
        distribution = await cloud.call(
            "cloudfront",
            "create_distribution",
            DistributionConfig={
                "CallerReference": "lab",
                "Comment": "lab",
                "Enabled": True,
                "DefaultRootObject": "index.html",
                "WebACLId": acl["ARN"],
                "Origins": {
                    "Quantity": 2,
                    "Items": [
                        {
                            "Id": "site",
                            "DomainName": "lab-site.s3.us-east-1.amazonaws.com",
                            "S3OriginConfig": {"OriginAccessIdentity": ""},
                        },
                        {
                            "Id": "api",
                            "DomainName": "lab.us-east-1.elb.amazonaws.com",
                            "CustomHeaders": {"Quantity": 1, "Items": [secret]},
                            "CustomOriginConfig": api,
                        },
                    ],
                },
                "DefaultCacheBehavior": behaviour(None, "site"),
                "CacheBehaviors": {
                    "Quantity": 2,
                    "Items": [behaviour("/api/*", "api"), behaviour("/ws", "api")],
                },
            },
        )
        assert distribution["Distribution"]["DomainName"]
        url = f"http://{EDGE}:{cloud.edge_port}"

        async def edge(path: str, client: str = "198.18.0.1") -> tuple[int, str, str]:
            async with cloud.session.get(f"{url}{path}", headers={"X-Lab-Client": client}) as answer:
                return answer.status, await answer.text(), answer.headers.get("X-Seen", "")

        async def forwards() -> bool:
            return (await edge("/api/x"))[0] == 200

        await until(forwards)
        assert (await edge("/"))[:2] == (200, "<h1>hello</h1>"), "the bucket's root object"
        assert (await edge("/missing.js"))[0] == 404
        assert await edge("/api/x", "198.18.0.7") == (200, "blue-1", "198.18.0.7"), (
            "the client as X-Forwarded-For"
        )

        # 600 a minute are 60 in the scaled window of 6 s.
        start = await period_begins()
        statuses = Counter([(await edge("/api/x", "198.18.0.9"))[0] for _ in range(80)])
        assert statuses == {200: 60, 429: 20}
        assert (await edge("/api/x", "198.18.0.8"))[0] == 200, "each client has a limit of its own"
        assert (await edge("/api/x", "198.18.0.9"))[1] == '{"error": "many"}'
        await web_acl(cloud, 6000, acl)

        async def admitted() -> bool:
            return (await edge("/api/x", "198.18.0.9"))[0] == 200

        await until(admitted, 3)
        client = cloud.client("cloudwatch")

        async def blocked() -> bool:
            answer = await asyncio.to_thread(
                client.get_metric_statistics,
                Namespace="AWS/WAFV2",
                MetricName="BlockedRequests",
                Dimensions=[{"Name": "WebACL", "Value": "lab-limits"}, {"Name": "Rule", "Value": "rate"}],
                StartTime=start,
                EndTime=start + 60,
                Period=60,
                Statistics=["Sum"],
            )
            return bool(sum(point["Sum"] for point in answer["Datapoints"]) >= 21)

        await until(blocked, 3 * PERIOD_S)

        # Load and websockets through it all.
        load = Load(Profile(url, 50, 3, clients=20))
        await load.start()
        async with WebSocketClients(f"ws://{EDGE}:{cloud.edge_port}/ws", 4) as sockets:

            async def connected() -> bool:
                return len(sockets.open) == 4

            await until(connected)
            await cloud.weigh(50)
            tally = await load.wait()
            assert len(sockets.open) == 4, "a weight moves no open websocket"
            assert (sockets.counts.dropped, sockets.counts.refused) == (0, 0)
        assert (tally.total, tally.failed) == (150, 0), tally.summary()
        assert set(tally.between(0, 1e12).by_colour) <= {"blue", "green"}
        endless = Load(Profile(url, 20, 600, clients=20))
        await endless.start()
        await asyncio.sleep(1)
        assert 0 < (await endless.stop()).total < 100


@pytest.mark.asyncio(loop_scope="function")
async def test_all_that_was_started_is_ended(tmp_path: Path) -> None:
    async with running_cloud(tmp_path):
        pass

    def left() -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(tmp_path) in command and int(process.name) != os.getpid():
                found.append(command)
        return found

    async def none() -> bool:
        return not left()

    await until(none, 5)
