"""Turns the fault switches of the lab's cloud on and off."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from simulate.lab.faults import SWITCH_NAMES
from simulate.lab.layout import AWS_ENDPOINT

_NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})


class SwitchFailed(RuntimeError):
    """The lab's cloud did not accept a fault switch; the message is its reason."""


@dataclass(frozen=True, slots=True)
class Switchboard:
    """Turns the lab's fault switches on and off. ``endpoint`` is the lab's AWS server."""

    endpoint: str = AWS_ENDPOINT

    def inject(self, name: str, settings: Mapping[str, Any] = _NO_SETTINGS) -> None:
        """``targets-unreachable`` needs ``{"target_group": ARN}``, ``metrics-failing`` takes ``{"code": ...}``."""
        self._send("PUT", name, json.dumps(dict(settings)).encode())

    def clear(self, name: str) -> None:
        self._send("DELETE", name, None)

    def clear_all(self) -> None:
        for name in SWITCH_NAMES:
            self.clear(name)

    def _send(self, method: str, name: str, body: bytes | None) -> None:
        request = urllib.request.Request(f"{self.endpoint}/lab/faults/{name}", data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10):
                pass
        except urllib.error.HTTPError as error:
            raise SwitchFailed(f"switch {name}: {error.read().decode(errors='replace')}") from None
        except OSError as error:
            raise SwitchFailed(
                f"switch {name}: the lab's AWS server at {self.endpoint} does not answer: {error}"
            ) from None
