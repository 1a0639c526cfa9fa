"""What an update would change, property by property, and whether AWS needs a new resource for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from .convert import pair, same
from .spec import Block, ListOf, MapOf, Mode, Props, ResourceType, Type, Value


class Change(Enum):
    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class PropertyChange:
    path: str
    change: Change
    replace: bool

    @property
    def name(self) -> str:
        """The top-level property."""
        return self.path.split(".", 1)[0].split("[", 1)[0]


@dataclass(frozen=True, slots=True)
class Difference:
    changes: tuple[PropertyChange, ...]
    delete_before_replace: bool

    @property
    def replaces(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(change.name for change in self.changes if change.replace))

    @property
    def names(self) -> frozenset[str]:
        return frozenset(change.name for change in self.changes)


def compare(entry: ResourceType, olds: Props, news: Props) -> Difference:
    """`olds` and `news` are checked inputs."""
    changes: list[PropertyChange] = []
    _block(entry.block, olds, news, "", False, changes)
    collides = bool(entry.unique) and all(
        olds.get(name) == news.get(name) is not None for name in entry.unique
    )
    return Difference(tuple(changes), collides and any(change.replace for change in changes))


def _block(
    block: Block, olds: Props, news: Props, path: str, replace: bool, changes: list[PropertyChange]
) -> None:
    for field in block.fields:
        if field.mode is Mode.OUTPUT:
            continue
        old, new = olds.get(field.name), news.get(field.name)
        here = f"{path}.{field.name}" if path else field.name
        if new is None and field.mode is Mode.EITHER:
            continue  # no longer declared: whatever AWS chooses is accepted
        _value(field.type, old, new, here, replace or field.replace, changes)


def _value(
    kind: Type, old: Value, new: Value, path: str, replace: bool, changes: list[PropertyChange]
) -> None:
    if (old is None and new is None) or same(kind, old, new):
        return
    match kind:
        case Block() if isinstance(old, Mapping) and isinstance(new, Mapping):
            _block(kind, old, new, path, replace, changes)
        case ListOf() if isinstance(old, list) and isinstance(new, list):
            for before, after in pair(kind, old, new):
                index = after if after is not None else before
                _value(
                    kind.item,
                    None if before is None else old[before],
                    None if after is None else new[after],
                    f"{path}[{index}]",
                    replace,
                    changes,
                )
        case MapOf() if isinstance(old, Mapping) and isinstance(new, Mapping):
            for key in sorted(old.keys() | new.keys()):
                quoted = f'{path}["{key}"]' if "." in key or ":" in key or "/" in key else f"{path}.{key}"
                _value(kind.item, old.get(key), new.get(key), quoted, replace, changes)
        case _:
            change = Change.ADD if old is None else Change.DELETE if new is None else Change.UPDATE
            changes.append(PropertyChange(path, change, replace))
