"""A colour's layer: pods that start, drain and are bound in the right order."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.settings import SettingsError
from infra.stacks import StackError
from infra.workload.backend import database_url
from infra.workload.pgbouncer_ini import Pool, render_ini
from tests.infra.engine import Recording, deploy
from tests.infra.examples import COLOUR, FOUNDATION_OUTPUTS, SECRET_OUTPUTS, STACKS

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SERVICE = "kubernetes:core/v1:Service"
SECRET = "kubernetes:core/v1:Secret"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
BINDING = "kubernetes:elbv2.k8s.aws/v1beta1:TargetGroupBinding"
BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"


def run(stack: str = "prod-green", **changes: str) -> Recording:
    config = {**COLOUR, **{f"simple378:{key}": value for key, value in changes.items()}}
    return deploy(stack, config, STACKS, SECRET_OUTPUTS)


@cache
def example() -> Recording:
    return run()


def pod(name: str, recording: Recording | None = None) -> dict[str, Any]:
    deployment = (recording or example()).one(DEPLOYMENT, f"{name}-deployment").inputs
    template: dict[str, Any] = deployment["spec"]["template"]
    return template


def container(name: str) -> dict[str, Any]:
    (found,) = pod(name)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_namespace_is_the_colours_and_asks_for_readiness_gates() -> None:
    namespace = example().one("kubernetes:core/v1:Namespace").inputs["metadata"]
    assert namespace["name"] == "simple378-green"
    assert namespace["labels"]["elbv2.k8s.aws/pod-readiness-gate-inject"] == "enabled"
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    of_the_cluster = (":Namespace", ":PriorityClass")
    others = [resource for resource in example().cloud if not resource.type.endswith(of_the_cluster)]
    assert {resource.inputs["metadata"]["namespace"] for resource in others} == {"simple378-green"}


def test_backend_is_told_its_colour_version_and_database() -> None:
    environment = {variable["name"]: variable for variable in container("backend")["env"]}
    assert container("backend")["image"] == "registry.example/simple378/backend:2.1.0"
    assert environment["COLOUR"]["value"] == "green"
    assert environment["VERSION"]["value"] == "2.1.0"
    assert environment["LOG_LEVEL"]["value"] == "info"
    assert environment["DATABASE_URL"]["valueFrom"]["secretKeyRef"] == {
        "name": "backend-environment-named",
        "key": "DATABASE_URL",
    }
    secret = example().one(SECRET, "backend-environment")
    assert secret.inputs["stringData"]["DATABASE_URL"] == (
        "postgresql://app:p%22w%2Fd%40@pgbouncer.simple378-green.svc.cluster.local:6432/simple378"
    )
    assert any(path.startswith("stringData") for path in secret.secrets)


def test_database_url_takes_any_password() -> None:
    assert database_url("a b", "p@:/?#", "h", "1", "d") == "postgresql://a%20b:p%40%3A%2F%3F%23@h:1/d"


def test_probes() -> None:
    backend = container("backend")
    assert backend["livenessProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    assert backend["startupProbe"]["httpGet"] == {"path": "/health", "port": "http"}
    assert backend["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "http"}
    assert backend["ports"] == [{"name": "http", "containerPort": 8000}]


@pytest.mark.parametrize("name", ["backend", "pool"])
def test_graceful_drain(name: str) -> None:
    recording = run(drainSeconds="45")
    spec = pod(name, recording)["spec"]
    (found,) = spec["containers"]
    assert found["lifecycle"] == {"preStop": {"sleep": {"seconds": 45}}}
    assert spec["terminationGracePeriodSeconds"] > 45


@pytest.mark.parametrize(("name", "replicas"), [("backend", 4), ("pool", 2)])
def test_no_pod_goes_before_its_successor_is_ready(name: str, replicas: int) -> None:
    spec = example().one(DEPLOYMENT, f"{name}-deployment").inputs["spec"]
    assert spec["replicas"] == replicas
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    budget = example().one(BUDGET, f"{name}-budget").inputs["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["selector"]["matchLabels"] == spec["selector"]["matchLabels"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("name", ["backend", "pool"])
def test_pods_have_no_more_rights_than_they_need(name: str) -> None:
    spec = pod(name)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    resources = container(name)["resources"]
    for kind in ("memory", "ephemeral-storage"):
        assert resources["limits"][kind] == resources["requests"][kind]
    assert "cpu" not in resources["limits"]
    assert [constraint["topologyKey"] for constraint in spec["topologySpreadConstraints"]] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]


@pytest.mark.parametrize("colour", ["blue", "green"])
@pytest.mark.parametrize(
    ("resource", "name", "suffix"),
    [("backend-binding", "backend", ""), ("backend-probe-binding", "backend-probe", "-probe")],
)
def test_target_group_binding(colour: str, resource: str, name: str, suffix: str) -> None:
    """Users and probes reach the same pods, by target groups of their own."""
    recording = run(f"prod-{colour}")
    assert len(recording.of_type(BINDING)) == 2
    binding = recording.one(BINDING, resource).inputs
    assert (binding["apiVersion"], binding["kind"]) == ("elbv2.k8s.aws/v1beta1", "TargetGroupBinding")
    assert binding["metadata"]["name"] == name
    assert binding["spec"] == {
        "targetGroupARN": f"arn:{colour}{suffix}",
        "targetType": "ip",
        "vpcID": "vpc-1",
        "serviceRef": {"name": "backend", "port": 8000},
    }


def test_bound_before_there_are_pods_and_nobody_waits_for_pods_before() -> None:
    recording = example()
    bindings = {binding.name for binding in recording.of_type(BINDING)}
    assert bindings == {"backend-binding", "backend-probe-binding"}
    assert bindings <= set(recording.one(DEPLOYMENT, "backend-deployment").depends_on)
    assert all("backend-service" in binding.depends_on for binding in recording.of_type(BINDING))
    service = recording.one(SERVICE, "backend-service").inputs
    assert service["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}
    assert service["spec"]["ports"] == [{"name": "http", "port": 8000, "targetPort": "http"}]


def test_backend_starts_after_its_pool() -> None:
    recording = example()
    assert "pool-service" in recording.one(SECRET, "backend-environment").depends_on
    assert "backend-environment" in recording.one(DEPLOYMENT, "backend-deployment").depends_on
    assert "pool-deployment" in recording.one(SERVICE, "pool-service").depends_on


def test_pgbouncer_reads_what_was_rendered() -> None:
    config = example().one(CONFIG_MAP, "pool-config").inputs
    assert config["data"]["pgbouncer.ini"] == render_ini(
        Pool("db.example", 5432, "simple378", size=50, clients=1000, tls="require", query_timeout=30)
    )
    users = example().one(SECRET, "pool-users")
    assert users.inputs["stringData"] == {"userlist.txt": '"app" "p""w/d@"\n'}
    assert any(path.startswith("stringData") for path in users.secrets)
    found = container("pool")
    assert found["command"] + found["args"] == ["pgbouncer", "/etc/pgbouncer/pgbouncer.ini"]
    assert {mount["name"]: mount["mountPath"] for mount in found["volumeMounts"]} == {
        "config": "/etc/pgbouncer",
        "users": "/etc/pgbouncer-auth",
    }


def test_a_changed_configuration_is_a_new_object_never_a_deleted_one() -> None:
    # With a name of our own the provider would have to delete the old one first, and with it the pods that mount it.
    for token in (CONFIG_MAP, SECRET):
        for found in example().of_type(token):
            assert found.inputs["immutable"] is True
            assert "name" not in found.inputs["metadata"]
    volumes = {volume["name"]: volume for volume in pod("pool")["spec"]["volumes"]}
    assert volumes["config"]["configMap"]["name"] == "pool-config-named"
    assert volumes["users"]["secret"]["secretName"] == "pool-users-named"


def test_pools_that_the_database_cannot_take_are_refused() -> None:
    with pytest.raises(StackError) as refused:
        deploy(
            "prod-green",
            {**COLOUR, "simple378:poolSize": "100"},
            {"prod": {**FOUNDATION_OUTPUTS, "databaseMaxConnections": 519}},
            SECRET_OUTPUTS,
        )
    assert "two colours need 520 connections, one that rolls counted, the database allows 519" in str(
        refused.value
    )
    assert "pulumi config set simple378:databaseMaxConnections 520 --stack prod" in str(refused.value)
    assert "`aws rds reboot-db-instance --db-instance-identifier simple378-prod`" in str(refused.value)


def test_what_a_pod_writes_is_bounded_also_below_tmp() -> None:
    recording = run(resources='{"ephemeralStorage": "2Gi"}')
    spec = pod("backend", recording)["spec"]
    assert spec["containers"][0]["resources"]["limits"]["ephemeral-storage"] == "2Gi"
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == "tmp")
    assert volume["emptyDir"] == {"sizeLimit": "2Gi"}


def test_pods_that_serve_users_are_the_last_to_go() -> None:
    priority = example().one("kubernetes:scheduling.k8s.io/v1:PriorityClass").inputs
    assert priority["metadata"]["name"] == "simple378-green"
    assert priority["value"] > 0 and priority["globalDefault"] is False
    for name in ("backend", "pool"):
        assert pod(name)["spec"]["priorityClassName"] == "simple378-green"


def test_outputs() -> None:
    assert example().outputs == {
        "colour": "green",
        "namespace": "simple378-green",
        "version": "2.1.0",
        "image": "registry.example/simple378/backend",
        "pool": "2 x 50 of registry.example/pgbouncer:1.23.1",
        "login": "app",
        "replicas": 4,
    }


def test_an_image_by_digest_is_recorded_and_a_serving_colour_refuses_another() -> None:
    digest, other = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
    made = deploy("prod-green", COLOUR | {"simple378:digest": digest}, STACKS, SECRET_OUTPUTS)
    pods = made.one("kubernetes:apps/v1:Deployment", "backend-deployment").inputs["spec"]["template"]["spec"]
    assert pods["containers"][0]["image"] == f"registry.example/simple378/backend:2.1.0@{digest}"
    assert made.outputs["image"] == f"registry.example/simple378/backend@{digest}"
    serving = {
        **STACKS,
        "prod-green": made.outputs,
        "prod-traffic": {"stable": "green", "candidateWeight": 0},
    }
    with pytest.raises(StackError, match="its image would change from"):
        deploy("prod-green", COLOUR | {"simple378:digest": other}, serving, SECRET_OUTPUTS)


def redeploy(traffic: dict[str, Any], **changes: str) -> Recording:
    """Green again, over what `example` deployed, with this traffic."""
    stacks = {**STACKS, "prod-green": example().outputs, "prod-traffic": traffic}
    config = {**COLOUR, **{f"simple378:{key}": value for key, value in changes.items()}}
    return deploy("prod-green", config, stacks, SECRET_OUTPUTS)


@pytest.mark.parametrize(
    ("stable", "weight", "percent"), [("green", 0, 100), ("blue", 5, 5), ("green", 100, 0), ("green", 25, 75)]
)
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": "2.2.0"}, "its version would change from 2.1.0 to 2.2.0"),
        (
            {"image": "registry.example/other"},
            "its image would change from registry.example/simple378/backend to",
        ),
        ({"poolSize": "60"}, "its connection pool would change from 2 x 50 of"),
        ({"pgbouncerReplicas": "3"}, "its connection pool would change"),
        ({"pgbouncerImage": "registry.example/pgbouncer:1.24.0"}, "its connection pool would change"),
    ],
)
def test_a_colour_that_serves_refuses_another_version_image_or_pool(
    stable: str, weight: int, percent: int, changes: dict[str, str], words: str
) -> None:
    with pytest.raises(StackError) as refused:
        redeploy({"stable": stable, "candidateWeight": weight}, **changes)
    version = changes.get("version", "2.1.0")
    assert words in str(refused.value)
    assert f"green serves {percent} % of the traffic" in str(refused.value)
    assert f"pulumi config set simple378:allowWhileServing {version} --stack prod-green" in str(refused.value)


@pytest.mark.parametrize("traffic", [{}, {"stable": "blue", "candidateWeight": 0}])
def test_an_idle_colour_takes_another_version(traffic: dict[str, Any]) -> None:
    assert redeploy(traffic, version="2.2.0").outputs["version"] == "2.2.0"


def test_what_serves_may_be_changed_when_the_key_names_the_version() -> None:
    serving = {"stable": "green", "candidateWeight": 0}
    assert redeploy(serving, replicas="6").outputs["replicas"] == 6
    assert redeploy(serving, version="2.2.0", allowWhileServing="2.2.0").outputs["version"] == "2.2.0"
    with pytest.raises(StackError):  # the key of an earlier emergency opens nothing later
        redeploy(serving, version="2.3.0", allowWhileServing="2.2.0")


def test_only_a_colour_without_traffic_is_stopped() -> None:
    stopped = redeploy({"stable": "blue", "candidateWeight": 0}, replicas="0")
    assert stopped.outputs["replicas"] == 0
    for serving in ({"stable": "green", "candidateWeight": 0}, {"stable": "blue", "candidateWeight": 5}):
        with pytest.raises(
            StackError, match=r"green serves \d+ % of the traffic, and simple378:replicas is 0"
        ):
            redeploy(serving, replicas="0", allowWhileServing="2.1.0")


def test_a_colour_cannot_be_destroyed_by_mistake() -> None:
    assert example().one("kubernetes:core/v1:Namespace").protect
    assert not run(protect="false").one("kubernetes:core/v1:Namespace").protect


@pytest.mark.parametrize("others", [{}, {"kubernetes:kubeconfig": "{}"}])
def test_without_a_context_no_cluster_is_touched(
    others: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither kind of kubeconfig says which of its clusters is meant.
    monkeypatch.setenv("KUBECONFIG", "kubeconfig")
    config = {key: value for key, value in COLOUR.items() if key != "kubernetes:context"}
    with pytest.raises(SettingsError) as refused:
        deploy("prod-green", {**config, **others}, STACKS, SECRET_OUTPUTS)
    assert str(refused.value) == (
        "configuration of stack prod-green:\n  - kubernetes:context is missing; set it with "
        "`pulumi config set kubernetes:context NAME --stack prod-green`"
    )


def test_without_a_foundation_says_what_to_deploy() -> None:
    with pytest.raises(StackError, match="`pulumi up --stack prod`"):
        deploy("prod-green", COLOUR)


def test_with_a_foundation_of_before_the_groups_of_probes_says_what_to_deploy() -> None:
    old = {key: value for key, value in FOUNDATION_OUTPUTS.items() if key != "probeTargetGroups"}
    with pytest.raises(
        StackError, match=r"stack prod has no output 'probeTargetGroups'.*`pulumi up --stack prod`"
    ):
        deploy("prod-green", COLOUR, {"prod": old}, SECRET_OUTPUTS)


ACCOUNT = "kubernetes:core/v1:ServiceAccount"


def test_the_backend_has_a_service_account_and_a_region_and_no_token_of_kubernetes() -> None:
    account = example().one(ACCOUNT, "backend-account").inputs
    assert account["metadata"]["name"] == "backend"
    assert "annotations" not in account["metadata"]
    assert account["automountServiceAccountToken"] is False
    spec = pod("backend")["spec"]
    assert spec["serviceAccountName"] == "backend"
    assert {"name": "AWS_REGION", "value": "eu-central-1"} in container("backend")["env"]
    assert "serviceAccountName" not in pod("pool")["spec"]


def test_without_pod_identity_the_service_account_names_its_role() -> None:
    stacks = {**STACKS, "prod": {**FOUNDATION_OUTPUTS, "podCredentials": "web-identity"}}
    account = deploy("prod-green", COLOUR, stacks, SECRET_OUTPUTS).one(ACCOUNT, "backend-account").inputs
    assert account["metadata"]["annotations"] == {
        "eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/simple378-prod-backend"
    }


def test_pods_that_could_publish_no_metrics_are_refused() -> None:
    foundation = {key: value for key, value in FOUNDATION_OUTPUTS.items() if not key.startswith("pod")}
    with pytest.raises(StackError) as refused:
        deploy("prod-green", COLOUR, {**STACKS, "prod": foundation}, SECRET_OUTPUTS)
    assert "`pulumi config set simple378:clusterName NAME --stack prod`" in str(refused.value)
    assert "`pulumi up --stack prod`" in str(refused.value)


@pytest.mark.parametrize(("name", "timeout"), [("backend", "4200s"), ("pool", "780s")])
def test_a_roll_out_of_many_replicas_has_the_time_it_needs(name: str, timeout: str) -> None:
    found = run(replicas="40").one(DEPLOYMENT, f"{name}-deployment")
    assert found.inputs["spec"]["progressDeadlineSeconds"] == 600
    assert found.timeout == timeout


def test_the_applications_own_role_is_used_where_there_is_one() -> None:
    foundation = {**FOUNDATION_OUTPUTS, "databaseAppUser": "simple378_app", "databaseAppPassword": "its own"}
    secrets = {"prod": [*SECRET_OUTPUTS["prod"], "databaseAppPassword"]}
    recording = deploy("prod-green", COLOUR, {**STACKS, "prod": foundation}, secrets)
    assert recording.one(SECRET, "pool-users").inputs["stringData"] == {
        "userlist.txt": '"simple378_app" "its own"\n'
    }
    url = recording.one(SECRET, "backend-environment").inputs["stringData"]["DATABASE_URL"]
    assert url.startswith("postgresql://simple378_app:its%20own@pgbouncer.")
    assert recording.outputs["login"] == "simple378_app"


@pytest.mark.parametrize("exported", [True, False])
def test_a_colour_that_serves_refuses_another_login(exported: bool) -> None:
    """Also one that was deployed before logins were exported: the role may not be there yet."""
    before = {key: value for key, value in example().outputs.items() if exported or key != "login"}
    foundation = {**FOUNDATION_OUTPUTS, "databaseAppUser": "simple378_app", "databaseAppPassword": "its own"}
    stacks = {
        "prod": foundation,
        "prod-green": before,
        "prod-traffic": {"stable": "green", "candidateWeight": 0},
    }
    with pytest.raises(StackError, match="its database login would change from app to simple378_app"):
        deploy("prod-green", COLOUR, stacks, SECRET_OUTPUTS)


def test_the_databases_certificate_is_checked_by_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rds.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\n")
    recording = run(
        databaseTls="verify-full", databaseCa=str(file), maxPreparedStatements="200", queryTimeout="0"
    )
    files = recording.one(CONFIG_MAP, "pool-config").inputs["data"]
    assert files["database-ca.pem"] == file.read_text()
    for line in (
        "server_tls_sslmode = verify-full",
        "server_tls_ca_file = /etc/pgbouncer/database-ca.pem",
        "max_prepared_statements = 200",
        "query_timeout = 0",
    ):
        assert line in files["pgbouncer.ini"].splitlines()
    file.write_text("not a certificate")
    with pytest.raises(SettingsError, match=r"simple378:databaseCa: .*rds.pem: no certificate"):
        run(databaseTls="verify-full", databaseCa=str(file))
    with pytest.raises(SettingsError, match=r"simple378:databaseCa: .*none: No such file"):
        run(databaseTls="verify-full", databaseCa=str(tmp_path / "none"))


def test_a_restart_changes_an_annotation_of_one_deployment_also_while_it_serves() -> None:
    assert "annotations" not in pod("backend")["metadata"], "pods of before stay"
    recording = redeploy({"stable": "green", "candidateWeight": 0}, backendRestarts="3")
    assert pod("backend", recording)["metadata"]["annotations"] == {"simple378/restarts": "3"}
    assert "annotations" not in pod("pool", recording)["metadata"]
