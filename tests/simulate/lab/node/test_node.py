"""The node agent with a real API server: what Kubernetes promises about pods and Services holds in the lab."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from simulate.lab.lab import Lab
from tests.simulate.lab.cluster import APP, Cluster, until

pytestmark = pytest.mark.lab

Json = dict[str, Any]


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[Cluster]:
    cluster = Cluster(lab, "test-node")
    try:
        yield cluster
    finally:
        cluster.close()


def app(**rest: Any) -> Json:
    """A container that runs the test program, asked for readiness each second."""
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    return {"image": "library/python:3.11", "args": ["-c", APP], "readinessProbe": probe, **rest}


def test_a_deployment_becomes_available_and_its_service_spreads(cluster: Cluster) -> None:
    cluster.deploy("spread", app(), replicas=2)
    cluster.wait_available("spread", 2)
    names = {pod["metadata"]["name"] for pod in cluster.pods("spread")}
    until(lambda: {cluster.ask("spread", "host") for _ in range(4)} == names)
    # Both listen on the same port of all their addresses: each has a network of its own.
    assert len({pod["status"]["podIP"] for pod in cluster.pods("spread")}) == 2


def test_environment_files_and_names(cluster: Cluster) -> None:
    cluster.create("configmaps", "settings", data={"greeting.txt": "hello", "mode": "fast"})
    cluster.create("secrets", "passwords", stringData={"password": "s3cret"})
    env = [
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "passwords", "key": "password"}}},
        {"name": "URL", "value": "app:$(PASSWORD)@host"},
    ]
    volumes = [
        {"name": "c", "configMap": {"name": "settings"}},
        {"name": "s", "secret": {"secretName": "passwords"}},
    ]
    volume_mounts = [
        {"name": "c", "mountPath": "/app/config"},
        {"name": "s", "mountPath": "/etc/not-there-before"},
    ]
    cluster.deploy("files", app(env=env, volumeMounts=volume_mounts), volumes=volumes)
    cluster.wait_available("files")
    address = cluster.pods("files")[0]["status"]["podIP"]
    assert cluster.ask("files", "env/IP") == cluster.ask("files", "env/POD_IP") == address
    assert cluster.ask("files", "env/URL") == "app:s3cret@host"
    assert cluster.ask("files", "env/LAB_IMAGE") == "library/python:3.11"
    assert cluster.ask("files", "file/app/config/greeting.txt") == "hello"
    assert cluster.ask("files", "file/etc/not-there-before/password") == "s3cret"
    # Our own Service by its short name, in the pod's hosts file only.
    until(lambda: " files\n" in cluster.ask("files", "file/etc/hosts"))
    service = cluster.get(cluster.path("services", "files"))["spec"]["clusterIP"]
    assert f"{service} files\n" in cluster.ask("files", "file/etc/hosts")


def test_each_container_has_its_own_tmp(cluster: Cluster) -> None:
    cluster.deploy("own-tmp", app(), replicas=2)
    cluster.wait_available("own-tmp", 2)
    hosts: set[str] = set()
    for pod in cluster.pods("own-tmp"):
        answer = cluster.request("GET", f"http://{pod['status']['podIP']}:8080/write/tmp/fixed-name")
        assert answer["text"] == "x"
        hosts.add(pod["status"]["podIP"])
    assert len(hosts) == 2


def test_pgbouncer_reads_the_configuration_of_its_configmap(cluster: Cluster) -> None:
    settings = (
        "[databases]\npostgres = host=10.78.0.5 port=5432 user=postgres password=lab\n"
        "[pgbouncer]\nlisten_addr = 0.0.0.0\nlisten_port = 8080\nauth_type = any\n"
    )
    cluster.create("configmaps", "pgbouncer", data={"pgbouncer.ini": settings})
    container = {
        "image": "bitnami/pgbouncer:1.18.0",
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/pgbouncer", "readOnly": True}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    cluster.deploy("pgbouncer", container, volumes=[{"name": "settings", "configMap": {"name": "pgbouncer"}}])
    until(lambda: cluster.available("pgbouncer") == 1)
    url = f"postgresql://anyone@pgbouncer.{cluster.namespace}.svc:80/postgres"
    query = ["psql", url, "-Atc", "select 6*7"]
    assert until(lambda: cluster.lab.run(query, check=False).stdout) == "42\n"


def test_a_killed_process_is_restarted(cluster: Cluster) -> None:
    cluster.deploy("killed", app())
    cluster.wait_available("killed")
    before = cluster.ask("killed", "pid")
    cluster.lab.run(["sh", "-c", f"kill -9 {before}"])
    status = until(lambda: (s := cluster.container("killed")).get("restartCount") == 1 and s["ready"] and s)
    assert status["lastState"]["terminated"]["exitCode"] == 137
    cluster.wait_answers("killed")
    assert cluster.ask("killed", "pid") != before


def test_an_unready_pod_gets_no_traffic(cluster: Cluster) -> None:
    cluster.deploy("unready", app(), replicas=2)
    cluster.wait_available("unready", 2)
    victim = cluster.pods("unready")[0]
    cluster.request("GET", f"http://{victim['status']['podIP']}:8080/unready")
    until(lambda: victim["status"]["podIP"] not in cluster.endpoints("unready"))
    name = victim["metadata"]["name"]
    until(lambda: name not in {cluster.ask("unready", "host") for _ in range(8)})
    conditions = {
        c["type"]: c["status"] for c in cluster.get(cluster.path("pods", name))["status"]["conditions"]
    }
    assert conditions["Ready"] == conditions["ContainersReady"] == "False"


def test_a_failing_liveness_probe_restarts_a_failing_readiness_probe_does_not(cluster: Cluster) -> None:
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1, "failureThreshold": 2}
    cluster.deploy("liveness", app(livenessProbe=probe))
    cluster.deploy("readiness", app())
    cluster.wait_available("liveness")
    cluster.wait_available("readiness")
    cluster.ask("readiness", "unready")
    cluster.ask("liveness", "unready")
    until(
        lambda: (
            cluster.container("liveness").get("restartCount") == 1 and cluster.container("liveness")["ready"]
        )
    )
    assert cluster.container("readiness")["restartCount"] == 0


def test_a_startup_probe_holds_the_others_back(cluster: Cluster) -> None:
    slow = f"import time; time.sleep(4)\n{APP}"
    alive = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    starts = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 30}
    cluster.deploy("startup", app(args=["-c", slow], livenessProbe=alive, startupProbe=starts))
    cluster.wait_available("startup")
    assert cluster.container("startup")["restartCount"] == 0


def test_a_container_above_its_memory_limit_is_killed(cluster: Cluster) -> None:
    cluster.deploy("memory", app(resources={"limits": {"memory": "100Mi"}}))
    cluster.wait_available("memory")
    cluster.ask("memory", "eat/20")
    cluster.request("GET", f"http://memory.{cluster.namespace}.svc/eat/150")
    status = until(lambda: (s := cluster.container("memory")).get("restartCount") == 1 and s["ready"] and s)
    assert status["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert status["lastState"]["terminated"]["exitCode"] == 137


def test_a_crashing_container_backs_off(cluster: Cluster) -> None:
    cluster.deploy("crashing", {"image": "python", "args": ["-c", "raise SystemExit(3)"]})
    waiting = until(lambda: cluster.container("crashing").get("state", {}).get("waiting"), 30)
    until(
        lambda: cluster.container("crashing")["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
    )
    status = cluster.container("crashing")
    assert waiting
    assert status["restartCount"] == 2
    assert status["lastState"]["terminated"]["exitCode"] == 3


def test_an_unknown_image_is_told(cluster: Cluster) -> None:
    cluster.deploy("unknown", {"image": "nginx:1.27"})
    waiting = until(
        lambda: (
            cluster.container("unknown").get("state", {}).get("waiting", {}).get("message")
            and (cluster.container("unknown")["state"]["waiting"])
        )
    )
    assert waiting["reason"] == "ErrImagePull"
    assert "'nginx:1.27' is not in the lab's table" in waiting["message"]
    name = cluster.pods("unknown")[0]["metadata"]["name"]
    selector = f"?fieldSelector=involvedObject.name%3D{name},reason%3DFailed"
    until(lambda: cluster.get(cluster.path("events") + selector)["items"])


def test_a_missing_configmap_is_waited_for(cluster: Cluster) -> None:
    env = [{"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "mode"}}}]
    cluster.deploy("late", app(env=env))
    until(
        lambda: (
            cluster.container("late").get("state", {}).get("waiting", {}).get("reason")
            == "CreateContainerConfigError"
        )
    )
    cluster.create("configmaps", "late", data={"mode": "here"})
    cluster.wait_available("late")
    assert cluster.ask("late", "env/MODE") == "here"


def test_a_deleted_pod_drains_and_loses_no_request(cluster: Cluster) -> None:
    hook = {"preStop": {"sleep": {"seconds": 1}}}
    cluster.deploy("drain", app(lifecycle=hook))
    cluster.wait_available("drain")
    pod = cluster.pods("drain")[0]
    slow = Cluster(cluster.lab, "test-node-drain")  # a second pair of hands
    answers: list[Json] = []
    url = f"http://drain.{cluster.namespace}.svc/slow/3"
    asking = threading.Thread(target=lambda: answers.append(slow.request("GET", url)))
    try:
        asking.start()
        cluster.request("DELETE", cluster.path("pods", pod["metadata"]["name"]))
        until(lambda: cluster.request("GET", cluster.path("pods", pod["metadata"]["name"]))["status"] == 404)
        asking.join()
    finally:
        slow.close()
    assert answers == [{"status": 200, "headers": answers[0]["headers"], "text": "slept"}]
    log = next(cluster.lab.paths.pod_logs.glob(f"*_{pod['metadata']['name']}_main.log")).read_text()
    assert log.splitlines() == ["draining", "drained"]
    # Its successor serves under another address.
    cluster.wait_available("drain")
    assert cluster.pods("drain")[0]["status"]["podIP"] != pod["status"]["podIP"]


def test_a_pod_that_ignores_sigterm_is_killed_when_its_grace_is_over(cluster: Cluster) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()"
    cluster.deploy("stubborn", {"image": "python", "args": ["-c", stubborn]}, terminationGracePeriodSeconds=2)
    until(lambda: cluster.available("stubborn") == 1)
    name = cluster.pods("stubborn")[0]["metadata"]["name"]
    cluster.request("DELETE", cluster.path("pods", name))
    until(lambda: cluster.request("GET", cluster.path("pods", name))["status"] == 404, 15)


def test_a_readiness_gate_is_respected(cluster: Cluster) -> None:
    gate = "target-health.elbv2.k8s.aws/backend"
    cluster.deploy("gate", app(), readinessGates=[{"conditionType": gate}])
    until(lambda: cluster.container("gate").get("ready"))
    assert not cluster.endpoints("gate")
    name = cluster.pods("gate")[0]["metadata"]["name"]
    cluster.request(
        "PATCH",
        cluster.path("pods", name) + "/status",
        {"status": {"conditions": [{"type": gate, "status": "True"}]}},
        "application/strategic-merge-patch+json",
    )
    cluster.wait_available("gate")


def test_a_job_runs_to_its_end_after_its_init_container(cluster: Cluster) -> None:
    write = "open('/work-dir/made', 'w').write('by init')"
    read = "assert open('/work-dir/made').read() == 'by init'"
    volume_mounts = [{"name": "work", "mountPath": "/work-dir"}]
    pod = {
        "restartPolicy": "Never",
        "initContainers": [
            {"name": "init", "image": "python", "args": ["-c", write], "volumeMounts": volume_mounts}
        ],
        "containers": [
            {"name": "main", "image": "python", "args": ["-c", read], "volumeMounts": volume_mounts}
        ],
        "volumes": [{"name": "work", "emptyDir": {}}],
    }
    cluster.create("jobs", "migration", spec={"backoffLimit": 0, "template": {"spec": pod}})

    def ended() -> str | None:
        # Before its end a job says SuccessCriteriaMet or FailureTarget; its pods are counted only with the end itself.
        conditions = cluster.get(cluster.path("jobs", "migration"))["status"].get("conditions", ())
        return next((c["type"] for c in conditions if c["type"] in ("Complete", "Failed")), None)

    assert until(ended) == "Complete"
    assert cluster.get(cluster.path("jobs", "migration"))["status"]["succeeded"] == 1


def test_a_deleted_service_stops_answering(cluster: Cluster) -> None:
    cluster.deploy("short-lived", app())
    cluster.wait_available("short-lived")
    address = cluster.get(cluster.path("services", "short-lived"))["spec"]["clusterIP"]
    until(lambda: cluster.request("GET", f"http://{address}/host")["status"] == 200)
    cluster.request("DELETE", cluster.path("services", "short-lived"))
    until(lambda: cluster.request("GET", f"http://{address}/host")["status"] == 0)
    until(lambda: "short-lived" not in cluster.lab.paths.hosts.read_text())


def test_nothing_beyond_the_lab_is_reached_and_nobody_waits_for_it(cluster: Cluster) -> None:
    script = (
        "import socket, time\nbegan = time.monotonic()\n"
        "for host in ('192.0.2.1', 'example.com'):\n"
        "    try: socket.create_connection((host, 80), timeout=20)\n"
        "    except OSError: pass\n"
        "    else: raise SystemExit('reached ' + host)\n"
        "raise SystemExit(time.monotonic() - began > 5)"
    )
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "python", "args": ["-c", script]}],
    }
    cluster.create("pods", "outward", spec=pod)
    phase = until(
        lambda: (
            (p := cluster.get(cluster.path("pods", "outward"))["status"]["phase"]) in ("Succeeded", "Failed")
            and p
        )
    )
    assert phase == "Succeeded"
