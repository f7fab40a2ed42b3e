# SPDX-License-Identifier: EUPL-1.2
"""Random valid queries over the schema: whatever a client could write, within the limits, from one seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import orjson
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
)

from services.kernel.serialization import print_instant
from tests.graphql_schema.reading.planting import START

DEPTHS = (1, 2, 2, 3, 4)
"""How deep a document may go: mostly not very, so that many can be tried."""
WORDS = ["", "a", "lamp", "Größe", "😀", "\u2028", 'quote " and \\ back', "Name 1", "h2", "O'Brien"]
PAGED = ("first", "last", "after", "before")
PERIOD = ("since", "until")
"""Without them a figure ends at the instant of its transaction, and two transactions have two."""


@dataclass
class Author:
    """Writes one document. `ids` are global ids that may be asked for; `variables` are filled while writing."""

    schema: GraphQLSchema
    chance: Random
    ids: Sequence[str]
    roots: Sequence[str]
    variables: dict[str, Any] = field(default_factory=dict[str, Any])
    declared: list[str] = field(default_factory=list[str])
    fragments: list[str] = field(default_factory=list[str])
    aliases: int = 0

    def __post_init__(self) -> None:
        self.depth_max = self.chance.choice(DEPTHS)

    def document(self) -> str:
        query = self.schema.query_type
        assert query is not None
        most = self.chance.choice((1, 1, 1, 2, 3))
        chosen = list(dict.fromkeys(self.chance.choice(self.roots) for _ in range(most)))
        body = " ".join(self.field_of(name, query.fields[name], 0) for name in chosen)
        if self.chance.random() < 0.2:
            body += " __typename"
        head = f"query Q({', '.join(self.declared)})" if self.declared else "query Q"
        return f"{head} {{ {body} }} {' '.join(self.fragments)}"

    def field_of(self, name: str, graphql_field: GraphQLField, depth: int) -> str:
        alias = self.alias() if self.chance.random() < 0.15 else ""
        text = f"{alias}{name}{self.arguments(graphql_field)}{self.directive()}"
        kind = get_named_type(graphql_field.type)
        return text if is_leaf_type(kind) else f"{text} {{ {self.selection(kind, depth + 1)} }}"

    def selection(self, kind: GraphQLNamedType, depth: int) -> str:
        assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        if isinstance(kind, GraphQLInterfaceType):
            return " ".join(["id __typename", *(self.spread(each, depth) for each in self.some_types(kind))])
        is_page = {"nodes", "pageInfo"} <= kind.fields.keys()
        names = [
            name
            for name, each in kind.fields.items()
            if is_leaf_type(get_named_type(each.type)) or depth < self.depth_max + is_page
        ]
        parts = [
            self.field_of(name, kind.fields[name], depth - is_page)
            for name in self.chance.sample(names, min(len(names), self.chance.choice((1, 2, 2, 3, 4))))
        ]
        if self.chance.random() < 0.15:
            parts.append("__typename")
        if self.chance.random() < 0.15:
            parts.append(self.spread(kind, depth))
        if self.chance.random() < 0.1 and "id" in kind.fields:
            parts.append("... on Node { id }")
        if self.chance.random() < 0.1:
            parts.append(parts[0])  # the same field twice is one
        return " ".join(parts) or "__typename"

    def spread(self, kind: GraphQLObjectType, depth: int) -> str:
        inside = self.selection(kind, depth + 1) if depth < self.depth_max else "__typename"
        if self.chance.random() < 0.5:
            return f"... on {kind.name}{self.directive()} {{ {inside} }}"
        name = f"F{len(self.fragments)}"
        self.fragments.append(f"fragment {name} on {kind.name} {{ {inside} }}")
        return f"...{name}"

    def some_types(self, kind: GraphQLInterfaceType) -> list[GraphQLObjectType]:
        possible = sorted(self.schema.get_possible_types(kind), key=lambda each: each.name)
        return self.chance.sample(possible, 2)

    def alias(self) -> str:
        self.aliases += 1
        return f"a{self.aliases}: "

    def directive(self) -> str:
        if self.chance.random() > 0.08:
            return ""
        name, value = self.chance.choice(["skip", "include"]), self.chance.random() < 0.5
        given = self.variable("Boolean!", value) if self.chance.random() < 0.5 else str(value).lower()
        return f" @{name}(if: {given})"

    def variable(self, kind: str, value: Any) -> str:
        name = f"v{len(self.declared)}"
        self.declared.append(f"${name}: {kind}")
        self.variables[name] = value
        return f"${name}"

    def arguments(self, graphql_field: GraphQLField) -> str:
        given: dict[str, Any] = {}
        for name, argument in graphql_field.args.items():
            required = isinstance(argument.type, GraphQLNonNull) or name in PERIOD
            if name in PAGED or not (required or self.chance.random() < 0.3):
                continue
            given[name] = (argument.type, self.value(argument.type))
        if "first" in graphql_field.args:
            which = self.chance.choice(["first", "first", "last", None])
            if which:
                given[which] = (graphql_field.args[which].type, self.chance.choice([0, 1, 2, 3, 7]))
        return f"({', '.join(f'{name}: {self.written(*each)}' for name, each in given.items())})" if given else ""

    def written(self, kind: GraphQLInputType, value: Any) -> str:
        if self.chance.random() < 0.4:
            return self.variable(str(kind), value)
        return _literal(kind, value)

    def value(self, kind: GraphQLInputType, depth: int = 0) -> Any:
        if isinstance(kind, GraphQLNonNull):
            return self.value(kind.of_type, depth)
        if isinstance(kind, GraphQLList):
            return [self.value(kind.of_type, depth) for _ in range(self.chance.randint(1, 2))]
        if isinstance(kind, GraphQLEnumType):
            return self.chance.choice(sorted(kind.values))
        if isinstance(kind, GraphQLInputObjectType):
            return self.object(kind, depth)
        return {
            "ID": lambda: self.chance.choice([*self.ids, "nonsense"]),
            "Int": lambda: self.chance.randint(-1, 3),
            "Boolean": lambda: self.chance.random() < 0.5,
            "DateTime": lambda: print_instant(START + timedelta(hours=self.chance.randint(-5, 200))),
            "TimeZone": lambda: self.chance.choice(["Europe/Amsterdam", "UTC"]),
        }.get(getattr(kind, "name", ""), lambda: self.chance.choice(WORDS))()

    def object(self, kind: GraphQLInputObjectType, depth: int) -> dict[str, Any]:
        fields = kind.fields
        required = [name for name, each in fields.items() if isinstance(each.type, GraphQLNonNull)]
        optional = [name for name in fields if name not in required and (depth < 2 or name not in ("and", "or", "not"))]
        chosen = required + self.chance.sample(
            optional, min(len(optional), self.chance.randint(0 if required else 1, 2))
        )
        return {name: self.value(fields[name].type, depth + 1) for name in chosen}


def _literal(kind: GraphQLInputType, value: Any) -> str:
    if isinstance(kind, GraphQLNonNull):
        return _literal(kind.of_type, value)
    if isinstance(kind, GraphQLList):
        return f"[{', '.join(_literal(kind.of_type, each) for each in value)}]"
    if isinstance(kind, GraphQLInputObjectType):
        return f"{{{', '.join(f'{name}: {_literal(kind.fields[name].type, each)}' for name, each in value.items())}}}"
    if isinstance(kind, GraphQLEnumType):
        return value
    return orjson.dumps(value).decode()
