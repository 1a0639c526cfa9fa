"""Text for terminals of any width: tables stack, and no word is broken."""

from __future__ import annotations

import pytest

from simulate.commands.table import table

HEADS = ("risk", "promoted", "rolled back", "unsafe, min")
ROWS = (
    ("1 migration-failure\n  30 % of the nights", "12.5 %\n1.2 to 30.1", "87.5 %", "12,345"),
    ("none", "0 %"),
)


@pytest.mark.parametrize(("columns", "blocks"), [("80", 1), ("55", 2), ("40", 3), ("10", 3)])
def test_columns_that_do_not_fit_follow_below(
    columns: str, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = list(table(HEADS, ROWS))
    assert lines.count("") == blocks - 1
    assert sum(line.startswith("1 migration-failure") for line in lines) == blocks
    text = "\n".join(lines)
    assert all(head in text for head in HEADS)
    assert "1.2 to 30.1" in text and "12,345" in text
    if columns != "10":
        assert max(map(len, lines)) <= int(columns)


def test_numbers_are_aligned_to_the_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    head, first, *_ = table(("load", "lost"), [("10 %", "0 %"), ("100 %", "12.5 %")])
    assert head == "load     lost"
    assert first == "10 %      0 %"
