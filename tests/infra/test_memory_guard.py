"""The memory guard: whom it evicts, what it counts, and what its pod may do."""

from __future__ import annotations

import ast
import json
import ssl
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.workload.in_pod import memory_guard
from infra.workload.in_pod.memory_guard import Counter, Found, Settings, look, look_round, quantity, to_evict
from tests.infra.engine import Recording, deploy
from tests.infra.examples import COLOUR, SECRET_OUTPUTS, STACKS

NOW = 1_767_229_200.0
SETTINGS = Settings("green", "name=backend", "green", percent=85, period=15, youngest=300)


def pod(
    name: str, *, ready: bool = True, ending: bool = False, restarts: int = 0, reason: str = ""
) -> dict[str, Any]:
    status: dict[str, Any] = {"name": "backend", "restartCount": restarts, "lastState": {}}
    if reason:
        status["lastState"] = {"terminated": {"reason": reason}}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", **({"deletionTimestamp": "t"} if ending else {})},
        "spec": {"containers": [{"name": "backend", "resources": {"limits": {"memory": "100Mi"}}}]},
        "status": {
            "phase": "Running",
            "startTime": "2026-01-01T00:00:00Z",  # an hour before NOW
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [status],
        },
    }


def usage(name: str, memory: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "containers": [{"name": "backend", "usage": {"memory": memory}}]}


def found(
    name: str, percent: float | None, *, ready: bool = True, ending: bool = False, age: float = 3600
) -> Found:
    return Found(name, f"uid-{name}", ready, ending, age, percent)


def test_the_share_of_the_limit_that_each_pod_uses() -> None:
    pods = [
        pod("a"),
        pod("b", ready=False),
        pod("c", ending=True),
        {**pod("d"), "status": {"phase": "Failed"}},
    ]
    seen = look(pods, [usage("a", "87Mi"), usage("b", "1048576")], NOW)
    assert [(one.name, one.percent, one.ready, one.ending) for one in seen] == [
        ("a", 87, True, False),
        ("b", 1, False, False),
        ("c", None, True, True),
    ]
    assert seen[0].age == 3600


@pytest.mark.parametrize(
    ("text", "wanted"), [("123", 123), ("2Ki", 2048), ("1Gi", 2**30), ("1500m", 1.5), ("1k", 1000)]
)
def test_quantities(text: str, wanted: float) -> None:
    assert quantity(text) == wanted


def test_the_worst_pod_goes_and_only_above_the_share() -> None:
    worst, _ = to_evict([found("a", 86), found("b", 93), found("c", 20), found("d", None)], SETTINGS)
    assert worst and worst.name == "b"
    assert to_evict([found("a", 85), found("b", 20)], SETTINGS) == (None, "")


@pytest.mark.parametrize(
    ("pods", "why"),
    [
        ([found("a", 90), found("b", 20, ready=False)], "waiting for b"),
        (
            [found("a", 90), found("b", 95, ready=True, ending=True), found("c", None, ready=False)],
            "waiting for b, c",
        ),
        ([found("a", 90)], "a is the only pod"),
        ([found("a", 90, age=299), found("b", 20)], "a is younger than 300 s: its memory limit is too small"),
    ],
)
def test_nobody_goes_while_the_others_could_not_carry_on(pods: list[Found], why: str) -> None:
    evicted, reason = to_evict(pods, SETTINGS)
    assert evicted is None
    assert why in reason


def test_restarts_and_kills_are_counted_from_the_first_round_on() -> None:
    counter = Counter()

    def since(*pods: dict[str, Any]) -> tuple[int, int]:
        return counter.since(look(list(pods), [], NOW))

    assert since(pod("a", restarts=7, reason="OOMKilled")) == (0, 0), "before its time"
    assert since(pod("a", restarts=7, reason="OOMKilled")) == (0, 0)
    assert since(pod("a", restarts=9, reason="OOMKilled"), pod("b", restarts=1, reason="Error")) == (3, 1)


class Api(memory_guard.Api):
    """Answers from objects; `refuse` is the status that an eviction gets."""

    def __init__(self, refuse: int = 0) -> None:
        self.refuse, self.evicted = refuse, list[dict[str, Any]]()

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if method == "POST":
            assert body is not None
            if self.refuse:
                raise memory_guard.ApiError(self.refuse, "no")
            self.evicted.append({"path": path, **body})
            return {}
        assert path.endswith("namespaces/green/pods?labelSelector=name%3Dbackend")
        return {
            "items": [usage("a", "90Mi"), usage("b", "1Mi")] if "metrics" in path else [pod("a"), pod("b")]
        }


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_round_evicts_by_name_and_uid_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    api = Api()
    look_round(api, SETTINGS, Counter())
    (eviction,) = api.evicted
    assert eviction["path"] == "/api/v1/namespaces/green/pods/a/eviction"
    assert (eviction["kind"], eviction["apiVersion"]) == ("Eviction", "policy/v1")
    assert eviction["deleteOptions"] == {"preconditions": {"uid": "uid-a"}}
    said, metrics = lines(capsys)
    assert said["message"] == "a uses 90 % of its memory: evicted"
    values = {
        name: metrics[name]
        for name in ("MemoryPercent", "ContainerRestarts", "OutOfMemoryKills", "MemoryEvictions")
    }
    assert values == {
        "MemoryPercent": 90,
        "ContainerRestarts": 0,
        "OutOfMemoryKills": 0,
        "MemoryEvictions": 1,
    }
    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Simple378" and directive["Dimensions"] == [["Colour"]]
    assert {metric["Name"] for metric in directive["Metrics"]} == set(values)


def test_a_disruption_budget_without_room_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    look_round(Api(refuse=429), SETTINGS, Counter())
    said, metrics = lines(capsys)
    assert "the disruption budget has no room" in said["message"]
    assert metrics["MemoryEvictions"] == 0
    with pytest.raises(memory_guard.ApiError):
        look_round(Api(refuse=500), SETTINGS, Counter())


def test_a_clusters_authority_without_a_key_identifier_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ssl.create_default_context()
    made.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 makes it
    monkeypatch.setattr(ssl, "create_default_context", lambda cafile: made)
    context = memory_guard.trust("ca.crt")
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname


def test_the_program_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(Path(memory_guard.__file__).read_text(), feature_version=(3, 9))
    named = {
        (alias.name if isinstance(node, ast.Import) else node.module or "").partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert named <= set(sys.stdlib_module_names), named


@cache
def example() -> Recording:
    return deploy("prod-green", {**COLOUR, "simple378:memoryGuardPercent": "80"}, STACKS, SECRET_OUTPUTS)


def test_its_rights_are_the_three_that_it_needs_in_its_namespace() -> None:
    role = example().one("kubernetes:rbac.authorization.k8s.io/v1:Role").inputs
    assert role["metadata"]["namespace"] == "simple378-green"
    granted = {(rule["apiGroups"][0], rule["resources"][0], *rule["verbs"]) for rule in role["rules"]}
    assert granted == {
        ("", "pods", "list"),
        ("metrics.k8s.io", "pods", "list"),
        ("", "pods/eviction", "create"),
    }
    (subject,) = example().one("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding").inputs["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "memory-guard", "namespace": "simple378-green"}


def test_its_pod_runs_the_program_of_this_repository_under_its_account() -> None:
    deployment = example().one("kubernetes:apps/v1:Deployment", "memory-guard-deployment")
    spec = deployment.inputs["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["serviceAccountName"] == "memory-guard"
    assert "memory-guard-binding" in deployment.depends_on
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert environment["SELECTOR"] == "app.kubernetes.io/name=backend"
    assert environment["PERCENT"] == "80"
    program = example().one("kubernetes:core/v1:ConfigMap", "memory-guard-program").inputs
    assert program["data"]["memory_guard.py"] == Path(memory_guard.__file__).read_text()
    assert container["command"] == ["python3", "/memory-guard/memory_guard.py"]
