# SPDX-License-Identifier: EUPL-1.2
"""What a mutation's payload or an event shows of a row is a query of its own, put in its place afterwards.

    mutation { conversationClaim(input: $input) { conversation { id state } userErrors { code } } }

becomes, for the executor,

    mutation { conversationClaim(input: $input) { conversation { __typename } userErrors { code } } }

and, for the row that the act names, by the same ways as every query,

    query ($row: ID!) { node(id: $row) { ... on Conversation { id state } } }
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    NamedTypeNode,
    NameNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
)
from graphql.execution import VariableValues

from graphql_schema.reading.annotations import definition_of
from graphql_schema.reading.declarations import ReadBack, declaration_of
from graphql_schema.reading.plan import Fields, below, variables_in

PlacePath = tuple[str, ...]
"""Response keys from the root to a field; places in lists do not count."""

BEGINNING = "after"
"""The argument of a stream that says where it begins."""
TYPE_NAME_ONLY = SelectionSetNode(selections=(FieldNode(name=NameNode(value="__typename")),))
ROW = "belfryRow"
ID = NonNullTypeNode(type=NamedTypeNode(name=NameNode(value="ID")))


@dataclass(frozen=True, slots=True)
class Piece:
    """The query that answers one field of a payload, and the variable that holds the row's id."""

    document: DocumentNode
    operation: OperationDefinitionNode
    row: str

    @property
    def variables(self) -> frozenset[str]:
        """Those of the whole operation that are used here too."""
        return frozenset(each.variable.name.value for each in self.operation.variable_definitions or ()) - {self.row}


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The operation as the executor sees it, and what was taken out, by the path where it belongs."""

    document: DocumentNode
    pieces: Mapping[PlacePath, Piece]
    variables: frozenset[str]
    """All but those that only say where a stream begins."""


def trim(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: VariableValues
) -> Trimmed:
    """Take out of a valid mutation or subscription what payloads and events show of rows. Raises NotCompilable."""
    fields, pieces = Fields(schema, document, variables), dict[PlacePath, Piece]()
    root = schema.get_root_type(operation.operation)
    roots: list[FieldNode] = []
    for key, nodes, field in fields.of([operation.selection_set], root) if root is not None else ():
        payload = None if field is None else get_named_type(field.type)
        if not isinstance(payload, GraphQLObjectType):
            roots += nodes
            continue
        kept: list[FieldNode] = []
        for inner, deeper, graphql_field in fields.of(below(nodes), payload):
            definition = None if graphql_field is None else definition_of(graphql_field)
            if graphql_field is None or definition is None or not isinstance(declaration_of(definition), ReadBack):
                kept += deeper
                continue
            pieces[key, inner] = _piece(document, operation, deeper, get_named_type(graphql_field.type).name)
            kept.append(_with(deeper[0], TYPE_NAME_ONLY))
        roots.append(_with(nodes[0], SelectionSetNode(selections=tuple(kept))))
    changed = OperationDefinitionNode(
        operation=operation.operation,
        name=operation.name,
        variable_definitions=operation.variable_definitions,
        directives=operation.directives,
        selection_set=SelectionSetNode(selections=tuple(roots)),
        loc=operation.loc,
    )
    whole = DocumentNode(definitions=(changed, *_fragments(document)))
    return Trimmed(whole, pieces, _variables(document, operation))


def _piece(document: DocumentNode, operation: OperationDefinitionNode, nodes: list[FieldNode], kind: str) -> Piece:
    fragments = tuple(_fragments(document))
    used = variables_in([*nodes, *fragments])
    taken = {each.variable.name.value for each in operation.variable_definitions or ()}
    row = next(name for name in (ROW + "_" * more for more in range(len(taken) + 1)) if name not in taken)
    definitions = [each for each in operation.variable_definitions or () if each.variable.name.value in used]
    shown = [each.selection_set for each in nodes if each.selection_set is not None]
    fragment = InlineFragmentNode(
        type_condition=NamedTypeNode(name=NameNode(value=kind)),
        selection_set=SelectionSetNode(selections=tuple(one for each in shown for one in each.selections)),
    )
    variable = VariableNode(name=NameNode(value=row))
    field = FieldNode(
        name=NameNode(value="node"),
        arguments=(ArgumentNode(name=NameNode(value="id"), value=variable),),
        selection_set=SelectionSetNode(selections=(fragment,)),
    )
    query = OperationDefinitionNode(
        operation=OperationType.QUERY,
        variable_definitions=(VariableDefinitionNode(variable=variable, type=ID), *definitions),
        selection_set=SelectionSetNode(selections=(field,)),
    )
    return Piece(DocumentNode(definitions=(query, *fragments)), query, row)


def _variables(document: DocumentNode, operation: OperationDefinitionNode) -> frozenset[str]:
    roots = [_without_beginning(each) for each in operation.selection_set.selections]
    return frozenset(variables_in([*roots, *(operation.directives or ()), *_fragments(document)]))


def _without_beginning(node: SelectionNode) -> SelectionNode:
    if not isinstance(node, FieldNode):
        return node
    kept = tuple(each for each in node.arguments or () if each.name.value != BEGINNING)
    return FieldNode(name=node.name, arguments=kept, directives=node.directives, selection_set=node.selection_set)


def _with(node: FieldNode, selection_set: SelectionSetNode) -> FieldNode:
    return FieldNode(
        alias=node.alias,
        name=node.name,
        arguments=node.arguments,
        directives=node.directives,
        selection_set=selection_set,
        loc=node.loc,
    )


def _fragments(document: DocumentNode) -> Iterator[FragmentDefinitionNode]:
    return (each for each in document.definitions if isinstance(each, FragmentDefinitionNode))
