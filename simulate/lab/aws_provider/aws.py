"""Calls to AWS's API through botocore, at the endpoint of the lab.

Clients are made once per service and region; making one is not thread-safe, using one is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import botocore.config
import botocore.exceptions
import botocore.loaders
import botocore.model
import botocore.session


class ProviderError(Exception):
    """An error whose message the engine shows to the user."""


class ApiError(ProviderError):
    def __init__(self, op: str, code: str, message: str) -> None:
        super().__init__(f"{op}: {code}: {message}")
        self.code = code


class Cancelled(ProviderError):
    def __init__(self) -> None:
        super().__init__("cancelled while waiting for AWS")


POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    region: str
    endpoint: str
    default_tags: tuple[tuple[str, str], ...] = ()


def endpoint_from_environment() -> str:
    """The lab's endpoint.

    Raises ProviderError when there is none, or it is AWS itself: this stand-in must never touch a real account.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    host = urlsplit(endpoint).hostname or ""
    if not host:
        raise ProviderError(
            "this pulumi-resource-aws is the lab's stand-in for pulumi-aws and works only with AWS_ENDPOINT_URL set, as it "
            "is inside `simulate lab shell`; for a real account install the official plugin and set "
            "PULUMI_IGNORE_AMBIENT_PLUGINS=true"
        )
    if host.endswith(("amazonaws.com", "amazonaws.com.cn", "api.aws")):
        raise ProviderError(
            f"AWS_ENDPOINT_URL {endpoint} is AWS itself; the lab's stand-in for pulumi-aws refuses it"
        )
    return endpoint


# Shared with the clients, so that a service's model is read once.
_loader = botocore.loaders.create_loader()


class Aws:
    def __init__(self, config: ProviderConfig) -> None:
        self.config = config
        self._session = botocore.session.get_session()
        self._session.register_component("data_loader", _loader)
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        self._cancelled.set()

    def client(self, service: str, region: str) -> Any:
        with self._lock:
            made = self._clients.get((service, region))
            if made is None:
                made = self._clients[service, region] = self._session.create_client(
                    service,
                    region_name=region,
                    endpoint_url=self.config.endpoint,
                    config=botocore.config.Config(
                        connect_timeout=5,
                        read_timeout=60,
                        max_pool_connections=32,
                        retries={"mode": "standard", "max_attempts": 4},
                    ),
                )
            return made

    def scope(self, service: str, region: str | None = None) -> Scope:
        return Scope(self, service, region or self.config.region)

    def wait(self, what: str, done: Callable[[], bool], timeout: float) -> None:
        """Polls until `done`; raises ProviderError after `timeout` seconds, Cancelled at once on Ctrl-C."""
        waited = 0.0
        while not done():
            if waited >= timeout:
                raise ProviderError(f"{what}: not ready after {timeout:g} s")
            if self._cancelled.wait(POLL_SECONDS):
                raise Cancelled
            waited += POLL_SECONDS


@dataclass(frozen=True, slots=True)
class Scope:
    """One service in one region."""

    aws: Aws
    service: str
    region: str

    def call(self, op: str, **params: Any) -> dict[str, Any]:
        try:
            result: dict[str, Any] = getattr(self.aws.client(self.service, self.region), op)(**params)
        except botocore.exceptions.ClientError as error:
            details = error.response.get("Error", {})
            raise ApiError(op, str(details.get("Code", "")), str(details.get("Message", ""))) from error
        except botocore.exceptions.ParamValidationError as error:
            raise ProviderError(f"{op}: {error}") from error
        except botocore.exceptions.BotoCoreError as error:
            raise ProviderError(f"{op} at {self.aws.config.endpoint}: {error}") from error
        result.pop("ResponseMetadata", None)
        return result

    def other(self, service: str) -> Scope:
        return Scope(self.aws, service, self.region)

    def account(self) -> str:
        return str(self.other("sts").call("get_caller_identity")["Account"])


_models: dict[str, botocore.model.ServiceModel] = {}
_models_lock = threading.Lock()


def input_shape(service: str, op: str) -> botocore.model.StructureShape | None:
    """The shape of an operation's parameters; `op` is the Python name, such as create_rule."""
    with _models_lock:
        model = _models.get(service)
        if model is None:
            model = _models[service] = botocore.model.ServiceModel(
                _loader.load_service_model(service, "service-2"), service
            )
    wanted = op.replace("_", "").lower()
    for name in model.operation_names:
        if name.lower() == wanted:
            shape: botocore.model.StructureShape | None = model.operation_model(name).input_shape
            return shape
    raise ProviderError(f"AWS's service model of {service} has no operation {op}")
