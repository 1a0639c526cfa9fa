"""The gRPC side: Pulumi's resource-provider protocol over the table.

The SDK's generated messages are used directly: `pulumi.provider.experimental` cannot return detailed diffs and
imports the whole SDK, which costs more than an update of one listener rule.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import replace
from importlib.metadata import version
from types import FrameType
from typing import Any, TypeVar

import grpc
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from . import invokes, tags
from .aws import Aws, ProviderError
from .check import check
from .config import check_config, configured
from .diff import Change, Difference, PropertyChange, compare
from .lifecycle import DEFAULT_TIMEOUT, Incomplete, Resource
from .spec import Failure, Props, ResourceType
from .table import resource_type
from .wire import UNKNOWN, from_struct, to_struct

WORKERS = 32  # the engine creates at most that many resources at once, unless configured otherwise

Request = TypeVar("Request")
Response = TypeVar("Response")


def answered(
    method: Callable[[Any, Request, grpc.ServicerContext], Response],
) -> Callable[[Any, Request, grpc.ServicerContext], Response]:
    """Turns an exception into a status that the engine shows as one clear message."""

    @functools.wraps(method)
    def answer(self: Any, request: Request, context: grpc.ServicerContext) -> Response:
        try:
            return method(self, request, context)
        except Incomplete as error:
            context.set_trailing_metadata((("grpc-status-details-bin", _init_failed(error)),))
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except ProviderError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        raise AssertionError("abort raises")

    return answer


def _init_failed(error: Incomplete) -> bytes:
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.id, properties=to_struct(error.outputs), inputs=to_struct(error.inputs), reasons=[str(error)]
    )
    packed = any_pb2.Any()
    packed.Pack(detail)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error), details=[packed])
    return bytes(status.SerializeToString())


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self) -> None:
        self._aws: Aws | None = None

    @property
    def aws(self) -> Aws:
        if self._aws is None:
            raise ProviderError("the provider was used before it was configured")
        return self._aws

    # The plugin -------------------------------------------------------------------------------------------------

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        return provider_pb2.ProviderHandshakeResponse()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=version("pulumi-aws"))  # of the SDK that it stands in for

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        if self._aws is not None:
            self._aws.cancel()
        return empty_pb2.Empty()

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        return _checked(from_struct(request.news), check_config(from_struct(request.news)))

    def DiffConfig(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Only another region would mean other resources; the engine must not replace them for a new endpoint."""
        olds, news = from_struct(request.old_inputs), from_struct(request.news)
        names = sorted(name for name in olds.keys() | news.keys() if olds.get(name) != news.get(name))
        changed = provider_pb2.DiffResponse.DIFF_SOME if names else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=changed, diffs=names, replaces=[n for n in names if n == "region"]
        )

    @answered
    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        self._aws = Aws(configured(from_struct(request.args)))
        return provider_pb2.ConfigureResponse(
            acceptSecrets=False, supportsPreview=True, acceptResources=False
        )

    @answered
    def Invoke(
        self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.InvokeResponse:
        result = invokes.invoke(self.aws, request.tok, from_struct(request.args))
        if isinstance(result, list):
            return provider_pb2.InvokeResponse(failures=_failures(result))
        return provider_pb2.InvokeResponse(**{"return": to_struct(result)})

    # Resources --------------------------------------------------------------------------------------------------

    @answered
    def Check(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        return _checked(
            *check(resource_type(_token(request.urn)), from_struct(request.news), self.aws.config.region)
        )

    @answered
    def Diff(
        self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        entry = resource_type(_token(request.urn))
        olds, news = from_struct(request.old_inputs), from_struct(request.news)
        difference = compare(entry, olds, news)
        if (
            self._default_tags_changed(entry, news, from_struct(request.olds))
            and "tags" not in difference.names
        ):
            retagged = PropertyChange("tagsAll", Change.UPDATE, replace=False)
            difference = replace(difference, changes=(*difference.changes, retagged))
        return _difference(difference)

    def _default_tags_changed(self, entry: ResourceType, news: Props, state: Props) -> bool:
        if entry.tags is None:
            return False
        now = tags.declared(self.aws.config.default_tags, news)
        return now is not UNKNOWN and now != (state.get("tagsAll") or {})

    @answered
    def Create(
        self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        resource, inputs = self._resource(request), from_struct(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=to_struct(resource.preview_create(inputs)))
        resource_id, outputs = resource.create(inputs)
        return provider_pb2.CreateResponse(id=resource_id, properties=to_struct(outputs))

    @answered
    def Read(
        self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        found = self._resource(request).read(
            request.id, from_struct(request.inputs), from_struct(request.properties)
        )
        if found is None:
            return provider_pb2.ReadResponse()
        inputs, outputs = found
        return provider_pb2.ReadResponse(
            id=request.id, inputs=to_struct(inputs), properties=to_struct(outputs)
        )

    @answered
    def Update(
        self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        resource = self._resource(request)
        olds, news, state = (
            from_struct(request.old_inputs),
            from_struct(request.news),
            from_struct(request.olds),
        )
        if request.preview:
            outputs = resource.preview_update(olds, news, state)
        else:
            outputs = resource.update(request.id, olds, news, state)
        return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    @answered
    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._resource(request).delete(
            request.id, from_struct(request.old_inputs), from_struct(request.properties)
        )
        return empty_pb2.Empty()

    def _resource(self, request: Any) -> Resource:
        timeout = getattr(request, "timeout", 0.0) or DEFAULT_TIMEOUT
        return Resource(resource_type(_token(request.urn)), self.aws, timeout)


def _token(urn: str) -> str:
    """urn:pulumi:<stack>::<project>::<parent type>$<type>::<name>"""
    return urn.split("::", 3)[2].rsplit("$", 1)[-1]


def _checked(inputs: Mapping[str, Any], failures: list[Failure]) -> provider_pb2.CheckResponse:
    return provider_pb2.CheckResponse(inputs=to_struct(inputs), failures=_failures(failures))


def _failures(failures: list[Failure]) -> list[provider_pb2.CheckFailure]:
    return [
        provider_pb2.CheckFailure(property=each.path, reason=f"{each.path}: {each.reason}")
        for each in failures
    ]


_KINDS = {
    (Change.ADD, False): provider_pb2.PropertyDiff.ADD,
    (Change.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Change.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (Change.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (Change.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (Change.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


def _difference(difference: Difference) -> provider_pb2.DiffResponse:
    changed = bool(difference.changes)
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
        replaces=difference.replaces,
        diffs=sorted(difference.names),
        deleteBeforeReplace=difference.delete_before_replace,
        hasDetailedDiff=True,
        detailedDiff={
            change.path: provider_pb2.PropertyDiff(kind=_KINDS[change.change, change.replace], inputDiff=True)
            for change in difference.changes
        },
    )


def start(provider: Provider) -> tuple[grpc.Server, int]:
    """A server on a free loopback port."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=WORKERS),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def serve() -> None:
    """Runs until the engine ends this process, or has ended itself without doing so."""
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    parent = os.getppid()
    provider = Provider()
    server, port = start(provider)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while not ended.wait(1.0) and os.getppid() == parent:
        pass
    provider.Cancel(empty_pb2.Empty(), None)
    server.stop(grace=2.0).wait()
    # No join of worker threads: a call that hangs must not keep the process.
    os._exit(0)
