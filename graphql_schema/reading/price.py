# SPDX-License-Identifier: EUPL-1.2
"""What an operation may cost at most, before it runs: objects that it may return, and what the schema weighs.

The price of a document is found once; sizes that stand in variables are left open, and filled in for each request.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLAbstractType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_object_type,
)
from graphql.execution import VariableValues

from graphql_schema.connections import PAGE_SIZE_MAX
from graphql_schema.reading.annotations import definition_of
from graphql_schema.reading.plan import below, is_included
from graphql_schema.reading.sizes import ASSUMED_SIZE, Cost, ListSize

QUERY_COST_MAX = 2_000
INTROSPECTION = 100
"""`__schema` and `__type` as a whole: what they cost does not grow with the organization."""
TYPE_NAME = "__typename"

D = TypeVar("D", Cost, ListSize)


@dataclass(frozen=True, slots=True)
class Size:
    """How many items: a number, or the larger of some variables, numbers or lists, when one of them is given."""

    number: int
    variables: tuple[str, ...] = ()

    def of(self, variables: Mapping[str, Any]) -> int:
        given = [variables[name] for name in self.variables if variables.get(name) is not None]
        found = max((len(each) if isinstance(each, list) else each for each in given), default=self.number)
        return min(max(found, 0), PAGE_SIZE_MAX)


@dataclass(frozen=True, slots=True)
class Price:
    """A sum, with parts that count as often as a list has items, and parts of which only the dearest counts."""

    fixed: int = 0
    weights: int = 0
    """What of the fixed part is not objects."""
    repeated: tuple[tuple[Size, "Price"], ...] = ()
    dearest: tuple[tuple["Price", ...], ...] = ()

    def of(self, variables: Mapping[str, Any]) -> int:
        """The price with these coerced variables."""
        found = self.fixed
        for size, price in self.repeated:
            found += size.of(variables) * price.of(variables)
        for prices in self.dearest:
            found += max(each.of(variables) for each in prices)
        return found


def price_of(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: VariableValues
) -> Price:
    """The price of a valid operation, with these values of the variables that @skip and @include read."""
    root = schema.get_root_type(operation.operation)
    return Price() if root is None else _Pricing(schema, document, variables).type_of([operation.selection_set], root)


class _Pricing:
    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: VariableValues) -> None:
        self.schema, self.variables = schema, variables
        self.fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }

    def type_of(
        self,
        selected: Sequence[SelectionSetNode],
        parent: GraphQLObjectType,
        page: tuple[Size, Sequence[str]] | None = None,
    ) -> Price:
        """What is selected of one object. `page` says which lists in it are as long as what."""
        return _sum(self._field(nodes, parent, page) for nodes in self._by_key(selected, parent).values())

    def _field(
        self, nodes: list[FieldNode], parent: GraphQLObjectType, page: tuple[Size, Sequence[str]] | None
    ) -> Price:
        name = nodes[0].name.value
        if name.startswith("__"):
            return Price() if name == TYPE_NAME else Price(INTROSPECTION, INTROSPECTION)
        field = self.schema.get_field(parent, name)
        if field is None or not is_composite_type(get_named_type(field.type)):
            return Price()
        weight, said = _directive(field, Cost), _directive(field, ListSize)
        size = _size(nodes[0], said)
        if page is not None and name in page[1]:
            size = page[0]
        inner = self._inside(
            field, nodes, (size, said.sized_fields) if said is not None and said.sized_fields else None
        )
        own = 0 if weight is None else int(weight.weight)
        if _is_list(field):
            return Price(own, own, ((size, _sum([Price(1), inner])),))
        return _sum([Price(own or 1, max(own - 1, 0)), inner])

    def _inside(self, field: GraphQLField, nodes: list[FieldNode], page: tuple[Size, Sequence[str]] | None) -> Price:
        kind, selected = get_named_type(field.type), below(nodes)
        if is_object_type(kind):
            return self.type_of(selected, kind, page)
        possible = self.schema.get_possible_types(cast("GraphQLAbstractType", kind))
        prices = dict.fromkeys(self.type_of(selected, each, page) for each in possible)
        return Price(dearest=(tuple(prices),)) if prices else Price()

    def _by_key(self, selected: Iterable[SelectionSetNode], parent: GraphQLObjectType) -> dict[str, list[FieldNode]]:
        found: dict[str, list[FieldNode]] = {}
        for node in self._fields(selected, parent):
            found.setdefault((node.alias or node.name).value, []).append(node)
        return found

    def _fields(self, selected: Iterable[SelectionSetNode], parent: GraphQLObjectType) -> Iterator[FieldNode]:
        pending, seen = list(selected), set[str]()
        while pending:
            for node in pending.pop().selections:
                if not is_included(node, self.variables):
                    continue
                if isinstance(node, FieldNode):
                    yield node
                elif isinstance(node, InlineFragmentNode) and self._applies(node, parent):
                    pending.append(node.selection_set)
                elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                    seen.add(node.name.value)
                    fragment = self.fragments[node.name.value]
                    if self._applies(fragment, parent):
                        pending.append(fragment.selection_set)

    def _applies(self, node: InlineFragmentNode | FragmentDefinitionNode, parent: GraphQLObjectType) -> bool:
        if node.type_condition is None:
            return True
        condition = self.schema.get_type(node.type_condition.name.value)
        return condition is parent or (
            condition is not None and is_abstract_type(condition) and self.schema.is_sub_type(condition, parent)
        )


def _size(node: FieldNode, said: ListSize | None) -> Size:
    if said is None:
        return Size(ASSUMED_SIZE)
    arguments = {each.name.value: each.value for each in node.arguments or ()}
    given = [arguments[each] for each in said.slicing_arguments or () if each in arguments]
    numbers = [_number(each) for each in given]
    known = [each for each in numbers if each is not None]
    return Size(
        max(known, default=said.assumed_size or ASSUMED_SIZE),
        tuple(each.name.value for each in given if isinstance(each, VariableNode)),
    )


def _number(value: ValueNode) -> int | None:
    if isinstance(value, IntValueNode):
        return int(value.value)
    return len(value.values) if isinstance(value, ListValueNode) else None


def _sum(prices: Iterable[Price]) -> Price:
    found = list(prices)
    return Price(
        sum(each.fixed for each in found),
        sum(each.weights for each in found),
        tuple(part for each in found for part in each.repeated),
        tuple(part for each in found for part in each.dearest),
    )


def _directive(field: GraphQLField, kind: type[D]) -> D | None:
    definition = definition_of(field)
    found = (each for each in (definition.directives if definition else ()) if isinstance(each, kind))
    return next(found, None)


def _is_list(field: GraphQLField) -> bool:
    kind = field.type
    return isinstance(kind.of_type if isinstance(kind, GraphQLNonNull) else kind, GraphQLList)
