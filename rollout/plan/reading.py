"""Reading a plan file: every mistake in it at once, each with its line, its key as people count, and the fix.

Reading is strict: an unknown or repeated key, a weight that does not rise or a duration beyond its bounds is a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml

from rollout.plan.marks import Duration, Key, Number, keys
from rollout.plan.plan import (
    LONGEST_LOOK,
    WHOLE,
    BackTo,
    HealthRule,
    Limit,
    Plan,
    RateLimitRule,
    Rollback,
    WarmUp,
)
from rollout.plan.units import duration

BUILT_IN = ("phase-c", "tuned")


class PlanError(ValueError):
    """A plan cannot be used; the message names the file and each mistake with its line, its key and what it takes."""


def plan_text(name_or_path: str) -> tuple[str, str]:
    """The YAML text of a plan file or of a plan that ships (``phase-c``), and the name to call it by in messages."""
    if name_or_path in BUILT_IN:
        return files("rollout").joinpath(f"plans/{name_or_path}.yaml").read_text(), f"{name_or_path}.yaml"
    try:
        return Path(name_or_path).read_text(), name_or_path
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(BUILT_IN)
        problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        meant = get_close_matches(name_or_path, BUILT_IN, n=1)
        fix = f"did you mean {meant[0]}?" if meant else f"give a file, or one of: {known}"
        raise PlanError(f"{name_or_path}: cannot read this plan: {problem}; {fix}") from None


def load_plan(name_or_path: str) -> Plan:
    """Reads a plan file, or a plan that ships by its name. Raises :class:`PlanError`.

    >>> load_plan("phase-c").stages[0]
    Stage(weight=5, window=120.0)
    """
    text, source = plan_text(name_or_path)
    return parse_plan(text, source)


def parse_plan(text: str, source: str = "plan") -> Plan:
    """Reads a plan from its YAML text. Raises :class:`PlanError`; ``source`` names the text in it."""
    try:
        reader = _Reader(text)
        plan = reader.plan()
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise PlanError(f"{source}: {line}not readable as YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise PlanError(f"{source}: not readable as YAML: {' '.join(str(error).split())}") from None
    mistakes = sorted(reader.mistakes, key=lambda mistake: mistake.line)
    if len(mistakes) > 1:
        listed = "".join(f"\n  {mistake}" for mistake in mistakes)
        raise PlanError(f"{source}: {len(mistakes)} mistakes{listed}")
    if mistakes or plan is None:
        raise PlanError(f"{source}: {mistakes[0]}")
    return plan


@dataclass(frozen=True, slots=True)
class _Mistake:
    line: int  # from 1
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


_BAD: Any = object()  # in place of what could not be read
_LONGEST = 40  # characters of a value that a message repeats


class _Reader:
    """Walks the nodes of a YAML text along the fields of a plan, and collects what is wrong on the way."""

    def __init__(self, text: str) -> None:
        self._loader = yaml.SafeLoader(text)
        self.mistakes: list[_Mistake] = []

    def plan(self) -> Plan | None:
        """The plan, or ``None`` when there are mistakes."""
        node = self._loader.get_single_node()
        if isinstance(node, yaml.MappingNode):
            plan: Plan = self._part(Plan, None, node, "")
            return None if self.mistakes else plan
        line = node.start_mark.line + 1 if node else 1
        self.mistakes.append(_Mistake(line, f"a plan is a mapping with the keys {', '.join(keys(Plan))}"))
        return None

    def _fail(self, node: yaml.Node, key: str, problem: str) -> Any:
        self.mistakes.append(_Mistake(node.start_mark.line + 1, f"{key}{problem}"))
        return _BAD

    def _part(self, form: type, mark: Any, node: yaml.Node, path: str) -> Any:
        """A part of the plan from its mapping, or ``_BAD``."""
        if not isinstance(node, yaml.MappingNode):
            return self._fail(
                node,
                path,
                f" is {_shown(node)}: it takes a mapping with the keys {', '.join(keys(form, mark))}",
            )
        before, known = len(self.mistakes), keys(form, mark)
        nodes = self._entries(node, path)
        unknown = [name for name in nodes if name not in known]
        missing = [name for name, key in known.items() if key.required and name not in nodes]
        for name in unknown:
            meant = get_close_matches(name, [one for one in known if one not in nodes], n=1, cutoff=0.5)
            missing = [one for one in missing if one not in meant]  # a misspelt key is one mistake, not two
            fix = f"did you mean {meant[0]}?" if meant else f"the keys here are {', '.join(known)}"
            self._fail(nodes[name][0], _join(path, name), f": unknown key; {fix}")
        for name in missing:
            self._fail(node, _join(path, name), f": this key is missing{_phase_c(_join(path, name))}")
        values = {
            name: self._value(known[name], value, _join(path, name))
            for name, (_, value) in nodes.items()
            if name in known
        }
        values = {name: value for name, value in values.items() if value is not _BAD}
        check = _CHECKS.get(form)
        for name, problem in check(values) if check else ():
            self._fail(_at(node, name), _join(path, name), problem)
        return form(**values) if len(self.mistakes) == before else _BAD

    def _entries(self, node: yaml.MappingNode, path: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The nodes of key and value by name, of which none may appear twice."""
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._fail(key, path, f"{': ' if path else ''}a key is a plain word")
            elif key.value in first:
                self._fail(
                    key,
                    path,
                    f"{': ' if path else ''}key '{key.value}' appears twice, first on line {first[key.value]}",
                )
            else:
                first[key.value] = key.start_mark.line + 1
        self._loader.flatten_mapping(node)
        return {key.value: (key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}

    def _value(self, key: Key, node: yaml.Node, path: str) -> Any:
        """What one key holds, or ``_BAD``."""
        if _is_null(node):
            return self._fail(node, path, ": this key has no value; give one or remove it")
        if is_dataclass(key.kind):
            return self._part(key.kind, key.mark, node, path)  # type: ignore[arg-type] # a class
        if get_origin(key.kind) is tuple:
            return self._parts(get_args(key.kind)[0], node, path)
        if get_origin(key.kind) is Mapping:
            return self._alarms(node, path)
        try:
            return _scalar(key, self._loader.construct_object(node, deep=True))
        except (ValueError, OverflowError) as error:
            return self._fail(node, path, f" is {_shown(node)}: {error}")

    def _parts(self, form: type, node: yaml.Node, path: str) -> Any:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            return self._fail(node, path, f" is {_shown(node)}: it takes a list of at least one")
        parts = [self._part(form, None, one, f"{path}.{n}") for n, one in enumerate(node.value, start=1)]
        return _BAD if _BAD in parts else tuple(parts)

    def _alarms(self, node: yaml.Node, path: str) -> Any:
        if not isinstance(node, yaml.MappingNode):
            return self._fail(node, path, f" is {_shown(node)}: it takes a mapping of alarm names")
        action = Key(Rollback, None, None)
        found = {
            name: self._value(action, value, _join(path, name))
            for name, (_, value) in self._entries(node, path).items()
        }
        return _BAD if _BAD in found.values() else found


def _scalar(key: Key, value: object) -> object:
    """What a key without keys of its own holds. Raises ``ValueError`` with what it takes."""
    if isinstance(key.mark, Duration):
        return key.mark.check(value)
    if isinstance(key.mark, Number):
        return key.mark.check(value, whole=key.kind is int)
    if key.kind is str:
        if not isinstance(value, str) or not value:
            raise ValueError("it takes text; put it in quotes")
        return value
    if value in tuple(Rollback):
        return Rollback(str(value))
    if key.kind is Rollback:
        raise ValueError(f"it takes {', '.join(Rollback)}")
    if isinstance(value, dict) and set(value) == {"to"}:
        weight = value["to"]
        if type(weight) is int and 0 <= weight <= WHOLE:
            return BackTo(weight)
    raise ValueError(f"it takes {', '.join(Rollback)} or {{to: WEIGHT}}, with the weight of a stage or 0")


# --- what must fit together: the key at fault (below the part's own) and the problem


def _check_limit(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "of" in given and given["of"] < given.get("breaches", 1):
        yield (
            "of",
            f" is {given['of']} and breaches is {given['breaches']}: so many of so few periods can never be beyond the limit",
        )


def _check_health(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    names = [name for name in ("alert_after", "prepare_after", "abort_after") if name in given]
    for one, other in pairwise(names):
        if given[other] < given[one]:
            yield (
                other,
                f" is {given[other]}, below {one}, which is {given[one]}: alert, prepare, abort come in this order",
            )


def _check_rate_limit(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if {"cap", "initial"} <= given.keys() and given["cap"] < given["initial"]:
        yield "cap", f" is {given['cap']}: it must not be below initial, which is {given['initial']}"


def _check_warm_up(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "path" in given and not given["path"].startswith("/"):
        yield "path", f" is {given['path']}: a path begins with /"


def _check_plan(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _check_looks(given)
    if "stages" not in given:
        return
    weights = [stage.weight for stage in given["stages"]]
    for number, (low, high) in enumerate(pairwise(weights), start=2):
        if high <= low:
            yield f"stages.{number}.weight", f" is {high} after {low}: weights must rise from stage to stage"
    if weights[-1] != WHOLE:
        yield f"stages.{len(weights)}.weight", f" is {weights[-1]}: the last stage must be {WHOLE}"
    criteria = given.get("criteria")
    for name in keys(type(criteria)) if criteria else ():
        back = getattr(getattr(criteria, name), "rollback", None)
        if isinstance(back, BackTo) and back.to not in (0, *weights):
            stages = ", ".join(str(weight) for weight in weights)
            yield (
                f"criteria.{name}.rollback.to",
                f" is {back.to}: it takes the weight of a stage ({stages}) or 0",
            )


def _check_looks(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if {"metrics", "verification"} <= given.keys():
        most = LONGEST_LOOK * given["metrics"].period
        if given["verification"].watch > most:
            yield (
                "verification.watch",
                f" is {duration(given['verification'].watch)}: it takes at most {LONGEST_LOOK} periods, {duration(most)}",
            )


_Check = Callable[[Mapping[str, Any]], Iterator[tuple[str, str]]]
_CHECKS: Mapping[type, _Check] = {
    Limit: _check_limit,
    HealthRule: _check_health,
    RateLimitRule: _check_rate_limit,
    Plan: _check_plan,
    WarmUp: _check_warm_up,
}


def _phase_c(path: str) -> str:
    """What phase-c has for a key that is missing, as the fix that a message ends with."""
    value = yaml.safe_load(plan_text("phase-c")[0])
    for part in path.split("."):
        try:
            value = value[int(part) - 1] if isinstance(value, list) else value[part]
        except (LookupError, TypeError):
            return ""  # a part that phase-c does not have
    return "; copy it from phase-c" if isinstance(value, dict | list) else f"; phase-c has {value}"


# --- nodes of YAML


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _at(node: yaml.Node, path: str) -> yaml.Node:
    """The node at this path below another one."""
    for part in path.split("."):
        if isinstance(node, yaml.SequenceNode):
            node = node.value[int(part) - 1]
        else:
            node = next(value for key, value in node.value if key.value == part)
    return node


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def _shown(node: yaml.Node) -> str:
    """A value as it was written."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list" if node.value else "an empty list"
    if _is_null(node):
        return "empty"
    text = node.value if len(node.value) <= _LONGEST else f"{node.value[:_LONGEST]}..."
    return repr(text) if node.tag == "tag:yaml.org,2002:str" else str(text)
