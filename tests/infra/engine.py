"""Stand-in for the Pulumi engine: runs a layer of the program and records what it registers.

What it cannot see: whether AWS or Kubernetes would accept the inputs (no provider checks them; the lab's does), what an
update would change or replace (every run is a first one), the order in which resources are made (only who depends on
whom), and unknown values of a preview (everything is known at once). Outputs of the cloud are made up: an ARN is
`arn:NAME`.
"""

from __future__ import annotations

import asyncio
import contextvars
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pulumi
import pulumi_aws
from google.protobuf.json_format import MessageToDict
from pulumi.runtime import mocks
from pulumi.runtime.config import set_all_config
from pulumi.runtime.settings import set_root_resource
from pulumi.runtime.stack import run_in_stack

from infra.stacks import parse_stack_name

with warnings.catch_warnings():
    # Deprecated classes of these modules warn when they are defined, whether or not anyone uses them; and a module is
    # loaded when it is first touched.
    warnings.simplefilter("ignore", DeprecationWarning)
    _ = (pulumi_aws.ec2.Vpc, pulumi_aws.lambda_.Function, pulumi_aws.s3.Bucket)

PROJECT = "simple378"
# How the engine marks a secret on the wire.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_STACK = "pulumi:pulumi:Stack"
_STACK_REFERENCE = "pulumi:pulumi:StackReference"

_ELB = "arn:aws:elasticloadbalancing:eu-central-1:123456789012"
# Where another service looks at the form of an ARN.
_ARNS = {
    "aws:cloudfront/function:Function": "arn:aws:cloudfront::123456789012:function/",
    "aws:cloudwatch/eventRule:EventRule": "arn:aws:events:us-east-1:123456789012:rule/",
    "aws:iam/role:Role": "arn:aws:iam::123456789012:role/",
    "aws:lb/loadBalancer:LoadBalancer": f"{_ELB}:loadbalancer/app/",
    "aws:sns/topic:Topic": "arn:aws:sns:eu-central-1:123456789012:",
}
_ENDINGS = {"aws:lb/loadBalancer:LoadBalancer": "/50dc6c495c0c9188"}


@dataclass(frozen=True, slots=True)
class Registered:
    """A resource as the engine got it: `inputs` with the names of the wire, `secrets` the paths of secret ones."""

    type: str
    name: str
    custom: bool
    parent: str
    inputs: dict[str, Any]
    secrets: frozenset[str]
    protect: bool
    ignore_changes: tuple[str, ...]
    depends_on: frozenset[str]
    timeout: str  # of an update; '' for the provider's


@dataclass(slots=True)
class Recording:
    """What a run registered; `outputs` are the stack's."""

    resources: list[Registered] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    secret_outputs: frozenset[str] = frozenset()

    def of_type(self, token: str) -> list[Registered]:
        return [resource for resource in self.resources if resource.type == token]

    def one(self, token: str, name: str | None = None) -> Registered:
        found = [resource for resource in self.of_type(token) if name in (None, resource.name)]
        assert len(found) == 1, (
            f"{len(found)} of {token} {name or ''}: {[resource.name for resource in found]}"
        )
        return found[0]

    @property
    def cloud(self) -> list[Registered]:
        """All but components."""
        return [resource for resource in self.resources if resource.custom]


def _unwrap(value: Any, path: str, secrets: set[str]) -> Any:
    if isinstance(value, dict):
        if _SIGNATURE in value and "value" in value:  # else it is an asset or an archive
            secrets.add(path)
            return _unwrap(value["value"], path, secrets)
        return {key: _unwrap(item, f"{path}.{key}" if path else key, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_unwrap(item, f"{path}[{i}]", secrets) for i, item in enumerate(value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Monitor(mocks.MockMonitor):
    def __init__(
        self,
        stacks: Mapping[str, Mapping[str, Any]],
        secret_outputs: Mapping[str, list[str]],
        objects: Collection[str],
    ) -> None:
        super().__init__(_Cloud(stacks, secret_outputs, objects))
        self.recording = Recording()

    def RegisterResource(self, request: Any) -> Any:
        if request.type != _STACK:
            secrets: set[str] = set()
            inputs = _unwrap(MessageToDict(request.object), "", secrets)
            self.recording.resources.append(
                Registered(
                    type=request.type,
                    name=request.name,
                    custom=request.custom,
                    parent=request.parent.rpartition("::")[2],
                    inputs=inputs,
                    secrets=frozenset(secrets),
                    protect=request.protect,
                    ignore_changes=tuple(request.ignoreChanges),
                    timeout=request.customTimeouts.update,
                    depends_on=frozenset(urn.rpartition("::")[2] for urn in request.dependencies),
                )
            )
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if f"::{_STACK}::" in request.urn:
            secrets: set[str] = set()
            self.recording.outputs = _unwrap(MessageToDict(request.outputs), "", secrets)
            self.recording.secret_outputs = frozenset(secrets)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


class _Cloud(mocks.Mocks):
    def __init__(
        self,
        stacks: Mapping[str, Mapping[str, Any]],
        secret_outputs: Mapping[str, list[str]],
        objects: Collection[str],
    ) -> None:
        self._stacks = stacks
        self._secret_outputs = secret_outputs
        self._objects = objects

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if args.typ == _STACK_REFERENCE:
            name = str(args.resource_id)
            return name, {
                "name": name,
                "outputs": dict(self._stacks.get(name.rpartition("/")[2], {})),
                "secretOutputNames": self._secret_outputs.get(name.rpartition("/")[2], []),
            }
        made_up = {
            "arn": f"arn:{args.name}",
            "arnSuffix": f"suffix/{args.name}",
            "dnsName": f"{args.name}.elb.example",
            "domainName": f"{args.name}.cloudfront.example",
            "bucket": f"{args.name}-bucket",
            "bucketRegionalDomainName": f"{args.name}.s3.example",
            "address": f"{args.name}.rds.example",
        }
        if args.typ in _ARNS:
            made_up["arn"] = f"{_ARNS[args.typ]}{args.name}{_ENDINGS.get(args.typ, '')}"
        state = {**made_up, **args.inputs}
        if args.typ.startswith("kubernetes:"):
            # The provider names what has no name.
            state["metadata"] = {"name": f"{args.name}-named", **state["metadata"]}
        return f"{args.name}-id", state

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        if args.token == "aws:ec2/getSubnet:getSubnet":
            # The prefix and the zone are in the id, such as subnet-27a.
            prefix, zone = args.args["id"][-3:-1], args.args["id"][-1]
            return {
                **args.args,
                "cidrBlock": f"10.0.0.0/{prefix}",
                "availabilityZone": f"eu-central-1{zone}",
            }, []
        if args.token == "aws:s3/getObjects:getObjects":
            return {
                **args.args,
                "keys": [key for key in self._objects if key.startswith(args.args["prefix"])],
            }, []
        assert args.token == "aws:ec2/getManagedPrefixList:getManagedPrefixList"
        return {**args.args, "id": f"pl-of-{args.args['name']}"}, []


def deploy(
    stack: str,
    config: Mapping[str, str],
    stacks: Mapping[str, Mapping[str, Any]] | None = None,
    secret_outputs: Mapping[str, list[str]] | None = None,
    objects: Collection[str] = (),
) -> Recording:
    """Run the layer of `stack` with this configuration (full keys), these outputs of other stacks, and these keys in the buckets."""
    monitor = _Monitor(stacks or {}, secret_outputs or {}, objects)

    def run() -> None:
        # `set_mocks` makes a root resource of its own, outside of the run, unless there is one.
        set_root_resource(pulumi.ComponentResource.__new__(pulumi.ComponentResource))
        mocks.set_mocks(
            monitor.mocks, PROJECT, stack, preview=False, monitor=monitor, organization="organization"
        )
        set_root_resource(None)  # type: ignore[arg-type]
        set_all_config(dict(config), [])
        name = parse_stack_name(stack)
        program = import_module(f"infra.layers.{name.layer.value}.program").deploy
        asyncio.run(run_in_stack(lambda: program(name)))

    # A run leaves nothing behind: the SDK's state is in context variables.
    contextvars.copy_context().run(run)
    return monitor.recording
