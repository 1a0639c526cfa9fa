"""Why a call of AWS failed, as one sentence: the call, the resource, and the fix where there is one.

>>> denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ModifyRule")
>>> failure(denied, "elasticloadbalancing:ModifyRule", "rule arn:1")
'elasticloadbalancing:ModifyRule of rule arn:1 failed: access denied (no); the role of these credentials needs that right'
"""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as NoConnectionError,
)

from rollout.control.text import one_line

AWS_ERRORS = (BotoCoreError, ClientError)
LOG_IN = "log in, or set AWS_PROFILE or AWS_ACCESS_KEY_ID"
_NO_LOGIN = (
    CredentialRetrievalError, NoCredentialsError, PartialCredentialsError, SSOError, TokenRetrievalError,
)  # fmt: skip
# What services answer, by their API references ("Common errors") and botocore's own list of throttling codes.
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_INVALID = (
    "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch", "UnrecognizedClientException",
)  # fmt: skip
_DENIED = (
    "AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException",
    "UnauthorizedOperation",
)  # fmt: skip
_THROTTLED = (
    "RequestLimitExceeded", "Throttled", "ThrottledException", "Throttling", "ThrottlingException",
    "TooManyRequestsException",
)  # fmt: skip


def failure(error: Exception, action: str, resource: str) -> str:
    """``action`` is named as IAM names it, so that whoever lacks the right can look for it."""
    return f"{action} of {resource} failed: {one_line(_why(error), 500)}"


def _why(error: Exception) -> str:
    if isinstance(error, _NO_LOGIN):
        return f"there are no usable AWS credentials ({error}); {LOG_IN}"
    if isinstance(error, (NoConnectionError, HTTPClientError)):
        return f"no answer ({error}); check this machine's network and the region"
    if not isinstance(error, ClientError):
        return str(error) or type(error).__name__
    code, message = (error.response.get("Error", {}).get(key, "") for key in ("Code", "Message"))
    if code in _EXPIRED:
        return f"the AWS credentials have expired ({message}); {LOG_IN}"
    if code in _INVALID:
        return f"AWS does not accept the credentials ({code}: {message}); {LOG_IN}"
    if code in _DENIED:
        return f"access denied ({message}); the role of these credentials needs that right"
    if code in _THROTTLED:
        return f"throttled ({code}: {message}); something calls this API too often in this account and region"
    return f"{code}: {message}".rstrip(": ")
