"""Stand-in for the Pulumi engine before the real provider: its gRPC server is asked as the engine would ask it.

AWS is moto's server on a free loopback port, empty for every test.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import botocore.session
import grpc
import moto.backends
import pytest
from google.protobuf import empty_pb2
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc
from werkzeug.serving import make_server

from simulate.lab.aws_provider.server import Provider, start
from simulate.lab.aws_provider.wire import from_struct, to_struct
from simulate.lab.aws_server import backup, cloudfront, composite_alarms, pod_identity, query_definitions

Props = dict[str, Any]
REGION = "us-east-1"


class Refused(Exception):
    """What Check says: (path, reason) each."""

    def __init__(self, failures: list[tuple[str, str]]) -> None:
        super().__init__(str(failures))
        self.failures = failures


@dataclass
class Made:
    token: str
    id: str
    inputs: Props
    outputs: Props


@dataclass
class Diffed:
    changed: bool
    replaces: list[str]
    paths: dict[str, str]  # property path -> kind
    delete_before_replace: bool


@dataclass
class Engine:
    """Each method is one request of the engine; errors are grpc.RpcError, refused inputs are Refused."""

    stub: provider_pb2_grpc.ResourceProviderStub
    endpoint: str
    _clients: dict[str, Any] = field(default_factory=dict)

    def aws(self, service: str) -> Any:
        """What somebody else would use; one client a service."""
        if service not in self._clients:
            session = botocore.session.get_session()
            self._clients[service] = session.create_client(service, REGION, endpoint_url=self.endpoint)
        return self._clients[service]

    def configure(self, **args: Any) -> None:
        self.stub.Configure(provider_pb2.ConfigureRequest(args=to_struct({"region": REGION} | args)))

    def check(self, token: str, inputs: Mapping[str, Any]) -> Props:
        answer = self.stub.Check(provider_pb2.CheckRequest(urn=urn(token), news=to_struct(inputs)))
        if answer.failures:
            raise Refused([(each.property, each.reason) for each in answer.failures])
        return from_struct(answer.inputs)

    def create(self, token: str, inputs: Mapping[str, Any]) -> Made:
        checked = self.check(token, inputs)
        answer = self.stub.Create(provider_pb2.CreateRequest(urn=urn(token), properties=to_struct(checked)))
        return Made(token, answer.id, checked, from_struct(answer.properties))

    def preview_create(self, token: str, inputs: Mapping[str, Any]) -> Props:
        properties = to_struct(self.check(token, inputs))
        request = provider_pb2.CreateRequest(urn=urn(token), properties=properties, preview=True)
        return from_struct(self.stub.Create(request).properties)

    def read(self, made: Made) -> tuple[Props, Props] | None:
        request = provider_pb2.ReadRequest(
            id=made.id,
            urn=urn(made.token),
            inputs=to_struct(made.inputs),
            properties=to_struct(made.outputs),
        )
        answer = self.stub.Read(request)
        return (from_struct(answer.inputs), from_struct(answer.properties)) if answer.id else None

    def diff(self, made: Made, news: Mapping[str, Any]) -> Diffed:
        request = provider_pb2.DiffRequest(
            id=made.id,
            urn=urn(made.token),
            olds=to_struct(made.outputs),
            old_inputs=to_struct(made.inputs),
            news=to_struct(self.check(made.token, news)),
        )
        answer = self.stub.Diff(request)
        assert answer.hasDetailedDiff
        kinds = provider_pb2.PropertyDiff.Kind
        return Diffed(
            answer.changes == provider_pb2.DiffResponse.DIFF_SOME,
            list(answer.replaces),
            {path: kinds.Name(each.kind) for path, each in answer.detailedDiff.items()},
            answer.deleteBeforeReplace,
        )

    def update(self, made: Made, news: Mapping[str, Any], *, preview: bool = False) -> Made:
        checked = self.check(made.token, news)
        request = provider_pb2.UpdateRequest(
            id=made.id,
            urn=urn(made.token),
            olds=to_struct(made.outputs),
            old_inputs=to_struct(made.inputs),
            news=to_struct(checked),
            preview=preview,
        )
        return Made(made.token, made.id, checked, from_struct(self.stub.Update(request).properties))

    def delete(self, made: Made) -> None:
        self.stub.Delete(
            provider_pb2.DeleteRequest(
                id=made.id,
                urn=urn(made.token),
                properties=to_struct(made.outputs),
                old_inputs=to_struct(made.inputs),
            )
        )

    def invoke(self, token: str, args: Mapping[str, Any]) -> Props:
        answer = self.stub.Invoke(provider_pb2.InvokeRequest(tok=token, args=to_struct(args)))
        if answer.failures:
            raise Refused([(each.property, each.reason) for each in answer.failures])
        return from_struct(getattr(answer, "return"))


def urn(token: str) -> str:
    return f"urn:pulumi:test::project::simple378:some:Component${token}::name"


@contextmanager
def aws_server(*, managed_policies: bool = False) -> Iterator[str]:
    """`managed_policies`: IAM has the policies that AWS manages."""
    with pytest.MonkeyPatch.context() as patch:
        # Catalogues that would be made anew for every test, and its own modules, looked for at every request.
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        patch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", str(managed_policies).lower())
        modules = tuple(moto.backends.list_of_moto_modules())
        patch.setattr(moto.backends, "list_of_moto_modules", lambda: modules)
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        composite_alarms.install()
        query_definitions.install()
        yield from _serve_moto()


def _serve_moto() -> Iterator[str]:
    backup.install()
    cloudfront.install()
    pod_identity.install()
    moto_application = DomainDispatcherApplication(create_backend_app)
    lock = threading.Lock()

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        with lock:  # as in the lab: moto's models are not made for threads
            return moto_application(environ, start_response)

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def served(endpoint: str) -> Iterator[Engine]:
    """A configured provider."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        server, port = start(Provider())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            engine = Engine(provider_pb2_grpc.ResourceProviderStub(channel), endpoint)
            engine.configure()
            yield engine
            engine.stub.Cancel(empty_pb2.Empty())
        server.stop(grace=None).wait()
