"""The provider's configuration (`aws:` keys): accepted, or refused by name. Only keys that switch off checks of the official
provider are ignored, as this one does not make them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from .aws import ProviderConfig, ProviderError, endpoint_from_environment
from .spec import Failure, Props

_TAKEN = {"region", "defaultTags"}
_MEANINGLESS_HERE = {
    "skipCredentialsValidation",
    "skipMetadataApiCheck",
    "skipRegionValidation",
    "skipRequestingAccountId",
    "version",  # of the SDK
}


def check_config(news: Props) -> list[Failure]:
    failures = [
        Failure(
            name,
            "is not served by the lab's stand-in for pulumi-aws, which takes endpoint and keys from AWS_* variables",
        )
        for name in sorted(news)
        if name not in _TAKEN | _MEANINGLESS_HERE and not name.startswith("__")
    ]
    try:
        _default_tags(news)
    except ProviderError as error:
        failures.append(Failure("defaultTags", str(error)))
    return failures


def configured(args: Props) -> ProviderConfig:
    """Raises ProviderError where the lab cannot be reached by them."""
    region = args.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not isinstance(region, str):
        raise ProviderError("no region: set aws:region in the stack's configuration, or AWS_REGION")
    return ProviderConfig(region, endpoint_from_environment(), _default_tags(args))


def _default_tags(args: Props) -> tuple[tuple[str, str], ...]:
    """Structured configuration comes as a JSON document."""
    given: Any = args.get("defaultTags")
    if given is None:
        return ()
    try:
        document = json.loads(given) if isinstance(given, str) else given
    except ValueError as error:
        raise ProviderError(f"is no JSON document: {error}") from error
    if (
        not isinstance(document, Mapping)
        or set(document) != {"tags"}
        or not isinstance(document["tags"], Mapping)
    ):
        raise ProviderError('must be {"tags": {name: value}}')
    return tuple(sorted((str(name), str(value)) for name, value in document["tags"].items()))
