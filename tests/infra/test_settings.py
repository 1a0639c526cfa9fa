"""Settings: what is accepted, and what the one error says otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.layers.colour.settings import ColourSettings
from infra.layers.foundation.settings import FoundationSettings
from infra.layers.frontend.settings import FrontendSettings
from infra.layers.guardian.settings import GuardianSettings
from infra.layers.limits.settings import LimitsSettings
from infra.layers.traffic.settings import TrafficSettings
from infra.settings import Settings, SettingsError
from infra.stacks import Colour, Layer, parse_stack_name
from simulate.lab.kubernetes import control_plane as kubernetes
from simulate.lab.layout import LabPaths
from tests.infra import examples

CHECKOUT = Path(__file__).resolve().parents[2]
LAYERS: dict[Layer, tuple[type[Settings], dict[str, str]]] = {
    Layer.FOUNDATION: (FoundationSettings, examples.FOUNDATION),
    Layer.COLOUR: (ColourSettings, examples.COLOUR),
    Layer.TRAFFIC: (TrafficSettings, examples.TRAFFIC),
    Layer.LIMITS: (LimitsSettings, examples.LIMITS),
    Layer.GUARDIAN: (GuardianSettings, examples.GUARDIAN),
    Layer.FRONTEND: (FrontendSettings, examples.FRONTEND),
}
STACK = {
    Layer.FOUNDATION: "prod",
    Layer.COLOUR: "prod-blue",
    Layer.TRAFFIC: "prod-traffic",
    Layer.LIMITS: "prod-limits",
    Layer.GUARDIAN: "prod-guardian",
    Layer.FRONTEND: "prod-frontend",
}


def own(config: dict[str, str]) -> dict[str, str]:
    return {
        key.removeprefix("simple378:"): value for key, value in config.items() if key.startswith("simple378:")
    }


def parse(layer: Layer, changes: dict[str, str | None]) -> Settings:
    cls, example = LAYERS[layer]
    values = {key: value for key, value in {**own(example), **changes}.items() if value is not None}
    return cls.parse(values, "simple378", STACK[layer])


@pytest.mark.parametrize("layer", Layer)
def test_examples_are_accepted(layer: Layer) -> None:
    parse(layer, {})


@pytest.mark.parametrize(
    ("layer", "key", "command"),
    [
        (
            Layer.FOUNDATION,
            "databasePassword",
            "pulumi config set --secret simple378:databasePassword --stack prod",
        ),
        (
            Layer.FOUNDATION,
            "originSecret",
            "pulumi config set --secret simple378:originSecret --stack prod",
        ),
        (
            Layer.FOUNDATION,
            "testSecret",
            "pulumi config set --secret simple378:testSecret --stack prod",
        ),
        (Layer.COLOUR, "version", "pulumi config set simple378:version VALUE --stack prod-blue"),
        (Layer.COLOUR, "image", "pulumi config set simple378:image VALUE --stack prod-blue"),
        (Layer.COLOUR, "poolSize", "pulumi config set simple378:poolSize VALUE --stack prod-blue"),
        (Layer.TRAFFIC, "stable", "pulumi config set simple378:stable VALUE --stack prod-traffic"),
        (
            Layer.TRAFFIC,
            "candidateWeight",
            "pulumi config set simple378:candidateWeight VALUE --stack prod-traffic",
        ),
        (Layer.TRAFFIC, "generation", "pulumi config set simple378:generation VALUE --stack prod-traffic"),
    ],
)
def test_a_missing_key_is_named_with_its_command(layer: Layer, key: str, command: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse(layer, {key: None})
    assert str(refused.value) == (
        f"configuration of stack {STACK[layer]}:\n  - simple378:{key} is missing; set it with `{command}`"
    )


def test_everything_that_is_wrong_is_in_one_error() -> None:
    with pytest.raises(SettingsError) as refused:
        parse(Layer.COLOUR, {"version": None, "poolSize": "49", "poolsize": "60"})
    assert [line.split()[1] for line in str(refused.value).splitlines()[1:]] == [
        "simple378:version",
        "simple378:poolSize",
        "simple378:poolsize",
    ]


@pytest.mark.parametrize(
    ("layer", "changes", "message"),
    [
        (
            Layer.TRAFFIC,
            {"candidateWeight": "101"},
            "simple378:candidateWeight is '101': input should be less than",
        ),
        (Layer.TRAFFIC, {"candidateWeight": "-1"}, "greater than or equal to 0"),
        (Layer.TRAFFIC, {"candidateWeight": "2.5"}, "should be a valid integer"),
        (Layer.TRAFFIC, {"stable": "red"}, "simple378:stable is 'red': input should be 'blue' or 'green'"),
        (Layer.TRAFFIC, {"generation": "0"}, "greater than or equal to 1"),
        (Layer.TRAFFIC, {"weight": "5"}, "simple378:weight is not a setting of this layer; "),
        (
            Layer.COLOUR,
            {"poolSize": "49"},
            "simple378:poolSize is '49': input should be greater than or equal to 50",
        ),
        (
            Layer.COLOUR,
            {"poolSize": "101"},
            "simple378:poolSize is '101': input should be less than or equal to 100",
        ),
        (Layer.COLOUR, {"poolsize": "60"}, "did you mean simple378:poolSize?"),
        (Layer.COLOUR, {"version": "1.0.0 beta"}, "simple378:version is '1.0.0 beta': string should match"),
        (Layer.COLOUR, {"pgbouncerImage": "pgbouncer"}, "simple378:pgbouncerImage"),
        (Layer.COLOUR, {"replicas": "-1"}, "greater than or equal to 0"),
        (Layer.COLOUR, {"backendEnv": "LOG_LEVEL"}, "must be a list or a map, not text"),
        (Layer.COLOUR, {"backendEnv": '{"COLOUR": "red"}'}, "sets COLOUR, which the program sets itself"),
        (Layer.COLOUR, {"backendEnv": '{"AWS_REGION": "x"}'}, "sets AWS_REGION, which the program sets"),
        (Layer.COLOUR, {"backendEnv": '{"A-B": "c"}'}, "has 'A-B', which is not a valid variable name"),
        (Layer.COLOUR, {"resources": '{"memory": "512"}'}, "simple378:resources.memory"),
        (Layer.COLOUR, {"databaseTls": "disable"}, "'verify-full', 'require' or 'prefer'"),
        (Layer.LIMITS, {"rateLimit": "9"}, "greater than or equal to 10"),
        (Layer.LIMITS, {"rateLimit": "many"}, "simple378:rateLimit is 'many'"),
        (Layer.FOUNDATION, {"vpcId": "vpc-1"}, "remove one set of keys"),
        (
            Layer.FOUNDATION,
            {"azs": None, "vpcCidr": None},
            "no network: set simple378:vpcCidr and simple378:azs",
        ),
        (Layer.FOUNDATION, {"azs": None}, "no network"),
        (Layer.COLOUR, {"databaseTls": "verify-full"}, "pulumi config set simple378:databaseCa FILE"),
        (Layer.COLOUR, {"databaseCa": "rds.pem"}, "belong together"),
        (Layer.FOUNDATION, {"databaseAppUser": "app"}, "simple378:databaseAppPassword belong together"),
        (
            Layer.FOUNDATION,
            {"databaseAppUser": "simple378", "databaseAppPassword": "a-password"},
            "simple378:databaseAppUser is the same as simple378:databaseUser",
        ),
        (
            Layer.FOUNDATION,
            {"databaseAppUser": "app", "databaseAppPassword": "with space"},
            "simple378:databaseAppPassword: must have 8 to 128",
        ),
        (Layer.FOUNDATION, {"clusterName": "a cluster"}, "simple378:clusterName is 'a cluster'"),
        (
            Layer.FOUNDATION,
            {"clusterOidcProvider": "arn:aws:iam::123456789012:oidc-provider/oidc.example/id/A"},
            "two ways to give the pods credentials: remove one",
        ),
        (Layer.FOUNDATION, {"azs": '["a"]'}, "need 2 to 8 different availability zones"),
        (Layer.FOUNDATION, {"azs": '["a", "a"]'}, "need 2 to 8 different availability zones"),
        (
            Layer.FOUNDATION,
            {"vpcCidr": "10.0.0.0/8"},
            "simple378:vpcCidr is '10.0.0.0/8': must be from a /16 to a /23",
        ),
        (Layer.FOUNDATION, {"vpcCidr": "10.0.0.1/16"}, "simple378:vpcCidr is '10.0.0.1/16'"),
        (Layer.FOUNDATION, {"probeCidrs": '["x"]'}, "simple378:probeCidrs[0]"),
        (
            Layer.FOUNDATION,
            {"probeCidrs": json.dumps([f"192.0.2.{i}/32" for i in range(6)])},
            "at most 5 items",
        ),
        (
            Layer.FOUNDATION,
            {"certificateArn": None},
            "simple378:certificateArn is missing; set it with `pulumi config",
        ),
        (Layer.FOUNDATION, {"certificateArn": "x"}, "simple378:certificateArn is 'x': string should match"),
        (
            Layer.FOUNDATION,
            {"originDomain": None},
            "simple378:certificateArn and simple378:originDomain belong together",
        ),
        (Layer.FOUNDATION, {"domainAliases": '["a.example"]'}, "simple378:cdnCertificateArn belong together"),
        (
            Layer.FOUNDATION,
            {
                "domainAliases": '["a.example"]',
                "cdnCertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/x",
            },
            "CloudFront accepts certificates from us-east-1 only",
        ),
        (
            Layer.FOUNDATION,
            {"loadBalancerIdleSeconds": "30"},
            "simple378:loadBalancerIdleSeconds is '30': input should be less than 30",
        ),
        (
            Layer.FOUNDATION,
            {"vpcCidr": "10.78.0.0/24"},
            "simple378:vpcCidr is '10.78.0.0/24': must be from a /16 to a /23, since a load balancer needs subnets of a /27",
        ),
        (
            Layer.FOUNDATION,
            {"databaseIops": "6000"},
            "simple378:databaseIops can be set from 400 GiB of simple378:databaseStorage on",
        ),
        (
            Layer.FOUNDATION,
            {"databaseIops": "6000", "databaseStorage": "400"},
            "simple378:databaseIops must be from 12000 to 64000",
        ),
        (Layer.FOUNDATION, {"databaseEndpoint": "db.example"}, "must be host:port"),
        (Layer.FOUNDATION, {"databaseBackupDays": "0"}, "greater than or equal to 1"),
        (Layer.FOUNDATION, {"databaseStorageLimit": "105"}, "at least 10 % above simple378:databaseStorage"),
        (Layer.FOUNDATION, {"originSecret": "short"}, "simple378:originSecret: must have 16 to 128 letters"),
        (Layer.FOUNDATION, {"originSecret": "a-secret-with-a-wildcard-*"}, "must have 16 to 128 letters"),
        (
            Layer.FOUNDATION,
            {"databasePassword": "with space"},
            "simple378:databasePassword: must have 8 to 128",
        ),
        (
            Layer.FOUNDATION,
            {"testSecret": examples.FOUNDATION["simple378:originSecret"]},
            "simple378:testSecret is the same as simple378:originSecret",
        ),
    ],
)
def test_what_cannot_be_is_refused(layer: Layer, changes: dict[str, str | None], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse(layer, changes)
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"configuration of stack {STACK[layer]}:\n  - ")


def test_secrets_are_never_shown() -> None:
    with pytest.raises(SettingsError) as refused:
        parse(
            Layer.FOUNDATION,
            {
                "databasePassword": "hunter 2",
                "originSecret": "too/short",
                "vpcCidr": "nonsense",
                "notifyUrls": '{"urgent": ["slack://hunter"]}',
            },
        )
    shown = str(refused.value)
    assert "pulumi config set --secret --path 'simple378:notifyUrls.NAME[0]' --stack prod" in shown
    assert "hunter" not in shown
    assert "too/short" not in shown
    assert "nonsense" in shown


@pytest.mark.parametrize("size", ["50", "100"])
def test_bounds_of_the_pool_are_the_guides(size: str) -> None:
    parse(Layer.COLOUR, {"poolSize": size})


def test_an_existing_network_and_database() -> None:
    settings = parse(
        Layer.FOUNDATION,
        {
            "vpcCidr": None,
            "azs": None,
            "vpcId": "vpc-0a",
            "publicSubnetIds": json.dumps(["subnet-1", "subnet-2"]),
            "privateSubnetIds": json.dumps(["subnet-3", "subnet-4"]),
            "databaseEndpoint": "db.example:5432",
        },
    )
    assert isinstance(settings, FoundationSettings)
    assert settings.private_subnet_ids == ("subnet-3", "subnet-4")


def test_traffic_settings() -> None:
    settings = parse(Layer.TRAFFIC, {"stable": "green"})
    assert isinstance(settings, TrafficSettings)
    assert (settings.stable, settings.candidate_weight, settings.protect) == (Colour.GREEN, 25, True)


# Stack files: what a person has to fill in, by layer; the lab's are complete.
TO_FILL_IN = {
    Layer.FOUNDATION: ("databasePassword", "originSecret", "testSecret", "certificateArn", "originDomain"),
    Layer.COLOUR: ("image", "version", "pgbouncerImage", "memoryGuardImage"),
    Layer.TRAFFIC: (),
    Layer.LIMITS: (),
    Layer.GUARDIAN: ("store",),
    Layer.FRONTEND: ("frontendRelease",),
}
STACK_FILES = sorted(
    [*CHECKOUT.glob("Pulumi.prod*.yaml"), *CHECKOUT.glob("simulate/lab/stacks/Pulumi.*.yaml")]
)


def as_the_engine_gives_it(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value)


@pytest.mark.parametrize("path", STACK_FILES, ids=lambda path: path.name)
def test_stack_files(path: Path) -> None:
    stack = parse_stack_name(path.name.split(".")[1])
    cls, example = LAYERS[stack.layer]
    values = own(
        {
            key: as_the_engine_gives_it(value)
            for key, value in yaml.safe_load(path.read_text())["config"].items()
        }
    )
    filled_in = () if stack.environment == "local" else TO_FILL_IN[stack.layer]
    complete = {**values, **{key: own(example)[key] for key in filled_in}}
    for key in filled_in:
        assert f"simple378:{key}" in path.read_text(), "the file says that it must be filled in"
        with pytest.raises(SettingsError, match=rf"simple378:{key}\b"):
            cls.parse(
                {name: value for name, value in complete.items() if name != key}, "simple378", stack.name
            )
    settings = cls.parse(complete, "simple378", stack.name)
    assert getattr(settings, "protect", None) in (None, stack.environment == "prod")


def test_a_file_for_every_layer() -> None:
    names = [
        f"{environment}{suffix}"
        for environment in ("local", "prod")
        for suffix in ("", "-blue", "-frontend", "-green", "-guardian", "-limits", "-traffic")
    ]
    assert sorted(path.name.split(".")[1] for path in STACK_FILES) == sorted(names)


@pytest.mark.parametrize("colour", ["blue", "green"])
def test_context_of_the_cluster(colour: str, tmp_path: Path) -> None:
    assert "# kubernetes:context: " in (CHECKOUT / f"Pulumi.prod-{colour}.yaml").read_text()
    lab = LabPaths(tmp_path)
    kubernetes.prepare(lab)
    contexts = [context["name"] for context in json.loads(lab.kubeconfig.read_text())["contexts"]]
    file = CHECKOUT / f"simulate/lab/stacks/Pulumi.local-{colour}.yaml"
    assert yaml.safe_load(file.read_text())["config"]["kubernetes:context"] in contexts


@pytest.mark.parametrize("stack", ["prod", "prod-frontend", "prod-limits", "prod-traffic"])
def test_what_production_has_of_aws_is_tagged(stack: str) -> None:
    config = yaml.safe_load((CHECKOUT / f"Pulumi.{stack}.yaml").read_text())["config"]
    assert config["aws:defaultTags"] == {"tags": {"Project": "simple378", "Environment": "prod"}}
