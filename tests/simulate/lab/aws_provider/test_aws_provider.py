"""Every type of the provider's table through its whole life, before moto."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
import requests
from pulumi.runtime.proto import provider_pb2, status_pb2

from simulate.lab.aws_provider.aws import ApiError, Aws, Cancelled, ProviderConfig, ProviderError, Scope
from simulate.lab.aws_provider.spec import Mode
from simulate.lab.aws_provider.table import TOKENS, resource_type
from simulate.lab.aws_provider.wire import UNKNOWN, to_struct
from tests.simulate.lab.aws_provider.aws_provider_examples import EXAMPLES, queries
from tests.simulate.lab.aws_provider.aws_provider_harness import (
    Engine,
    Made,
    Refused,
    aws_server,
    served,
    urn,
)
from tests.simulate.lab.aws_provider.aws_provider_prerequisites import (
    Example,
    Prerequisites,
    header,
    trust,
    weighted,
)

RULE = "aws:lb/listenerRule:ListenerRule"
TOPIC = "aws:sns/topic:Topic"
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
FUNCTION = "aws:cloudfront/function:Function"
HEADERS = "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy"
INSTANCE = "aws:rds/instance:Instance"
PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with aws_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def provider(endpoint: str) -> Iterator[Engine]:
    with served(endpoint) as engine:
        yield engine


@pytest.fixture
def engine(provider: Engine) -> Engine:
    requests.post(f"{provider.endpoint}/moto-api/reset", timeout=60).raise_for_status()
    return provider


@pytest.fixture
def needs(engine: Engine) -> Prerequisites:
    return Prerequisites(engine)


def test_every_type_has_an_example() -> None:
    assert sorted(EXAMPLES) == sorted(TOKENS)


@pytest.mark.parametrize("token", TOKENS)
def test_a_resource_lives_and_ends(token: str, engine: Engine, needs: Prerequisites) -> None:
    example = EXAMPLES[token]
    made = engine.create(token, example.inputs(needs))
    outputs = {field.name for field in resource_type(token).block.fields if field.mode is Mode.OUTPUT}
    assert outputs - made.outputs.keys() <= _NOT_SHOWN.get(token, set())
    assert not engine.diff(made, made.inputs).changed

    found = engine.read(made)
    assert found is not None
    assert found[0] == made.inputs  # no drift where nobody changed anything
    assert found[1] == made.outputs

    assert_needs_a_new_one(engine, made, example, needs)
    if example.change is not None:
        news = made.inputs | example.change(needs)
        diffed = engine.diff(made, news)
        assert diffed.changed
        assert diffed.replaces == []
        made = engine.update(made, news)
        found = engine.read(made)
        assert found is not None
        assert found[0] == made.inputs
        assert not engine.diff(Made(token, made.id, *found), news).changed

    engine.delete(made)
    if token != "aws:secretsmanager/secretVersion:SecretVersion":  # ends with its secret
        assert engine.read(made) is None or token == "aws:s3/bucketVersioning:BucketVersioning"
    engine.delete(made)  # one that is gone already


_NOT_SHOWN = {
    "aws:ec2/eip:Eip": {"associationId"},  # of an address that nothing uses
}


def assert_needs_a_new_one(engine: Engine, made: Made, example: Example, needs: Prerequisites) -> None:
    """What AWS cannot change needs a new resource; where AWS has no place for both, the old one goes first."""
    replacement = example.replacement(needs)
    if replacement:
        diffed = engine.diff(made, made.inputs | replacement)
        assert sorted(diffed.replaces) == sorted(replacement)
        assert all(kind.endswith("_REPLACE") for kind in diffed.paths.values())
        assert not diffed.delete_before_replace
    if example.collision is not None:
        diffed = engine.diff(made, made.inputs | example.collision(needs))
        assert diffed.replaces
        assert diffed.delete_before_replace


def test_a_weight_is_changed_in_place_and_nothing_else(engine: Engine, needs: Prerequisites) -> None:
    made = engine.create(RULE, EXAMPLES[RULE].inputs(needs))
    news = made.inputs | {"actions": weighted(75, 25, needs.targets)}
    assert engine.diff(made, news).paths == {
        "actions[0].forward.targetGroups[0].weight": "UPDATE",
        "actions[0].forward.targetGroups[1].weight": "UPDATE",
    }
    engine.update(made, news)
    (rule,) = engine.aws("elbv2").describe_rules(RuleArns=[made.id])["Rules"]
    groups = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
    assert [group["Weight"] for group in groups] == [75, 25]


def test_the_order_of_target_groups_and_conditions_means_nothing(
    engine: Engine, needs: Prerequisites
) -> None:
    made = engine.create(RULE, EXAMPLES[RULE].inputs(needs))
    news = made.inputs | {
        "actions": weighted(5, 95, needs.targets[::-1]),
        "conditions": made.inputs["conditions"][::-1],
    }
    assert not engine.diff(made, news).changed


def test_a_read_shows_what_somebody_else_changed(engine: Engine, needs: Prerequisites) -> None:
    made = engine.create(RULE, EXAMPLES[RULE].inputs(needs))
    elbv2 = engine.aws("elbv2")
    (rule,) = elbv2.describe_rules(RuleArns=[made.id])["Rules"]
    forward = rule["Actions"][0]["ForwardConfig"]
    forward["TargetGroups"][0]["Weight"] = 50
    forward["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": 60}
    elbv2.modify_rule(RuleArn=made.id, Actions=rule["Actions"])
    elbv2.add_tags(ResourceArns=[made.id], Tags=[{"Key": "by", "Value": "hand"}])
    found = engine.read(made)
    assert found is not None
    drifted = Made(RULE, made.id, *found)
    assert engine.diff(drifted, made.inputs).paths == {
        "actions[0].forward.targetGroups[0].weight": "UPDATE",
        "actions[0].forward.stickiness.enabled": "UPDATE",
        "actions[0].forward.stickiness.duration": "UPDATE",
        "tags.by": "DELETE",
    }
    engine.update(drifted, made.inputs)
    assert engine.read(made) == (made.inputs, made.outputs)


def test_stickiness_that_the_program_left_out_is_drift(engine: Engine, needs: Prerequisites) -> None:
    inputs = EXAMPLES[RULE].inputs(needs)
    del inputs["actions"][0]["forward"]["stickiness"]
    made = engine.create(RULE, inputs)
    elbv2 = engine.aws("elbv2")
    (rule,) = elbv2.describe_rules(RuleArns=[made.id])["Rules"]
    forward = rule["Actions"][0]["ForwardConfig"]
    forward["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": 60}
    elbv2.modify_rule(RuleArn=made.id, Actions=rule["Actions"])
    found = engine.read(made)
    assert found is not None
    assert list(engine.diff(Made(RULE, made.id, *found), inputs).paths) == ["actions[0].forward.stickiness"]


@pytest.mark.parametrize("weight", [1, 5])
def test_a_forward_may_be_said_in_either_form(weight: int, engine: Engine, needs: Prerequisites) -> None:
    blue = needs.targets[0]
    forward = {"type": "forward", "forward": {"targetGroups": [{"arn": blue, "weight": weight}]}}
    short = {"type": "forward", "targetGroupArn": blue}
    inputs = {"listenerArn": needs.listener, "priority": 1, "conditions": [header("X", "y")]}
    for action in (forward, short):
        made = engine.create(RULE, inputs | {"actions": [action]})
        found = engine.read(made)
        assert found is not None
        assert found[0] == made.inputs
        engine.delete(made)


def test_a_group_may_let_in_all_of_its_own(engine: Engine, needs: Prerequisites) -> None:
    inputs = {
        "securityGroupId": needs.group,
        "description": "within",
        "ipProtocol": "-1",
        "referencedSecurityGroupId": needs.group,
    }
    made = engine.create("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", inputs)
    found = engine.read(made)
    assert found is not None
    assert not engine.diff(Made(made.token, made.id, *found), inputs).changed
    engine.delete(made)


def test_a_rule_is_imported(engine: Engine, needs: Prerequisites) -> None:
    made = engine.create(RULE, EXAMPLES[RULE].inputs(needs))
    found = engine.read(Made(RULE, made.id, {}, {}))
    assert found is not None
    assert not engine.diff(Made(RULE, made.id, *found), made.inputs).changed
    assert found[1]["arn"] == made.id
    assert found[0]["priority"] == 100


def test_a_web_acl_is_imported_by_id_name_and_scope(engine: Engine, needs: Prerequisites) -> None:
    token = "aws:wafv2/webAcl:WebAcl"
    made = engine.create(token, EXAMPLES[token].inputs(needs))
    with pytest.raises(grpc.RpcError, match="id/name/scope"):
        engine.read(Made(token, made.id, {}, {}))


def test_an_alarm_on_an_expression(engine: Engine) -> None:
    token = "aws:cloudwatch/metricAlarm:MetricAlarm"
    inputs = {
        "name": "rate",
        "comparisonOperator": "GreaterThanThreshold",
        "evaluationPeriods": 1,
        "threshold": 1,
        "metricQueries": queries("requests"),
    }
    made = engine.create(token, inputs)
    found = engine.read(made)
    assert found is not None
    assert found[0] == made.inputs
    news = inputs | {"metricQueries": queries("(requests + 1)")}
    assert engine.diff(made, news).paths == {"metricQueries[0].expression": "UPDATE"}


def test_the_providers_default_tags_go_under_the_programs_own(engine: Engine) -> None:
    engine.configure(defaultTags='{"tags": {"Project": "simple378", "tier": "none"}}')
    try:
        made = engine.create(TOPIC, {"name": "tagged", "tags": {"tier": "immediate"}})
        assert made.outputs["tagsAll"] == {"Project": "simple378", "tier": "immediate"}
        assert made.outputs["tags"] == {"tier": "immediate"}
        assert not engine.diff(made, made.inputs).changed
        engine.configure(defaultTags='{"tags": {"Project": "other"}}')
        assert engine.diff(made, made.inputs).paths == {"tagsAll": "UPDATE"}
        assert engine.update(made, made.inputs).outputs["tagsAll"] == {
            "Project": "other",
            "tier": "immediate",
        }
    finally:
        engine.configure()


def test_a_preview_knows_what_only_aws_will_say(engine: Engine, needs: Prerequisites) -> None:
    inputs = EXAMPLES[RULE].inputs(needs)
    inputs["actions"][0]["forward"]["targetGroups"][0]["arn"] = UNKNOWN
    outputs = engine.preview_create(RULE, inputs)
    assert outputs["arn"] is UNKNOWN
    assert outputs["priority"] == 100
    assert outputs["actions"][0]["forward"]["targetGroups"][0] == {"arn": UNKNOWN, "weight": 95}
    assert engine.aws("elbv2").describe_rules(ListenerArn=needs.listener)["Rules"][0]["IsDefault"]


def test_a_preview_of_an_update_keeps_the_outputs(engine: Engine, needs: Prerequisites) -> None:
    made = engine.create(RULE, EXAMPLES[RULE].inputs(needs))
    news = made.inputs | {"actions": weighted(75, 25, needs.targets)}
    assert engine.update(made, news, preview=True).outputs == made.outputs | news
    assert engine.read(made) == (made.inputs, made.outputs)


def test_a_creation_left_half_done_is_kept_and_finished_later(
    engine: Engine, needs: Prerequisites, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "aws:lb/targetGroup:TargetGroup"
    call = Scope.call

    def failing(self: Scope, op: str, **params: Any) -> dict[str, Any]:
        if op == "modify_target_group_attributes":
            raise ApiError(op, "Throttling", "Rate exceeded")
        return call(self, op, **params)

    inputs = EXAMPLES[token].inputs(needs)
    with monkeypatch.context() as patch:
        patch.setattr(Scope, "call", failing)
        with pytest.raises(grpc.RpcError, match="Throttling: Rate exceeded") as failed:
            engine.create(token, inputs)
    detail = _init_failed(failed.value)
    checked = engine.check(token, inputs)
    half = Made(token, detail.id, checked, checked)
    engine.update(half, inputs)
    attributes = engine.aws("elbv2").describe_target_group_attributes(TargetGroupArn=half.id)["Attributes"]
    assert {"Key": "deregistration_delay.timeout_seconds", "Value": "30"} in attributes


def _init_failed(error: Any) -> provider_pb2.ErrorResourceInitFailed:
    (packed,) = (value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin")
    status = status_pb2.Status.FromString(packed)
    detail = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(detail)
    return detail


def test_what_aws_refuses_is_an_error_with_its_words(engine: Engine, needs: Prerequisites) -> None:
    token = "aws:lb/targetGroup:TargetGroup"
    inputs = EXAMPLES[token].inputs(needs)
    engine.create(token, inputs)
    with pytest.raises(grpc.RpcError, match="DuplicateTargetGroupName: A target group"):
        engine.create(token, inputs)
    bucket = engine.create("aws:s3/bucket:Bucket", {"bucket": "full"})
    engine.aws("s3").put_object(Bucket="full", Key="index.html", Body=b"")
    with pytest.raises(grpc.RpcError, match="BucketNotEmpty"):
        engine.delete(bucket)
    engine.delete(engine.update(bucket, {"bucket": "full", "forceDestroy": True}))


def test_many_resources_are_made_at_once(engine: Engine) -> None:
    names = [f"topic-{index}" for index in range(40)]
    with ThreadPoolExecutor(len(names)) as pool:
        made = list(pool.map(lambda name: engine.create(TOPIC, {"name": name}), names))
    assert {each.id.rpartition(":")[2] for each in made} == set(names)


def test_a_wait_ends_at_once_when_the_engine_cancels() -> None:
    aws = Aws(ProviderConfig("us-east-1", "http://127.0.0.1:1"))
    threading.Timer(0.1, aws.cancel).start()
    with pytest.raises(Cancelled):
        aws.wait("never", lambda: False, timeout=60)


def test_a_wait_has_an_end() -> None:
    aws = Aws(ProviderConfig("us-east-1", "http://127.0.0.1:1"))
    with pytest.raises(ProviderError, match=r"database: not ready after 0\.5 s"):
        aws.wait("database", lambda: False, timeout=0.5)


def test_an_endpoint_that_does_not_answer_is_named() -> None:
    with served("http://127.0.0.1:1") as nobody, pytest.raises(grpc.RpcError, match=r"127\.0\.0\.1:1"):
        nobody.create(TOPIC, {"name": "x"})


@pytest.mark.parametrize(
    ("url", "words"),
    [("", "AWS_ENDPOINT_URL"), ("https://elasticloadbalancing.us-east-1.amazonaws.com", "is AWS itself")],
)
def test_a_real_account_is_never_touched(
    url: str, words: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(grpc.RpcError, match=words):
        engine.configure()


def test_provider_settings_are_taken_or_refused_by_name(engine: Engine) -> None:
    def failures(**news: Any) -> list[str]:
        request = provider_pb2.CheckRequest(urn=urn("pulumi:providers:aws"), news=to_struct(news))
        return [each.property for each in engine.stub.CheckConfig(request).failures]

    assert failures(region="us-east-1", skipCredentialsValidation="true", version="7.51.1") == []
    assert failures(region="us-east-1", assumeRoles="[]") == ["assumeRoles"]
    assert failures(defaultTags="[1]") == ["defaultTags"]


def test_unknown_types_and_functions_are_errors(engine: Engine) -> None:
    with pytest.raises(grpc.RpcError, match="does not serve aws:lb/trustStore:TrustStore"):
        engine.check("aws:lb/trustStore:TrustStore", {})
    with pytest.raises(grpc.RpcError, match=r"did you mean aws:lb/listener:Listener\?"):
        engine.check("aws:lb/listner:Listner", {})
    with pytest.raises(grpc.RpcError, match="does not serve aws:index/getRegion:getRegion"):
        engine.invoke("aws:index/getRegion:getRegion", {})


def test_a_prefix_list_is_looked_up_by_name(engine: Engine) -> None:
    token = "aws:ec2/getManagedPrefixList:getManagedPrefixList"
    with pytest.raises(grpc.RpcError, match="0 managed prefix lists named nowhere"):
        engine.invoke(token, {"name": "nowhere"})
    with pytest.raises(Refused, match="filters"):
        engine.invoke(token, {"name": "x", "filters": []})


ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"


def test_eks_refuses_an_association_as_it_does_on_aws(engine: Engine, needs: Prerequisites) -> None:
    inputs = EXAMPLES[ASSOCIATION].inputs(needs)
    engine.create(ASSOCIATION, inputs)
    nobody, elsewhere = "arn:aws:iam::123456789012:role/nobody", {"namespace": "elsewhere"}
    closed = needs.make("aws:iam/role:Role", name="closed", assumeRolePolicy=trust("lambda.amazonaws.com"))
    for change, words in (
        ({}, "ResourceInUseException: Association already exists: a-"),
        ({"clusterName": "none"}, "ResourceNotFoundException: No cluster found for name: none"),
        (elsewhere | {"roleArn": nobody}, "InvalidParameterException: Role provided in the request does not"),
        (
            elsewhere | {"roleArn": closed.outputs["arn"]},
            "InvalidParameterException: Trust policy of role is not",
        ),
    ):
        with pytest.raises(grpc.RpcError, match=words):
            engine.create(ASSOCIATION, inputs | change)


def test_what_is_looked_up(engine: Engine, needs: Prerequisites) -> None:
    subnet = engine.invoke("aws:ec2/getSubnet:getSubnet", {"id": needs.subnets[1]})
    assert (subnet["cidrBlock"], subnet["availabilityZone"]) == ("10.0.1.0/24", "us-east-1b")
    first, _ = needs.uploaded
    objects = engine.invoke("aws:s3/getObjects:getObjects", {"bucket": needs.bucket, "prefix": first})
    assert objects["keys"] == [first]


def test_what_a_distribution_uses_is_not_deleted(engine: Engine, needs: Prerequisites) -> None:
    function = engine.create(FUNCTION, EXAMPLES[FUNCTION].inputs(needs))
    headers = engine.create(HEADERS, EXAMPLES[HEADERS].inputs(needs))
    inputs = EXAMPLES[DISTRIBUTION].inputs(needs)
    inputs["defaultCacheBehavior"] |= {
        "functionAssociations": [{"eventType": "viewer-request", "functionArn": function.outputs["arn"]}],
        "responseHeadersPolicyId": headers.id,
    }
    distribution = engine.create(DISTRIBUTION, inputs)
    for used, code in ((function, "FunctionInUse"), (headers, "ResponseHeadersPolicyInUse")):
        with pytest.raises(grpc.RpcError, match=code):
            engine.delete(used)
    engine.delete(distribution)
    engine.delete(function)
    engine.delete(headers)
    assert engine.read(function) is None


def test_a_major_version_wants_the_flag_and_a_group_in_use_stays(
    engine: Engine, needs: Prerequisites
) -> None:
    group = engine.create(PARAMETERS, EXAMPLES[PARAMETERS].inputs(needs))
    inputs = {**EXAMPLES[INSTANCE].inputs(needs), "parameterGroupName": group.id}
    made = engine.create(INSTANCE, inputs)
    with pytest.raises(grpc.RpcError, match="AllowMajorVersionUpgrade flag must be present"):
        engine.update(made, {**inputs, "engineVersion": "17.1"})
    with pytest.raises(grpc.RpcError, match="InvalidDBParameterGroupState"):
        engine.delete(group)
    upgraded = engine.update(made, {**inputs, "engineVersion": "17.1", "allowMajorVersionUpgrade": True})
    assert upgraded.outputs["engineVersion"] == "17.1"


@pytest.mark.parametrize(("storage", "iops"), [(399, 12_000), (400, 6_000)])
def test_gp3_takes_no_iops_below_its_own(
    storage: int, iops: int, engine: Engine, needs: Prerequisites
) -> None:
    inputs = EXAMPLES[INSTANCE].inputs(needs) | {"maxAllocatedStorage": 1000}
    with pytest.raises(Refused) as refused:
        engine.check(INSTANCE, {**inputs, "allocatedStorage": storage, "iops": iops})
    assert [path for path, _ in refused.value.failures] == ["iops"]
