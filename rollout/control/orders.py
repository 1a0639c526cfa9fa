"""An operator's order as one line of text, as a controller takes it and a mark carries it: ``abort --stop --reason orders are lost``."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.control.text import one_line

_FLAGS = {True: "--stop", False: "--keep"}
_REASON = " --reason "


@dataclass(frozen=True, slots=True)
class Order:
    """``stop``: whether the candidate's pods go as soon as it has no traffic; ``None``: after a verified end."""

    command: str  # pause, resume or abort
    stop: bool | None = None
    reason: str = ""

    def __str__(self) -> str:
        flags = f" {_FLAGS[self.stop]}" if self.stop is not None else ""
        return f"{self.command}{flags}" + (f"{_REASON}{one_line(self.reason)}" if self.reason else "")

    @classmethod
    def parse(cls, text: str) -> Order:
        """What another process wrote; a flag that this version does not know is passed over."""
        head, _, reason = text.partition(_REASON)
        command, *flags = head.split()
        stop = next((known for known, flag in _FLAGS.items() if flag in flags), None)
        return cls(command, stop, reason)
