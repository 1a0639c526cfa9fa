"""The provider's table says of each type what pulumi-aws says: what plans here, plans with the official provider."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from simulate.lab.aws_provider.spec import Block, Field, ListOf, MapOf, Mode, Scalar, Type
from simulate.lab.aws_provider.table import TOKENS, resource_type
from tests.simulate.lab.aws_provider import pulumi_aws_sdk as sdk

_SCALARS = {
    Scalar.STRING: (str,),
    Scalar.INTEGER: (int,),
    Scalar.NUMBER: (float,),
    Scalar.BOOLEAN: (bool,),
    Scalar.ARCHIVE: (pulumi.Archive,),
}


@pytest.mark.parametrize("token", TOKENS)
def test_the_table_agrees_with_the_sdk(token: str) -> None:
    entry = resource_type(token)
    assert entry.token == token
    declared = [field for field in entry.block.fields if field.mode is not Mode.OUTPUT]
    assert _differences(declared, sdk.inputs(token), "") == []
    said = {field.name for field in entry.block.fields if field.mode is Mode.OUTPUT}
    assert said - sdk.outputs(token) == set()


def _differences(fields: list[Field], known: dict[str, sdk.Property], path: str) -> list[str]:
    found = []
    for field in fields:
        here = f"{path}{field.name}"
        if field.name not in known:
            found.append(f"{here} is not in pulumi-aws")
            continue
        found += _type_differences(field.type, known[field.name].type, here)
    table = {field.name: field for field in fields}
    for name, each in known.items():
        if each.required and not (
            name in table and (table[name].required or table[name].default is not None)
        ):
            found.append(f"{path}{name} is required by pulumi-aws")
    return found


def _type_differences(kind: Type, known: Any, path: str) -> list[str]:
    as_property = sdk.Property(path, known, required=False)
    match kind:
        case Block(fields):
            if not sdk.is_block(known):
                return [f"{path} is no object in pulumi-aws but {known}"]
            return _differences(list(fields), sdk.properties(known), f"{path}.")
        case ListOf(item):
            if as_property.item is None or as_property.is_map:
                return [f"{path} is no list in pulumi-aws but {known}"]
            return _type_differences(item, as_property.item, f"{path}[]")
        case MapOf():
            return [] if as_property.is_map else [f"{path} is no map in pulumi-aws but {known}"]
        case Scalar.JSON:
            return []  # a string, or the document as an object
        case Scalar():
            return [] if known in _SCALARS[kind] else [f"{path} is no {kind.value} in pulumi-aws but {known}"]


@pytest.mark.parametrize("token", TOKENS)
def test_what_is_updated_in_a_call_is_in_the_table(token: str) -> None:
    """A misspelled name in an entry's calls would be a change that is never made."""
    entry = resource_type(token)
    names = {field.name for field in entry.block.fields}
    assert set(entry.unique) <= names
    for step in entry.update:
        assert set(getattr(step, "names", ())) <= names
