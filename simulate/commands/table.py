"""Tables as text that never break a word: columns that do not fit the terminal follow below, in a second block."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from simulate.commands.output import width

_GAP = 2  # columns of space


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[int] = (0,)) -> Iterator[str]:
    """The lines of a table; each block begins with the first column.

    A cell may have several lines; rows may be short. ``left``: numbers of the columns that are not aligned to the right.
    """
    cells = [[cell.split("\n") for cell in (*row, *[""] * (len(heads) - len(row)))] for row in (heads, *rows)]
    widths = [max(len(line) for row in cells for line in row[k]) for k in range(len(heads))]
    for number, block in enumerate(_blocks(widths)):
        if number:
            yield ""
        for row in cells:
            for line in range(max(len(row[k]) for k in block)):
                texts = (
                    f"{row[k][line] if line < len(row[k]) else '':{'<' if k in left else '>'}{widths[k]}}"
                    for k in block
                )
                yield (" " * _GAP).join(texts).rstrip()


def _blocks(widths: Sequence[int]) -> list[list[int]]:
    """Numbers of the columns that stand side by side."""
    blocks, used = [[0]], widths[0]
    for column, own in enumerate(widths[1:], 1):
        if used + _GAP + own > width() and len(blocks[-1]) > 1:
            blocks.append([0])
            used = widths[0]
        blocks[-1].append(column)
        used += _GAP + own
    return blocks
