"""Follows the journal of a running rollout and reports what happens in it, a line for each event of interest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rollout.journal import Record, parse_record

_REPORTED = ("set_weight", "hold", "bake", "promote", "prepare_rollback", "raise_rate_limit")


@dataclass(slots=True)
class Follower:
    """Reads what was appended since the last look; a line still being written waits for the next."""

    path: Path
    report: Callable[[str], None]
    first_traffic: Callable[[], None] = lambda: None
    _read: int = 0
    _number: int = 0
    _begun: bool = field(default=False)

    def look(self) -> None:
        """Raises :class:`rollout.journal.JournalError` for a line that is no record."""
        for record in self._new():
            self._report(record)

    def _new(self) -> list[Record]:
        if not self.path.exists():
            return []
        with self.path.open("rb") as journal:
            journal.seek(self._read)
            data = journal.read()
        data = data[: data.rfind(b"\n") + 1]
        self._read += len(data)
        records = []
        for line in data.splitlines():
            self._number += 1
            records.append(parse_record(line.decode(), f"{self.path}: line {self._number}"))
        return records

    def _report(self, record: Record) -> None:
        body = record.body
        if record.kind == "event" and body.get("event") == "traffic":
            self.report(f"{record.t:6.1f} s  the candidate has {body['weight']:g} % of the traffic")
            if body["weight"] and not self._begun:
                self._begun = True
                self.first_traffic()
        elif record.kind == "decision":
            if body["decision"] == "finish":
                self.report(f"{record.t:6.1f} s  {body['outcome']}: {body['reason']}")
            elif body["decision"] in _REPORTED:
                weight = f" {body['weight']:g} %" if body.get("weight") is not None else ""
                what = str(body["decision"]).replace("_", " ")
                self.report(f"{record.t:6.1f} s  {what}{weight}: {body['reason']}")
