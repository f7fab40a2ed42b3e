# SPDX-License-Identifier: EUPL-1.2
"""What a field's annotation says, in our own words. The only module that looks inside Strawberry's definitions.

`concrete_of`, `type_var_map` and the back reference in a GraphQL field's extensions are not documented by Strawberry;
a test builds a small schema and holds them in place.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from graphql import GraphQLField, GraphQLInputField, GraphQLSchema
from strawberry import Schema
from strawberry.types.base import (
    StrawberryList,
    StrawberryObjectDefinition,
    StrawberryOptional,
    get_object_definition,
)
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType

from graphql_schema.connections import Connection

BACK_REFERENCE = "strawberry-definition"


@dataclass(frozen=True, slots=True)
class Shape:
    """An annotation taken apart: `list[X] | None` is X, a list, nullable; `Connection[X]` is X, a connection."""

    of: Any
    is_nullable: bool = False
    is_list: bool = False
    is_connection: bool = False

    @property
    def written(self) -> str:
        """The annotation as a contributor would write it."""
        name = getattr(self.of, "__name__", str(self.of))
        inner = f"list[{name}]" if self.is_list else f"Connection[{name}]" if self.is_connection else name
        return f"{inner} | None" if self.is_nullable else inner


def shape_of(field: StrawberryField) -> Shape:
    """The shape of a field's annotation. References to types of other modules must be resolvable by now."""
    return _shape(field.type)


def _shape(annotation: Any) -> Shape:
    if isinstance(annotation, StrawberryOptional):
        inner = _shape(annotation.of_type)
        return Shape(inner.of, True, inner.is_list, inner.is_connection)
    if isinstance(annotation, StrawberryList):
        return Shape(_shape(annotation.of_type).of, is_list=True)
    if isinstance(annotation, LazyType):
        return Shape(annotation.resolve_type())
    if isinstance(annotation, StrawberryEnumDefinition):
        return Shape(annotation.wrapped_cls)
    definition = get_object_definition(annotation)
    if definition is not None and definition.concrete_of is get_object_definition(Connection):
        return Shape(_shape(next(iter(definition.type_var_map.values()))).of, is_connection=True)
    return Shape(annotation)


def is_enum(python_type: Any) -> bool:
    return isinstance(python_type, type) and issubclass(python_type, Enum)


def object_definition(python_type: Any) -> StrawberryObjectDefinition | None:
    """Strawberry's definition of an object type or input; None for everything else."""
    return get_object_definition(python_type)


def definition_of(field: GraphQLField | GraphQLInputField) -> StrawberryField | None:
    """The field that a GraphQL field was made from; None for introspection."""
    found = field.extensions.get(BACK_REFERENCE)
    return found if isinstance(found, StrawberryField) else None


def core_schema(schema: Schema) -> GraphQLSchema:
    """The schema as graphql-core sees it."""
    return schema._schema  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  there is no public name
