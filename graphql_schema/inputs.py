# SPDX-License-Identifier: EUPL-1.2
"""Inputs of mutations: what a field may hold, and how what clients send becomes what commands take.

A contributor annotates an id with `UUID`; the schema shows `ID`. A global id that is malformed, of another type or of
another organization becomes an id that no row has, so that the command answers all of them alike.
"""

import hashlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from enum import Enum
from types import UnionType
from typing import Any, TypeVar, Union, cast, dataclass_transform, get_args, get_origin
from uuid import UUID

import orjson
import strawberry
from strawberry.types.base import get_object_definition
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from graphql_schema.reading.bounds import INPUT_LIST_MAX, TEXT_LENGTH_MAX, flaw_of
from graphql_schema.reading.declarations import decode_id
from graphql_schema.reading.filters import NOBODY
from services.kernel.errors import DomainError, Invalid, LimitReached, TooLong

INPUT = "belfry.input"
"""Where a field's metadata keeps what it may hold."""

IDEMPOTENCY_KEY = "idempotency_key"

C = TypeVar("C", bound=type)
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """A plain value; a text has at most `length_max` characters."""

    length_max: int = TEXT_LENGTH_MAX


@dataclass(frozen=True, slots=True)
class IdOf:
    """The global id of a row of one type, or a list of them."""

    target: type


def given(description: str, *, length_max: int = TEXT_LENGTH_MAX) -> Any:
    """A field that a client fills in. One that may be null may also be left out."""
    return strawberry.field(description=description, metadata={INPUT: Given(length_max)})


def id_of(target: type, description: str) -> Any:
    """The global id of a row: `conversation_id: UUID = id_of(Conversation, "The conversation to take.")`."""
    return strawberry.field(description=description, metadata={INPUT: IdOf(target)})


def idempotency_key() -> Any:
    """The key by which a repeated request is recognized: `idempotency_key: str | None = idempotency_key()`."""
    return strawberry.field(
        description="Yours to choose, 1 to 200 characters: the same key with the same input acts once and answers "
        "alike for 24 hours. Send it again after any transport error, which means unknown, not failed.",
        metadata={INPUT: Given()},
    )


@dataclass_transform(kw_only_default=True, field_specifiers=(given, id_of, idempotency_key))
def mutation_input(cls: C) -> C:
    """Make an input type of a class. The docstring is its description; fields are given, id_of or idempotency_key."""
    if not cls.__name__.endswith("Input") or not cls.__doc__:
        raise TypeError(f"{_path(cls)} is an input: name it …Input and say in a docstring what it is.")
    for name, annotation in list(cls.__annotations__.items()):
        declared = getattr(cls, name, None)
        kind = declared.metadata.get(INPUT) if isinstance(declared, StrawberryField) else None
        if kind is None:
            raise TypeError(f"{_path(cls)}.{name} has no description: declare it with given(…) or id_of(…).")
        if isinstance(kind, IdOf):
            cls.__annotations__[name] = _as_id(annotation, UUID, f"{_path(cls)}.{name}")
        elif name == IDEMPOTENCY_KEY:
            cls.__annotations__[name] = _as_id(annotation, str, f"{_path(cls)}.{name}")
    return strawberry.input(description=inspect.cleandoc(cls.__doc__))(cls)


def changes_in(value: Any) -> dict[str, Any]:
    """What an input with `Maybe` fields wants changed, by the fields' names: what was left out is not there."""
    maybes = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: each.value for name, each in maybes.items() if isinstance(each, strawberry.Some)}


def decode(value: Any) -> tuple[Any, list[DomainError]]:
    """The input with row ids in place of global ids, and what is wrong with its texts and lists."""
    refusals: list[DomainError] = []
    return _decoded(value, (), refusals), refusals


def request_hash(mutation: str, value: Any) -> bytes:
    """What makes two requests the same: the mutation and everything in its input but the key."""
    content = {name: item for name, item in _canonical(value).items() if name != IDEMPOTENCY_KEY}
    return hashlib.sha256(orjson.dumps([mutation, content], option=orjson.OPT_SORT_KEYS)).digest()


def ids_in(input_type: type) -> Iterator[tuple[str, type]]:
    """The names of an input's own ids, in their order, with the types whose rows they name."""
    for name, kind in _kinds(input_type):
        if isinstance(kind, IdOf):
            yield name, kind.target


def _decoded(value: Any, path: Path, refusals: list[DomainError]) -> Any:
    changes: dict[str, Any] = {}
    for name, kind in _kinds(type(value)):
        here = (*path, to_camel_case(name))
        changes[name] = _decoded_field(getattr(value, name), kind, here, refusals)
    return replace(value, **changes)


def _decoded_field(value: Any, kind: Given | IdOf, path: Path, refusals: list[DomainError]) -> Any:
    if isinstance(value, strawberry.Some):
        return strawberry.Some(_decoded_field(value.value, kind, path, refusals))
    if isinstance(value, list):
        items = cast("Sequence[Any]", value)
        if len(items) > INPUT_LIST_MAX:
            refusals.append(LimitReached("At most {count} items.", field=path, count=INPUT_LIST_MAX))
            return []
        return [_decoded_field(each, kind, path, refusals) for each in items]
    if isinstance(kind, IdOf):
        return None if value is None else decode_id(value, kind.target) or NOBODY
    if isinstance(value, str) and not isinstance(value, Enum):
        _check(value, kind, path, refusals)
    elif is_dataclass(value) and get_object_definition(type(value)) is not None:
        return _decoded(value, path, refusals)
    return value


def _check(text: str, kind: Given, path: Path, refusals: list[DomainError]) -> None:
    if len(text) > kind.length_max:
        refusals.append(TooLong("At most {count} characters.", field=path, count=kind.length_max))
        return
    if (flaw := flaw_of(text)) is not None:
        refusals.append(Invalid(flaw, field=path))


def _kinds(input_type: type) -> Iterator[tuple[str, Given | IdOf]]:
    for field in fields(input_type):
        yield field.name, field.metadata.get(INPUT, Given())


def _canonical(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _canonical(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, strawberry.Some):
        return [_canonical(value.value)]
    if isinstance(value, list):
        return [_canonical(each) for each in cast("list[Any]", value)]
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str | int | bool | None) else str(value)


def _as_id(annotation: Any, python_type: type, path: str) -> Any:
    """The annotation that the schema sees, with ID in the place of the Python type."""
    if annotation is python_type:
        return strawberry.ID
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is list:
        return list[_as_id(parts[0], python_type, path)]
    if origin in (Union, UnionType) and len(parts) == 2 and type(None) in parts:
        inner = next(each for each in parts if each is not type(None))
        return _as_id(inner, python_type, path) | None
    raise TypeError(f"{path} is an id: annotate it {python_type.__name__}, {python_type.__name__} | None or list.")


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
