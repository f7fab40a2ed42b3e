# SPDX-License-Identifier: EUPL-1.2
"""Before an operation runs: may the actor read every type it selects, and can every list's arguments be answered?

A permission is a constant: whoever lacks it everywhere gets FORBIDDEN for the whole operation, before any resolver
runs, whether the type stands at the root, in a relation or in a payload. Rows are another matter: those that the actor
may not see are absent. Under `node(id:)` a fragment on a type without permission is skipped, because its rows are null.

What an operation needs depends on its text alone, so it is found once (`needs_of`) and asked for every actor.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_argument_values,
    get_named_type,
)
from graphql.execution import VariableValues

from graphql_schema.reading.annotations import definition_of
from graphql_schema.reading.declarations import readable_behind
from graphql_schema.reading.plan import is_included
from graphql_schema.reading.resolvers import ReadingContext, Reads, ReadsList, ReadsNodes
from services.kernel.access import Actor, Permission
from services.kernel.errors import Forbidden, RequestRefused

NOWHERE: frozenset[Permission] = frozenset()


@dataclass(frozen=True, slots=True)
class Need:
    """One declared read of an operation, and the permissions without which it is refused.

    `behind` are those of the fragments on `Node` around it: an actor who lacks one of them never gets here.
    """

    behind: frozenset[Permission]
    permissions: frozenset[Permission]
    reads: Reads
    field: GraphQLField
    node: FieldNode

    def concerns(self, actor: Actor) -> bool:
        """Whether this read can be reached by an actor."""
        return all(actor.may(each) for each in self.behind)

    def is_met(self, actor: Actor) -> bool:
        """Whether an actor may read it, or never reaches it."""
        return all(actor.may(each) for each in self.permissions) or not self.concerns(actor)


def needs_of(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: VariableValues
) -> Sequence[Need]:
    """Every declared read that a valid operation selects, in its order."""
    root = schema.get_root_type(operation.operation)
    walk = _Walk(schema, document, variables)
    return list(walk.selections(operation.selection_set, root, NOWHERE)) if root is not None else []


def refusals(needs: Sequence[Need], variables: VariableValues, context: ReadingContext) -> list[GraphQLError]:
    """The first reason why a valid operation may not run, without a path; `original_error` carries the code."""
    for need in needs:
        try:
            if need.concerns(context.actor):
                _admit(need, variables, context)
        except RequestRefused as error:
            return [GraphQLError(error.text, need.node, original_error=error)]
    return []


def _admit(need: Need, variables: VariableValues, context: ReadingContext) -> None:
    if not need.is_met(context.actor):
        raise Forbidden
    if isinstance(need.reads, ReadsList):
        need.reads.request(context, get_argument_values(need.field, need.node, variables))
    if isinstance(need.reads, ReadsNodes):
        need.reads.check(get_argument_values(need.field, need.node, variables)["ids"])


class _Walk:
    """One pass over what will be selected. Every fragment is looked at once for each type it is spread on."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: VariableValues) -> None:
        self.schema, self.variables = schema, variables
        fragments = (each for each in document.definitions if isinstance(each, FragmentDefinitionNode))
        self.fragments = {each.name.value: each for each in fragments}
        self.seen: set[tuple[str, str, frozenset[Permission]]] = set()

    def selections(
        self, selected: SelectionSetNode, parent: GraphQLNamedType, behind: frozenset[Permission]
    ) -> Iterator[Need]:
        for node in selected.selections:
            if not is_included(node, self.variables):
                continue
            if isinstance(node, FieldNode):
                yield from self._field(node, parent, behind)
            elif isinstance(node, InlineFragmentNode):
                name = node.type_condition.name.value if node.type_condition else parent.name
                yield from self._fragment(node.selection_set, name, parent, behind)
            elif isinstance(node, FragmentSpreadNode) and (node.name.value, parent.name, behind) not in self.seen:
                self.seen.add((node.name.value, parent.name, behind))
                fragment = self.fragments[node.name.value]
                yield from self._fragment(fragment.selection_set, fragment.type_condition.name.value, parent, behind)

    def _fragment(
        self, selected: SelectionSetNode, name: str, parent: GraphQLNamedType, behind: frozenset[Permission]
    ) -> Iterator[Need]:
        kind = self.schema.type_map[name]
        readable = readable_behind(kind)
        if isinstance(parent, GraphQLInterfaceType) and readable is not None:
            behind |= {readable.permission}
        yield from self.selections(selected, kind, behind)

    def _field(self, node: FieldNode, parent: GraphQLNamedType, behind: frozenset[Permission]) -> Iterator[Need]:
        is_composite = isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
        graphql_field = parent.fields.get(node.name.value) if is_composite else None
        if graphql_field is None:
            return
        definition: Any = definition_of(graphql_field)
        for reads in definition.extensions if definition is not None else ():
            if isinstance(reads, Reads):
                permissions = frozenset(each.permission for each in reads.targets)
                yield Need(behind, permissions, reads, graphql_field, node)
        if node.selection_set is not None:
            yield from self.selections(node.selection_set, get_named_type(graphql_field.type), behind)
