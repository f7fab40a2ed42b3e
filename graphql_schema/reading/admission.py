# SPDX-License-Identifier: EUPL-1.2
"""Before an operation runs: may the actor read every type it selects, and can every list's arguments be answered?

A permission is a constant: whoever lacks it everywhere gets FORBIDDEN for the whole operation, before any resolver
runs, whether the type stands at the root, in a relation or in a payload. Rows are another matter: those that the actor
may not see are absent. Under `node(id:)` a fragment on a type without permission is skipped, because its rows are null.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    get_argument_values,
    get_named_type,
    get_operation_ast,
    get_variable_values,
)
from graphql.execution import VariableValues

from graphql_schema.reading.annotations import definition_of
from graphql_schema.reading.declarations import readable_behind
from graphql_schema.reading.plan import is_included
from graphql_schema.reading.resolvers import ReadingContext, Reads, ReadsList, ReadsNodes
from services.kernel.errors import Forbidden, RequestRefused


def refusals(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation_name: str | None,
    variables: Mapping[str, Any] | None,
    context: ReadingContext,
) -> list[GraphQLError]:
    """The first reason why a valid operation may not run, without a path; `original_error` carries the code.

    Variables that cannot be coerced are left to the executor, which reports them itself.
    """
    operation = get_operation_ast(document, operation_name)
    if operation is None:
        return []
    coerced = get_variable_values(schema, operation.variable_definitions or (), dict(variables or {}))
    if isinstance(coerced, list):
        return []
    root = schema.get_root_type(operation.operation)
    walk = _Walk(schema, document, coerced, context)
    for error in walk.selections(operation.selection_set, root) if root is not None else ():
        return [error]
    return []


class _Walk:
    """One pass over what will be selected. Every fragment is looked at once for each type it is spread on."""

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, variables: VariableValues, context: ReadingContext
    ) -> None:
        self.schema, self.variables, self.context = schema, variables, context
        fragments = (each for each in document.definitions if isinstance(each, FragmentDefinitionNode))
        self.fragments = {each.name.value: each for each in fragments}
        self.seen: set[tuple[str, str]] = set()

    def selections(self, selected: SelectionSetNode, parent: GraphQLNamedType) -> Iterator[GraphQLError]:
        for node in selected.selections:
            if not is_included(node, self.variables):
                continue
            if isinstance(node, FieldNode):
                yield from self._field(node, parent)
            elif isinstance(node, InlineFragmentNode):
                name = node.type_condition.name.value if node.type_condition else parent.name
                yield from self._fragment(node.selection_set, name, parent)
            elif isinstance(node, FragmentSpreadNode) and (node.name.value, parent.name) not in self.seen:
                self.seen.add((node.name.value, parent.name))
                fragment = self.fragments[node.name.value]
                yield from self._fragment(fragment.selection_set, fragment.type_condition.name.value, parent)

    def _fragment(self, selected: SelectionSetNode, name: str, parent: GraphQLNamedType) -> Iterator[GraphQLError]:
        kind = self.schema.type_map[name]
        readable = readable_behind(kind)
        is_never_reached = readable is not None and not self.context.actor.may(readable.permission)
        if not (isinstance(parent, GraphQLInterfaceType) and is_never_reached):
            yield from self.selections(selected, kind)

    def _field(self, node: FieldNode, parent: GraphQLNamedType) -> Iterator[GraphQLError]:
        is_composite = isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
        graphql_field = parent.fields.get(node.name.value) if is_composite else None
        if graphql_field is None:
            return
        definition = definition_of(graphql_field)
        for reads in definition.extensions if definition is not None else ():
            if isinstance(reads, Reads):
                try:
                    self._admit(reads, lambda: get_argument_values(graphql_field, node, self.variables))
                except RequestRefused as error:
                    yield GraphQLError(error.text, node, original_error=error)
        if node.selection_set is not None:
            yield from self.selections(node.selection_set, get_named_type(graphql_field.type))

    def _admit(self, reads: Reads, arguments: Any) -> None:
        if not all(self.context.actor.may(each.permission) for each in reads.targets):
            raise Forbidden
        if isinstance(reads, ReadsList):
            reads.request(self.context, arguments())
        if isinstance(reads, ReadsNodes):
            reads.check(arguments()["ids"])
