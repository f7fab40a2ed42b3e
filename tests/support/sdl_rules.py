# SPDX-License-Identifier: EUPL-1.2
"""What holds for every type of the schema, read off its text: ids, nullability, scalars, enums, descriptions, names.

A rule is a function that yields the places where it is broken. Its sentence is its name in a finding. Lists and costs
are in `sdl_rules_lists.py`, mutations in `sdl_rules_mutations.py`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from graphql import (
    GraphQLArgument,
    GraphQLDirective,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    NullValueNode,
    get_named_type,
    is_specified_scalar_type,
)

from tests.support.releases import REASON

TYPES_MAX = 299
SCALARS = frozenset(
    {"DateTime", "Date", "Duration", "TimeZone", "Locale", "URL", "Email", "Decimal", "BigInt"}
)  # no JSON: what has no shape has no contract
BOUND = re.compile(r"^(since|until|asOf|bucketStart|[a-z]\w*(Until|Since))$")
"""Instants that bound a period, and say so by another word than `At`."""
MEANINGS = {"Url": "URL", "Email": "Email", "Locale": "Locale", "TimeZone": "TimeZone", "zone": "TimeZone"}
"""What the end of a name promises of the type of an output."""
OLDER_THAN_THE_RULE = frozenset({"Organization.locales"})
"""Words of a released type that would break clients when they changed."""
LANGUAGES = re.compile(r"[a-z](?:Nl|Fr|De|En)$")
CAMEL = re.compile(r"^[a-z][a-zA-Z0-9]*$")
PASCAL = re.compile(r"^[A-Z][a-zA-Z0-9]*$")
CONSTANT = re.compile(r"^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$")

Rule = Callable[[GraphQLSchema], Iterator[str]]
Output = GraphQLObjectType | GraphQLInterfaceType


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule by its sentence, and where it is broken: a type, `Type.field`, or `Type.field.argument`."""

    rule: str
    where: str


def findings(schema: GraphQLSchema, rules: dict[str, Rule]) -> list[Finding]:
    """Every place where a rule is broken."""
    return [Finding(sentence, where) for sentence, rule in rules.items() for where in rule(schema)]


def own_types(schema: GraphQLSchema) -> Iterator[GraphQLNamedType]:
    """Types but for those of introspection and of the language itself."""
    for name, kind in schema.type_map.items():
        if not name.startswith("__") and not is_specified_scalar_type(kind):
            yield kind


def outputs(schema: GraphQLSchema) -> Iterator[Output]:
    return (each for each in own_types(schema) if isinstance(each, Output))


def inputs(schema: GraphQLSchema) -> Iterator[GraphQLInputObjectType]:
    return (each for each in own_types(schema) if isinstance(each, GraphQLInputObjectType))


def enums(schema: GraphQLSchema) -> Iterator[GraphQLEnumType]:
    return (each for each in own_types(schema) if isinstance(each, GraphQLEnumType))


def fields(schema: GraphQLSchema) -> Iterator[tuple[str, str, GraphQLField]]:
    """`Type.field`, the field's name, and the field."""
    for kind in outputs(schema):
        yield from ((f"{kind.name}.{name}", name, field) for name, field in kind.fields.items())


def given(schema: GraphQLSchema) -> Iterator[tuple[str, str, GraphQLArgument | GraphQLInputField]]:
    """Everything that a client gives: arguments and fields of inputs."""
    for path, _, field in fields(schema):
        yield from ((f"{path}.{name}", name, argument) for name, argument in field.args.items())
    for kind in inputs(schema):
        yield from ((f"{kind.name}.{name}", name, field) for name, field in kind.fields.items())


def implements_node(kind: GraphQLNamedType | None) -> bool:
    return isinstance(kind, GraphQLObjectType) and any(each.name == "Node" for each in kind.interfaces)


def ids_are_opaque(schema: GraphQLSchema) -> Iterator[str]:
    for path, name, field in fields(schema):
        if (name == "id" and str(field.type) != "ID!") or (
            _names_ids(name) and get_named_type(field.type).name != "ID"
        ):
            yield path
    for path, name, one in given(schema):
        kind = get_named_type(one.type).name
        if (name == "id" or _names_ids(name)) and kind not in ("ID", "IdFilter"):
            yield path


def _names_ids(name: str) -> bool:
    return name in ("ids", "nodeId") or re.search(r"[a-z](Id|Ids)$", name) is not None


def no_id_is_a_number(schema: GraphQLSchema) -> Iterator[str]:
    for path, name, one in (*fields(schema), *given(schema)):
        if re.search(r"(^id|[iI]ds?|I[dD])$", name) and get_named_type(one.type).name in ("Int", "BigInt"):
            yield path


def what_has_an_id_is_a_node(schema: GraphQLSchema) -> Iterator[str]:
    for kind in outputs(schema):
        if isinstance(kind, GraphQLObjectType) and "id" in kind.fields and not implements_node(kind):
            yield kind.name


def node_is_found_by_id(schema: GraphQLSchema) -> Iterator[str]:
    node, query = schema.type_map.get("Node"), schema.query_type
    if not isinstance(node, GraphQLInterfaceType) or {n: str(f.type) for n, f in node.fields.items()} != {"id": "ID!"}:
        yield "Node"
    expected = {"node": ("Node", {"id": "ID!"}), "nodes": ("[Node]!", {"ids": "[ID!]!"})}
    for name, (kind, arguments) in expected.items():
        field = None if query is None else query.fields.get(name)
        found = field and (str(field.type), {each: str(one.type) for each, one in field.args.items()})
        if found != (kind, arguments):
            yield f"Query.{name}"


def instants_end_in_at(schema: GraphQLSchema) -> Iterator[str]:
    for path, name, one in (*fields(schema), *given(schema)):
        kind = get_named_type(one.type).name
        is_instant, says_at = kind in ("DateTime", "DateTimeFilter"), name.endswith("At")
        if path.startswith("DateTimeFilter."):
            continue
        if (says_at and not is_instant) or (is_instant and not says_at and not BOUND.match(name)):
            yield path


def meanings_are_scalars(schema: GraphQLSchema) -> Iterator[str]:
    for path, name, field in fields(schema):
        for end, kind in MEANINGS.items():
            ends = (end, f"{end}s", end[0].lower() + end[1:], f"{end[0].lower()}{end[1:]}s")
            if name.endswith(ends) and get_named_type(field.type).name != kind and path not in OLDER_THAN_THE_RULE:
                yield path


def scalars_are_specified(schema: GraphQLSchema) -> Iterator[str]:
    for kind in own_types(schema):
        if isinstance(kind, GraphQLScalarType) and (not kind.specified_by_url or kind.name not in SCALARS):
            yield kind.name


def enums_are_constants(schema: GraphQLSchema) -> Iterator[str]:
    for kind in enums(schema):
        yield from (f"{kind.name}.{value}" for value in kind.values if not CONSTANT.match(value))


def names_have_one_form(schema: GraphQLSchema) -> Iterator[str]:
    yield from (each.name for each in own_types(schema) if not PASCAL.match(each.name))
    yield from (path for path, name, _ in (*fields(schema), *given(schema)) if not CAMEL.match(name))


def everything_is_described(schema: GraphQLSchema) -> Iterator[str]:
    for kind in own_types(schema):
        if not _is_sentence(kind.description):
            yield kind.name
    for path, _, one in (*fields(schema), *given(schema)):
        if not _is_sentence(one.description):
            yield path
    for kind in enums(schema):
        yield from (f"{kind.name}.{name}" for name, value in kind.values.items() if not _is_sentence(value.description))
    for directive in _own_directives(schema):
        if not _is_sentence(directive.description):
            yield f"@{directive.name}"


def _own_directives(schema: GraphQLSchema) -> Iterator[GraphQLDirective]:
    return (each for each in schema.directives if each.ast_node is not None)


def _is_sentence(description: str | None) -> bool:
    return bool(description) and str(description).rstrip("`'\" ").endswith((".", "?", "!"))


def nothing_defaults_to_null(schema: GraphQLSchema) -> Iterator[str]:
    for path, _, one in given(schema):
        if one.ast_node is not None and isinstance(one.ast_node.default_value, NullValueNode):
            yield path


def lists_and_their_items_are_there(schema: GraphQLSchema) -> Iterator[str]:
    for path, name, field in fields(schema):
        if path == "Query.nodes" or (name == "field" and path.partition(".")[0].endswith("UserError")):
            continue  # null where nothing is found; null when no single field is at fault
        kind = field.type
        is_there = isinstance(kind, GraphQLNonNull)
        inner = kind.of_type if is_there else kind
        if isinstance(inner, GraphQLList) and not (is_there and isinstance(inner.of_type, GraphQLNonNull)):
            yield path
    for path, _, one in given(schema):
        kind = one.type.of_type if isinstance(one.type, GraphQLNonNull) else one.type
        if isinstance(kind, GraphQLList) and not isinstance(kind.of_type, GraphQLNonNull):
            yield path


def own_columns_are_there(schema: GraphQLSchema) -> Iterator[str]:
    expected = {"id": "ID!", "createdAt": "DateTime!", "version": "Int!"}
    for path, name, field in fields(schema):
        if name in expected and str(field.type) != expected[name]:
            yield path


def translations_are_lists(schema: GraphQLSchema) -> Iterator[str]:
    localized = schema.type_map.get("LocalizedText")
    shape = {"locale": "Locale!", "text": "String!"}
    if isinstance(localized, Output) and {name: str(f.type) for name, f in localized.fields.items()} != shape:
        yield "LocalizedText"
    for path, name, field in fields(schema):
        if get_named_type(field.type) is localized and str(field.type) != "[LocalizedText!]!":
            yield path
        if LANGUAGES.search(name):
            yield path
    yield from (path for path, name, _ in given(schema) if LANGUAGES.search(name))


def deprecations_say_what_and_when(schema: GraphQLSchema) -> Iterator[str]:
    deprecated = [(path, one.deprecation_reason) for path, _, one in (*fields(schema), *given(schema))]
    deprecated += [(f"{kind.name}.{n}", v.deprecation_reason) for kind in enums(schema) for n, v in kind.values.items()]
    yield from (path for path, reason in deprecated if reason is not None and not REASON.match(reason))


def there_are_fewer_than_300_types(schema: GraphQLSchema) -> Iterator[str]:
    if len(schema.type_map) > TYPES_MAX:
        yield f"{len(schema.type_map)} types"


RULES: dict[str, Rule] = {
    "ids are ID": ids_are_opaque,
    "no id is a number": no_id_is_a_number,
    "what has an id is a Node": what_has_an_id_is_a_node,
    "node and nodes find by id": node_is_found_by_id,
    "instants are DateTime and end in At": instants_end_in_at,
    "a name that says URL, e-mail, locale or zone has that scalar": meanings_are_scalars,
    "scalars are ours and have specifiedBy": scalars_are_specified,
    "enum values are in CONSTANT_CASE": enums_are_constants,
    "types are in PascalCase, all else in camelCase": names_have_one_form,
    "everything has a description": everything_is_described,
    "no default is null": nothing_defaults_to_null,
    "lists and their items are not null": lists_and_their_items_are_there,
    "id, createdAt and version are not null": own_columns_are_there,
    "translations are lists of LocalizedText": translations_are_lists,
    "a deprecation says what to use and until when": deprecations_say_what_and_when,
    "fewer than 300 types": there_are_fewer_than_300_types,
}
