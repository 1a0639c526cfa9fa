"""The provider's configuration (`aws:` keys): taken, or refused by name. Nothing is ignored but what asks the official
provider to leave out a check that this one never makes."""

from __future__ import annotations

import os

from .aws import ProviderError, Settings, endpoint_from_environment
from .spec import Failure, Props

_TAKEN = {"region"}
_MEANINGLESS_HERE = {
    "skipCredentialsValidation",
    "skipMetadataApiCheck",
    "skipRegionValidation",
    "skipRequestingAccountId",
    "version",  # of the SDK
}


def check_config(news: Props) -> list[Failure]:
    return [
        Failure(
            name,
            "is not served by the lab's stand-in for pulumi-aws, which takes endpoint and keys from AWS_* variables",
        )
        for name in sorted(news)
        if name not in _TAKEN | _MEANINGLESS_HERE and not name.startswith("__")
    ]


def configured(args: Props) -> Settings:
    """Raises ProviderError where the lab cannot be reached by them."""
    region = args.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not isinstance(region, str):
        raise ProviderError("no region: set aws:region in the stack's configuration, or AWS_REGION")
    return Settings(region, endpoint_from_environment())
