"""The switch ``calls-failing``: one action of a service with the query protocol (ELBv2, SNS) is refused, as when AWS throttles it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from simulate.lab.aws_server.switches import SWITCHES

_ERROR = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>{0}</Code><Message>{1}</Message></Error>"
    "<RequestId>lab</RequestId></ErrorResponse>"
)
_MESSAGES = {"Throttling": "Rate exceeded"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """``status`` is the HTTP one, such as 400."""

    status: int
    code: str


def refusal(service: str, action: str) -> Refusal | None:
    """What the switch says of a call; its settings are ``service``, ``action``, ``code`` and ``status``."""
    switched = SWITCHES.active("calls-failing")
    if switched is None or (switched.get("service"), switched.get("action")) != (service, action):
        return None
    return Refusal(int(switched.get("status", 400)), str(switched.get("code", "Throttling")))


def answer(refused: Refusal, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The WSGI answer."""
    text = _ERROR.format(refused.code, _MESSAGES.get(refused.code, "switched to fail in the lab"))
    payload = text.encode()
    start_response(
        f"{refused.status} Refused", [("Content-Type", "text/xml"), ("Content-Length", str(len(payload)))]
    )
    return [payload]
