# SPDX-License-Identifier: EUPL-1.2
"""Variables, arguments and rights, checked after validation and before any resolver runs.

A refusal here has no path. Permissions are constants of declarations: an operation that touches a type, or names a
mutation, for which the actor has no right anywhere is refused as a whole, before it has any effect.
"""

from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    is_composite_type,
    is_input_object_type,
    type_from_ast,
)
from graphql.execution import VariableValues, get_argument_values, get_variable_values
from strawberry.types.base import StrawberryMaybe, StrawberryOptional

from graphql_schema.context import Context
from graphql_schema.errors import coded, refused
from graphql_schema.reading import admission
from graphql_schema.reading.annotations import definition_of
from graphql_schema.reading.bounds import check_values
from graphql_schema.reading.plan import is_included
from services.kernel.errors import BadUserInput, RequestRefused

VARIABLE_ERRORS_MAX = 10
PERMISSION = "belfry.permission"
"""Where the metadata of a field that is not a declared read keeps the permission it needs."""


def check_arguments(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation_name: str | None,
    variables: dict[str, Any],
    context: Context,
) -> list[GraphQLError]:
    """Why a valid operation cannot run with these variables as this actor; at most a handful of errors."""
    operation = _operation(document, operation_name)
    coerced = get_variable_values(
        schema, operation.variable_definitions or (), variables, max_errors=VARIABLE_ERRORS_MAX, hide_suggestions=True
    )
    if isinstance(coerced, list):
        return [coded(error, BadUserInput.code) for error in coerced]
    root = schema.get_root_type(operation.operation)
    if root is None:
        return []
    try:
        _Walk(schema, document, coerced, context).run(operation.selection_set, root)
    except GraphQLError as error:
        return [coded(error, BadUserInput.code)]
    except RequestRefused as refusal:
        return [refused(refusal)]
    return admission.refusals(admission.needs_of(schema, document, operation, coerced), coerced, context)


class _Walk:
    """One pass over the fields of an operation. Each fragment is read once: its arguments are the same everywhere."""

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, variables: VariableValues, context: Context
    ) -> None:
        self.schema, self.variables, self.context = schema, variables, context
        self.fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }

    def run(self, selections: SelectionSetNode, root: GraphQLCompositeType) -> None:
        stack, seen = [(selections, root)], set[str]()
        while stack:
            selection_set, parent = stack.pop()
            for node in selection_set.selections:
                if not is_included(node, self.variables):
                    below = None
                elif isinstance(node, FieldNode):
                    below = self._field(node, parent)
                elif isinstance(node, InlineFragmentNode):
                    below = self._fragment(node, parent)
                elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                    seen.add(node.name.value)
                    below = self._fragment(self.fragments[node.name.value], parent)
                else:
                    below = None
                if below is not None:
                    stack.append(below)

    def _fragment(
        self, node: InlineFragmentNode | FragmentDefinitionNode, parent: GraphQLCompositeType
    ) -> tuple[SelectionSetNode, GraphQLCompositeType]:
        condition = type_from_ast(self.schema, node.type_condition) if node.type_condition else parent
        return node.selection_set, condition if is_composite_type(condition) else parent

    def _field(
        self, node: FieldNode, parent: GraphQLCompositeType
    ) -> tuple[SelectionSetNode, GraphQLCompositeType] | None:
        field = self.schema.get_field(parent, node.name.value)
        if field is None:
            return None
        if field.args:
            arguments = get_argument_values(field, node, self.variables, hide_suggestions=True)
            # A mutation names what is wrong with its input in userErrors, but for what its input cannot hold.
            if parent is not self.schema.get_root_type(OperationType.MUTATION):
                check_values(arguments)
            else:
                for name, value in arguments.items():
                    _check_given(field.args[name].type, value)
        definition = definition_of(field)
        if definition is not None and (permission := definition.metadata.get(PERMISSION)) is not None:
            self.context.actor.require(permission)
        below = get_named_type(field.type)
        return (node.selection_set, below) if node.selection_set is not None and is_composite_type(below) else None


def _check_given(kind: Any, value: Any) -> None:
    """Refuse null for a field that may only be left out. Strawberry finds it when other mutations have run already."""
    named = get_named_type(kind)
    if not is_input_object_type(named):
        return
    pending: list[Any] = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, list):
            pending.extend(each)
            continue
        for name in each or ():
            field = named.fields[name]
            definition = definition_of(field)
            declared = definition.type if definition else None
            may_be_null = not isinstance(declared, StrawberryMaybe) or isinstance(declared.of_type, StrawberryOptional)
            if each[name] is None and not may_be_null:
                raise BadUserInput("{name} may be left out, but it cannot be null.", name=name)
            _check_given(field.type, each[name])


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    return next((each for each in operations if each.name and each.name.value == name), operations[0])
