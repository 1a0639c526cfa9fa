"""What moto 5.2.5 lacks of CloudFront: functions that are changed, published and attached, and response headers policies.

They are recorded as AWS would show them, with its refusals: of what a distribution still uses, and of an ETag that is not the
newest. What a function does, and which headers a policy adds, is the edge's matter (`simulate.lab.load_balancer`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.cloudfront import urls
from moto.cloudfront.exceptions import CloudFrontException, InvalidIfMatchVersion, NoSuchFunctionExists
from moto.cloudfront.models import (
    CloudFrontBackend,
    CloudFrontFunction,
    DefaultCacheBehaviour,
    random_id,
)
from moto.cloudfront.responses import CloudFrontResponse
from moto.core.responses import ActionResult, EmptyResult

_FUNCTION = "{0}/2020-05-31/function/(?P<function_name>[^/]+)/publish$"
_POLICIES = "{0}/2020-05-31/response-headers-policy$"
_POLICY = "{0}/2020-05-31/response-headers-policy/(?P<policy_id>[^/]+)$"

_make_behaviour = DefaultCacheBehaviour.__init__


def install() -> None:
    """Adds them to moto in this process, before its application is made."""
    urls.url_paths.update(dict.fromkeys((_FUNCTION, _POLICIES, _POLICY), CloudFrontResponse.dispatch))
    setattr(DefaultCacheBehaviour, "__init__", _behaviour_with_functions)  # noqa: B010
    for method in (
        describe_function,
        update_function,
        publish_function,
        delete_function,
        create_response_headers_policy,
        get_response_headers_policy,
        update_response_headers_policy,
        delete_response_headers_policy,
    ):
        setattr(CloudFrontResponse, method.__name__, method)


def _behaviour_with_functions(self: DefaultCacheBehaviour, config: dict[str, Any]) -> None:
    _make_behaviour(self, config)
    items = (config.get("FunctionAssociations") or {}).get("Items") or []
    associations: dict[str, Any] = {"Quantity": len(items)}
    self.function_associations = associations | ({"Items": items} if items else {})


def _behaviours(backend: CloudFrontBackend) -> Iterator[DefaultCacheBehaviour]:
    for distribution in backend.distributions.values():
        config: Any = distribution.distribution_config
        yield config.DefaultCacheBehavior
        yield from config.CacheBehaviors.get("Items") or ()


def _refuse_other_etag(self: CloudFrontResponse, etag: str) -> None:
    if self._get_param("IfMatch") != etag:
        raise InvalidIfMatchVersion


# Functions ------------------------------------------------------------------------------------------------------


def _function(self: CloudFrontResponse) -> CloudFrontFunction:
    return self.backend.describe_function(name=self._get_param("Name"))


def _live_etag(function: CloudFrontFunction) -> str | None:
    return getattr(function, "live_etag", None)


def describe_function(self: CloudFrontResponse) -> ActionResult:
    function, stage = _function(self), self._get_param("Stage") or "DEVELOPMENT"
    live = _live_etag(function)
    if stage == "LIVE" and live is None:
        raise NoSuchFunctionExists(function.name)
    summary = function.function_summary
    summary["Status"] = "UNASSOCIATED" if live else "UNPUBLISHED"
    summary["FunctionMetadata"]["Stage"] = stage
    return ActionResult({"FunctionSummary": summary, "ETag": live if stage == "LIVE" else function.etag})


def update_function(self: CloudFrontResponse) -> ActionResult:
    function = _function(self)
    _refuse_other_etag(self, function.etag)
    function.config, function.code = self._get_param("FunctionConfig"), self._get_param("FunctionCode")
    function.etag = random_id()
    return ActionResult({"FunctionSummary": function.function_summary, "ETag": function.etag})


def publish_function(self: CloudFrontResponse) -> ActionResult:
    function = _function(self)
    _refuse_other_etag(self, function.etag)
    setattr(function, "live_etag", function.etag)  # noqa: B010
    return ActionResult({"FunctionSummary": function.function_summary})


def delete_function(self: CloudFrontResponse) -> EmptyResult:
    function = _function(self)
    _refuse_other_etag(self, function.etag)
    for behaviour in _behaviours(self.backend):
        attached: Any = behaviour.function_associations.get("Items") or ()
        if function.arn in {each["FunctionARN"] for each in attached}:
            raise CloudFrontException("FunctionInUse", f"The function {function.name} is in use.")
    del self.backend.functions[function.name]
    return EmptyResult()


# Response headers policies --------------------------------------------------------------------------------------


def _policies(self: CloudFrontResponse) -> dict[str, dict[str, Any]]:
    """With the backend, so that a reset of moto empties it."""
    kept: dict[str, dict[str, Any]] = self.backend.__dict__.setdefault("response_headers_policies", {})
    return kept


def _shown(policy: dict[str, Any]) -> ActionResult:
    return ActionResult({"ResponseHeadersPolicy": policy, "ETag": policy["ETag"]})


def _policy(self: CloudFrontResponse) -> dict[str, Any]:
    policy = _policies(self).get(self._get_param("Id"))
    if policy is None:
        raise CloudFrontException(
            "NoSuchResponseHeadersPolicy", "The specified response headers policy does not exist."
        )
    return policy


def create_response_headers_policy(self: CloudFrontResponse) -> ActionResult:
    config, kept = self._get_param("ResponseHeadersPolicyConfig"), _policies(self)
    if config["Name"] in {each["ResponseHeadersPolicyConfig"]["Name"] for each in kept.values()}:
        raise CloudFrontException(
            "ResponseHeadersPolicyAlreadyExists",
            "A response headers policy with this name already exists.",
        )
    policy = {"Id": random_id(), "ETag": random_id(), "LastModifiedTime": datetime.now(UTC)}
    kept[str(policy["Id"])] = policy | {"ResponseHeadersPolicyConfig": config}
    return _shown(kept[str(policy["Id"])])


def get_response_headers_policy(self: CloudFrontResponse) -> ActionResult:
    return _shown(_policy(self))


def update_response_headers_policy(self: CloudFrontResponse) -> ActionResult:
    policy = _policy(self)
    _refuse_other_etag(self, policy["ETag"])
    policy |= {
        "ResponseHeadersPolicyConfig": self._get_param("ResponseHeadersPolicyConfig"),
        "ETag": random_id(),
        "LastModifiedTime": datetime.now(UTC),
    }
    return _shown(policy)


def delete_response_headers_policy(self: CloudFrontResponse) -> EmptyResult:
    policy = _policy(self)
    _refuse_other_etag(self, policy["ETag"])
    if policy["Id"] in {each.response_headers_policy_id for each in _behaviours(self.backend)}:
        raise CloudFrontException(
            "ResponseHeadersPolicyInUse",
            "Cannot delete the response headers policy because it is attached to one or more cache behaviors.",
        )
    del _policies(self)[policy["Id"]]
    return EmptyResult()
