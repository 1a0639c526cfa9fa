"""What is declared -> HAProxy's configuration."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest

from simulate.lab.load_balancer import config, edge_config
from simulate.lab.load_balancer.edge_model import Behaviour, Distribution, Origin, RateRule, WebAcl
from simulate.lab.load_balancer.haproxy import GLOBAL, _server_commands
from simulate.lab.load_balancer.model import (
    Condition,
    FixedResponse,
    Forward,
    HealthCheck,
    Listener,
    LoadBalancer,
    Rule,
    Target,
    TargetGroup,
    code_matches,
)
from simulate.lab.load_balancer.text import anonymous, pattern, quoted

CHECK = HealthCheck("/ready", None, 5, 2, 2, 2, "200")


def group(colour: str) -> TargetGroup:
    arn = f"arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/lab-{colour}/{colour}0"
    return TargetGroup(arn, f"lab-{colour}", CHECK, 30, "round_robin", (Target("10.0.0.1", 8000),))


BLUE, GREEN = group("blue"), group("green")


def rule(key: str, action: Forward | FixedResponse | None, *conditions: Condition) -> Rule:
    return Rule(f"arn:listener-rule/app/lab/1/2/{key}", conditions, action)


def header(name: str, value: str) -> Condition:
    return Condition("http-header", (value,), name)


def balancer(*rules: Rule) -> LoadBalancer:
    default = rule("default", FixedResponse(403, "text/plain", "it's 100% closed"))
    listener = Listener("arn:listener", 80, "HTTP", (*rules, default))
    return LoadBalancer("arn:aws:x:loadbalancer/app/lab/1", "lab.elb", 60, (listener,), (BLUE, GREEN))


TRAFFIC = rule(
    "traffic", Forward(((BLUE.arn, 95), (GREEN.arn, 5))), header("X-Origin-Verify", "a 'secret' $1")
)
TEST = rule("test", Forward(((GREEN.arn, 1),)), header("X-Simple378-Test", "t"))
EDGE = Distribution(
    "E1",
    "d1.cloudfront.net",
    (),
    "index.html",
    (
        Origin("site", "b.s3.us-east-1.amazonaws.com", "/releases", (), "b", 80),
        Origin("api", "lab.elb", "", (("X-Origin-Verify", "100% 'secret'"),), "", 80),
    ),
    (Behaviour("/api/*", "api"), Behaviour("/ws", "api"), Behaviour("*", "site")),
    WebAcl(
        "limits",
        (
            RateRule(
                "r",
                "rate",
                1000,
                60,
                True,
                429,
                "application/json",
                '{"e": "100%"}',
                (("Retry-After", "60"),),
            ),
        ),
        (),
    ),
)
ADDRESSES = edge_config.Addresses("127.0.0.1", 18079, "127.0.0.1", "127.0.0.1:5000")


def structure(load_balancer: LoadBalancer) -> str:
    return "\n".join(
        [
            *config.listeners(load_balancer, "127.0.0.1", Path("/maps")),
            *config.backends(load_balancer),
        ]
    )


@pytest.mark.parametrize(
    ("weights", "bounds"),
    [
        ((95, 5), [950_000, 1_000_000]),
        ((0, 100), [0, 1_000_000]),
        ((100, 0), [1_000_000, 1_000_000]),
        ((1, 2), [333_333, 1_000_000]),
        ((999, 1), [999_000, 1_000_000]),
        ((0, 0), [0, 0]),
    ],
)
def test_weights_become_bounds_of_the_draw(weights: tuple[int, int], bounds: list[int]) -> None:
    assert config.bounds([(BLUE.arn, weights[0]), (GREEN.arn, weights[1])]) == bounds


def test_a_weight_is_in_the_map_and_not_in_the_structure() -> None:
    heavier = dataclasses.replace(TRAFFIC, action=Forward(((BLUE.arn, 50), (GREEN.arn, 50))))
    assert structure(balancer(TRAFFIC)) == structure(balancer(heavier)), "no reload for a weight"
    assert config.weight_map(balancer(TRAFFIC)) == {"traffic/0": "950000", "traffic/1": "1000000"}
    assert config.weight_map(balancer(heavier)) == {"traffic/0": "500000", "traffic/1": "1000000"}


def test_rules_are_tried_in_order_and_the_default_last() -> None:
    text = structure(balancer(TEST, TRAFFIC))
    positions = [text.index(f"set-var(txn.rule) str({key})") for key in ("test", "traffic", "default")]
    assert positions == sorted(positions)


def test_an_action_that_is_not_emulated_is_answered_501() -> None:
    assert "status 501" in structure(balancer(rule("redirect", None)))


def test_the_unreachable_switch_cuts_shared_rules_only() -> None:
    lb = balancer(TEST, TRAFFIC)
    assert config.unreachable_map(lb, None) == {}
    assert config.unreachable_map(lb, {"target_group": GREEN.arn}) == {"traffic/tg-lab-green": "cut"}
    assert config.unreachable_map(lb, {"target_group": GREEN.arn, "rule": TEST.arn}) == {
        "test/tg-lab-green": "cut"
    }
    assert config.unreachable_map(lb, {"target_group": "gone"}) == {}


def test_text() -> None:
    assert quoted("it's") == "'it'\\''s'"
    with pytest.raises(ValueError, match="control"):
        quoted("a\nb")
    assert pattern("/api/*.js?") == r"^/api/.*\.js.$"
    assert anonymous("path", ["/ws"]) == "{ path -m str -- '/ws' }"
    assert "-m reg -i" in anonymous("req.hdr(host)", ["*.example.com"], ignore_case=True)


@pytest.mark.parametrize(
    ("matcher", "status", "good"),
    [
        ("200", 200, True),
        ("200", 204, False),
        ("200-299", 204, True),
        ("200,301", 301, True),
        ("200-299", 300, False),
    ],
)
def test_success_codes(matcher: str, status: int, *, good: bool) -> None:
    assert code_matches(matcher, status) is good


def test_a_rate_limit_is_in_the_map_and_not_in_the_structure() -> None:
    acl = EDGE.web_acl
    assert acl is not None
    raised = dataclasses.replace(
        EDGE,
        web_acl=dataclasses.replace(acl, rate_rules=(dataclasses.replace(acl.rate_rules[0], limit=2000),)),
    )
    maps = Path("/maps")
    before, after = (edge_config.structure(d, ADDRESSES, maps, 10) for d in (EDGE, raised))
    assert before == after, "no reload for a limit"
    assert edge_config.limit_map(EDGE, 10) == {"rule0": "100"}
    assert edge_config.limit_map(raised, 1) == {"rule0": "2000"}
    text = "\n".join(before)
    assert "http_req_rate(6000ms)" in text, "the window is scaled"
    assert "status 429" in text


def test_servers_change_in_place() -> None:
    one, two = ("tg", "t1"), ("tg", "t2")
    closed = {one: config.Server(), two: config.Server()}
    opened = {one: config.Server("10.0.0.1", 8000, "ready"), two: config.Server()}
    assert _server_commands(closed, opened) == [
        "set server tg/t1 addr 10.0.0.1 port 8000",
        "set server tg/t1 state ready",
    ]
    draining = {**opened, one: config.Server("10.0.0.1", 8000, "drain")}
    assert _server_commands(opened, draining) == ["set server tg/t1 state drain"]
    assert _server_commands(draining, closed) == [
        "set server tg/t1 state maint",
        "shutdown sessions server tg/t1",
        "set server tg/t1 addr 127.0.0.1 port 1",
    ]


@pytest.mark.skipif(
    shutil.which("haproxy", path="/usr/sbin:/usr/bin") is None, reason="haproxy is not installed"
)
def test_haproxy_takes_it(tmp_path: Path) -> None:
    for name in ("weights.map", "unreachable.map", "limits.map"):
        (tmp_path / name).write_text("")
    lb = balancer(
        TEST,
        TRAFFIC,
        rule(
            "all",
            FixedResponse(503, "text/html", ""),
            Condition("path-pattern", ("/a/*", "/b?")),
            Condition("host-header", ("*.example.com",)),
            Condition("http-request-method", ("GET", "POST")),
            Condition("source-ip", ("10.0.0.0/8",)),
        ),
        rule("unknown", FixedResponse(200, "text/plain", "x"), Condition("query-string", ())),
    )
    lines = [
        *config.listeners(lb, "127.0.0.1", tmp_path),
        *config.backends(lb),
        *edge_config.structure(EDGE, ADDRESSES, tmp_path, 10),
    ]
    path = tmp_path / "haproxy.cfg"
    servers = {
        ("tg-lab-blue", "t1"): config.Server("10.0.0.1", 8000, "ready"),
        ("tg-lab-green", "t1"): config.Server(),
    }
    text = config.with_servers("\n".join(lines), servers)
    assert "server t1 10.0.0.1:8000\n" in text, "a new worker serves from its first moment"
    assert "server t1 127.0.0.1:1 disabled\n" in text
    path.write_text(GLOBAL.format(socket=tmp_path / "sock") + text)
    checked = subprocess.run(
        ["haproxy", "-c", "-f", path],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin"},
    )
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr, checked.stderr
