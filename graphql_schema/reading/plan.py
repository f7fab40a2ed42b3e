# SPDX-License-Identifier: EUPL-1.2
"""From a validated operation to a plan: which rows and values answer it, under which keys. Pure: no SQL, no database.

A plan holds for one text, one operation name and one set of values of the variables that `@skip` and `@include` read.
The values of all other arguments stay open: each list, figure and node of the plan is a *call*, numbered in the order
of the plan, whose arguments are read anew for every request. What cannot be planned raises NotCompilable with the
reason, and the ordinary executor answers the operation as a whole.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLAbstractType,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    get_directive_values,
    get_named_type,
)
from graphql.execution import VariableValues, get_argument_values
from graphql.language import Node, Visitor, visit
from strawberry.types.field import StrawberryField

from graphql_schema.reading.annotations import definition_of, shape_of
from graphql_schema.reading.declarations import (
    REGISTRY,
    Computed,
    Leaf,
    ListOf,
    Newest,
    NodeById,
    NodesByIds,
    Readable,
    SameRow,
    ToOne,
    declaration_of,
    readable_behind,
)

KEY_BYTES_MAX = 63
"""PostgreSQL cuts longer names silently, so a longer alias would come back shortened."""


class NotCompilable(Exception):
    """Why an operation takes the ordinary executor. The reason is one of a few words, because it is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# What a plan consists of. Every item stands under a response key, in the order of the answer.


@dataclass(frozen=True, slots=True)
class Fixed:
    """The name of a type."""

    text: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The global id of the row."""

    tag: str


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the row. `python_type` and `is_list` say how it is printed."""

    declared: Leaf
    python_type: Any
    is_list: bool


@dataclass(frozen=True, slots=True)
class Call:
    """Where arguments are read: `number` is its place among the calls of the plan."""

    number: int
    node: FieldNode
    field: GraphQLField
    is_fixed: bool
    """Whether its arguments are the same for every request, because no variable is among them."""

    def arguments(self, variables: VariableValues) -> dict[str, Any]:
        """The coerced arguments by their names in the schema."""
        return get_argument_values(self.field, self.node, variables)


@dataclass(frozen=True, slots=True)
class One:
    """A row that hangs on this one."""

    declared: ToOne | Newest | SameRow
    of: "Selection"


@dataclass(frozen=True, slots=True)
class Edges:
    """Every item of a page with its cursor: None where the key asks for the cursor."""

    items: tuple[tuple[str, "Selection | Fixed | None"], ...]


@dataclass(frozen=True, slots=True)
class Info:
    """Where a page stands; each item is the schema's name of a field of PageInfo, or the type's name."""

    items: tuple[tuple[str, "str | Fixed"], ...]


@dataclass(frozen=True, slots=True)
class Count:
    """How many items a list has, or whether that number is exact."""

    is_exactness: bool


@dataclass(frozen=True, slots=True)
class Many:
    """One page of a list. Items are nodes (Selection), edges, page information, counts and the type's name."""

    declared: ListOf
    target: Readable
    call: Call
    name: str
    items: tuple[tuple[str, "Selection | Edges | Info | Count | Fixed"], ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked of a row of a type."""

    readable: Readable
    items: tuple[tuple[str, "Fixed | Identity | Value | One | Many"], ...]


@dataclass(frozen=True, slots=True)
class AnyNode:
    """The row behind a global id, or the rows behind several: what is asked of one depends on its type."""

    call: Call
    is_list: bool
    by_tag: Mapping[str, Selection]


@dataclass(frozen=True, slots=True)
class Figure:
    """The rows of a figure."""

    call: Call
    is_list: bool
    of: Selection


@dataclass(frozen=True, slots=True)
class Plan:
    """One operation. `calls` are all places where arguments are read, in order."""

    roots: tuple[tuple[str, Many | AnyNode | Figure | Fixed], ...]
    calls: tuple[Many | AnyNode | Figure, ...]


def plan(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: VariableValues
) -> Plan:
    """Plan a valid query. Raises NotCompilable."""
    if operation.operation is not OperationType.QUERY:
        raise NotCompilable("not_a_query")
    return _Planner(schema, document, variables).run(operation)


Group = tuple[str, list[FieldNode], GraphQLField | None]
"""One response key: the nodes that are merged under it, and the field; None for `__typename`."""


class Fields:
    """The fields of an operation's objects, merged by their keys: fragments opened, @skip and @include obeyed."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: VariableValues) -> None:
        self.schema, self.variables = schema, variables
        fragments = (each for each in document.definitions if isinstance(each, FragmentDefinitionNode))
        self.fragments = {each.name.value: each for each in fragments}

    def of(self, selected: Iterable[SelectionSetNode], parent: GraphQLObjectType) -> Iterator[Group]:
        """The groups of one object, in the order of the answer. Raises NotCompilable."""
        merged: dict[str, list[FieldNode]] = {}
        for each in selected:
            self._collect(each, parent, merged, set())
        for key, nodes in merged.items():
            if len(key.encode()) > KEY_BYTES_MAX:
                raise NotCompilable("long_key")
            name = nodes[0].name.value
            if name in ("__schema", "__type"):
                raise NotCompilable("introspection")
            yield key, nodes, None if name == "__typename" else parent.fields[name]

    def _collect(
        self, selected: SelectionSetNode, parent: GraphQLObjectType, merged: dict[str, list[FieldNode]], seen: set[str]
    ) -> None:
        for node in selected.selections:
            if not is_included(node, self.variables):
                continue
            if isinstance(node, FieldNode):
                key = (node.alias or node.name).value
                merged.setdefault(key, []).append(node)
            elif isinstance(node, InlineFragmentNode):
                if node.type_condition is None or self._applies(node.type_condition.name.value, parent):
                    self._collect(node.selection_set, parent, merged, seen)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                fragment = self.fragments[node.name.value]
                if self._applies(fragment.type_condition.name.value, parent):
                    self._collect(fragment.selection_set, parent, merged, seen)

    def _applies(self, name: str, parent: GraphQLObjectType) -> bool:
        kind = self.schema.type_map[name]
        is_abstract = isinstance(kind, GraphQLAbstractType)
        return kind is parent or (is_abstract and self.schema.is_sub_type(kind, parent))


@dataclass
class _Planner:
    schema: GraphQLSchema
    document: DocumentNode
    variables: VariableValues
    calls: list[Many | AnyNode | Figure] = field(default_factory=list["Many | AnyNode | Figure"])
    numbers: int = 0

    def __post_init__(self) -> None:
        self.fields = Fields(self.schema, self.document, self.variables)

    def run(self, operation: OperationDefinitionNode) -> Plan:
        root = cast("GraphQLObjectType", self.schema.query_type)
        found: list[tuple[str, Many | AnyNode | Figure | Fixed]] = []
        for key, nodes, graphql_field in self.fields.of([operation.selection_set], root):
            found.append((key, Fixed(root.name) if graphql_field is None else self._root(nodes, graphql_field)))
        return Plan(tuple(found), tuple(sorted(self.calls, key=lambda each: each.call.number)))

    # Each kind of field.

    def _root(self, nodes: list[FieldNode], graphql_field: GraphQLField) -> Many | AnyNode | Figure:
        definition = cast("StrawberryField", definition_of(graphql_field))
        declared = declaration_of(definition)
        if isinstance(declared, ListOf):
            return self._many(nodes, graphql_field, definition, declared)
        if isinstance(declared, Computed):
            shape, call = shape_of(definition), self._call(nodes, graphql_field)
            figure = Figure(call, shape.is_list, self._selection(nodes, graphql_field))
            self.calls.append(figure)
            return figure
        if isinstance(declared, NodeById | NodesByIds):
            call = self._call(nodes, graphql_field)
            interface = cast("GraphQLInterfaceType", get_named_type(graphql_field.type))
            made = {}
            for kind in self.schema.get_possible_types(interface):
                readable = _readable_of(kind)
                made[cast("str", readable.tag)] = self._of_type(nodes, kind)
            node = AnyNode(call, isinstance(declared, NodesByIds), made)
            self.calls.append(node)
            return node
        raise NotCompilable("undeclared")

    def _call(self, nodes: list[FieldNode], graphql_field: GraphQLField) -> Call:
        # Validation guarantees that merged fields have equal arguments.
        self.numbers += 1
        return Call(self.numbers - 1, nodes[0], graphql_field, is_fixed=not variables_in(nodes[0].arguments))

    def _selection(self, nodes: list[FieldNode], graphql_field: GraphQLField) -> Selection:
        return self._of_type(nodes, get_named_type(graphql_field.type))

    def _of_type(self, nodes: list[FieldNode], kind: GraphQLNamedType) -> Selection:
        if not isinstance(kind, GraphQLObjectType):
            raise NotCompilable("abstract_type")
        readable = _readable_of(kind)
        items = tuple(
            (key, self._item(readable, kind, deeper, graphql_field))
            for key, deeper, graphql_field in self.fields.of(below(nodes), kind)
        )
        return Selection(readable, items)

    def _item(
        self, readable: Readable, kind: GraphQLObjectType, nodes: list[FieldNode], graphql_field: GraphQLField | None
    ) -> Fixed | Identity | Value | One | Many:
        if graphql_field is None:
            return Fixed(kind.name)
        definition = cast("StrawberryField", definition_of(graphql_field))
        declared = declaration_of(definition)
        if declared is None and definition.python_name == "id" and readable.tag is not None:
            return Identity(readable.tag)
        if isinstance(declared, Leaf):
            shape = shape_of(definition)
            return Value(declared, shape.of, shape.is_list)
        if isinstance(declared, ToOne | Newest | SameRow):
            return One(declared, self._selection(nodes, graphql_field))
        if isinstance(declared, ListOf):
            return self._many(nodes, graphql_field, definition, declared)
        raise NotCompilable("undeclared")

    def _many(
        self, nodes: list[FieldNode], graphql_field: GraphQLField, definition: StrawberryField, declared: ListOf
    ) -> Many:
        call, kind = self._call(nodes, graphql_field), cast("GraphQLObjectType", get_named_type(graphql_field.type))
        items = tuple((key, self._part(deeper, kind, each)) for key, deeper, each in self.fields.of(below(nodes), kind))
        origin = cast("type", definition.origin)
        name = f"{origin.__name__}.{definition.python_name}"
        many = Many(declared, REGISTRY[shape_of(definition).of], call, name, items)
        self.calls.append(many)
        return many

    def _part(
        self, nodes: list[FieldNode], parent: GraphQLObjectType, graphql_field: GraphQLField | None
    ) -> Selection | Edges | Info | Count | Fixed:
        if graphql_field is None:
            return Fixed(parent.name)
        name = cast("StrawberryField", definition_of(graphql_field)).python_name
        if name == "nodes":
            return self._selection(nodes, graphql_field)
        if name in ("total_count", "is_total_count_exact"):
            return Count(name == "is_total_count_exact")
        kind = cast("GraphQLObjectType", get_named_type(graphql_field.type))
        if name == "page_info":
            return Info(
                tuple(
                    (key, Fixed(kind.name) if each is None else deeper[0].name.value)
                    for key, deeper, each in self.fields.of(below(nodes), kind)
                )
            )
        return Edges(
            tuple((key, self._of_edge(deeper, kind, each)) for key, deeper, each in self.fields.of(below(nodes), kind))
        )

    def _of_edge(
        self, nodes: list[FieldNode], kind: GraphQLObjectType, graphql_field: GraphQLField | None
    ) -> Selection | Fixed | None:
        if graphql_field is None:
            return Fixed(kind.name)
        return self._selection(nodes, graphql_field) if nodes[0].name.value == "node" else None


def is_included(node: SelectionNode, variables: VariableValues) -> bool:
    """Whether `@skip` and `@include` leave a selection in."""
    skip = get_directive_values(GraphQLSkipDirective, node, variables)
    include = get_directive_values(GraphQLIncludeDirective, node, variables)
    return not (skip and skip["if"]) and not (include and not include["if"])


def variables_in(nodes: Iterable[Node] | None) -> set[str]:
    """The names of the variables that stand in some nodes."""
    found: set[str] = set()

    class Variables(Visitor):
        def enter_variable(self, node: VariableNode, *_: object) -> None:
            found.add(node.name.value)

    for each in nodes or ():
        visit(each, Variables())
    return found


def below(nodes: list[FieldNode]) -> list[SelectionSetNode]:
    """What is selected below merged nodes."""
    return [each.selection_set for each in nodes if each.selection_set is not None]


def _readable_of(kind: GraphQLObjectType) -> Readable:
    found = readable_behind(kind)
    if found is None:
        raise NotCompilable("undeclared")
    return found
