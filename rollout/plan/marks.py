"""What a key of a plan takes: marks beside the fields (``Annotated``), which reading, writing, scaling and the schema follow."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from rollout.plan.units import seconds, written

_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class Number:
    """A number from ``least`` to ``most``; ``between``: neither of them itself."""

    least: float
    most: float
    between: bool = False

    def check(self, value: object, whole: bool) -> float:
        """The number. Raises ``ValueError`` with what the key takes."""
        least, most = f"{self.least:,.10g}", f"{self.most:,.10g}"
        limits = f"above {least} and below {most}" if self.between else f"from {least} to {most}"
        takes = f"it takes a {'whole ' if whole else ''}number {limits}"
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or (whole and not isinstance(value, int))
            or not self.least <= value <= self.most
            or (self.between and value in (self.least, self.most))
        ):
            raise ValueError(takes)
        return value if whole else float(value)


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, above 0 (or 0 with ``zero``), up to ``most``. ``scales``: a rehearsal with ``--time-scale`` shortens it."""

    most: float
    zero: bool = False
    scales: bool = True

    def check(self, value: object) -> float:
        """The seconds. Raises ``ValueError`` with what the key takes."""
        found = seconds(value)
        if found == 0 and not self.zero:
            raise ValueError("this duration must be more than 0")
        if found > self.most:
            plain = not isinstance(value, str) or value.removesuffix("s").strip().isdigit()
            meant = f"; did you mean {found:.0f}ms?" if plain and found <= 1000 * self.most else ""
            bare = "" if isinstance(value, str) else " (a number without a unit is seconds)"
            raise ValueError(f"it takes at most {written(self.most)}{bare}{meant}")
        return found


@dataclass(frozen=True, slots=True)
class Limited:
    """A criterion, whose ``limit`` takes this; ``only``: the keys it has, if not all."""

    limit: Number | Duration
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """A field: what it holds (without its mark and without ``None``), its mark, and its default (``MISSING``: none)."""

    kind: Any
    mark: Any
    default: Any

    @property
    def required(self) -> bool:
        return self.default is MISSING


def keys(form: Any, mark: Any = None) -> dict[str, Key]:
    """The keys of a part of a plan (a class), by name; ``mark`` is the one of the key that holds the part."""
    return _keys(form, mark)


@cache
def _keys(form: Any, mark: Any) -> dict[str, Key]:
    if isinstance(mark, Limited):
        own = keys(form) | {"limit": replace(keys(form)["limit"], mark=mark.limit)}
        return {name: own[name] for name in mark.only or own}
    hints = get_type_hints(form, include_extras=True)
    found = {}
    for field in fields(form):
        kind, mark = hints[field.name], None
        if get_origin(kind) is Annotated:
            kind, mark = get_args(kind)
        if get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind):
            (kind,) = (one for one in get_args(kind) if one is not NoneType)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        found[field.name] = Key(kind, mark, default)
    return found


def shortened(part: _Part, factor: float) -> _Part:
    """The part with every duration that scales divided by ``factor``."""
    changes = {}
    form: Any = type(part)
    for name, key in keys(form).items():
        value = getattr(part, name)
        if isinstance(key.mark, Duration) and key.mark.scales:
            changes[name] = value / factor
        elif is_dataclass(value) and not isinstance(value, type):
            changes[name] = shortened(value, factor)
        elif isinstance(value, tuple):
            changes[name] = tuple(shortened(one, factor) for one in value)
    return replace(part, **changes) if changes else part  # type: ignore[type-var] # a dataclass: it has keys
