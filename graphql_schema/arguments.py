# SPDX-License-Identifier: EUPL-1.2
"""Variables, arguments and rights, checked after validation and before any resolver runs.

A refusal here has no path. Permissions are constants of declarations: an operation that touches a type, or names a
mutation, for which the actor has no right anywhere is refused as a whole, before it has any effect.
"""

from collections.abc import Mapping
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
    type_from_ast,
)
from graphql.execution import VariableValues, get_argument_values, get_variable_values

from graphql_schema.context import Context
from graphql_schema.errors import coded, refused
from graphql_schema.reading import admission
from graphql_schema.reading.annotations import definition_of
from services.kernel.errors import BadUserInput, RequestRefused

INPUT_LIST_MAX = 100
TEXT_LENGTH_MAX = 20_000
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
    return admission.refusals(schema, document, operation_name, variables, context)


def check_text(text: str) -> None:
    """Refuse what PostgreSQL cannot store in any text. Raises ValueError with a sentence for the caller."""
    if "\x00" in text:
        raise ValueError("Text cannot contain the character U+0000.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError("Text cannot contain half of a surrogate pair.") from error


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
                if isinstance(node, FieldNode):
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
            # A mutation names what is wrong with its input in userErrors.
            if parent is not self.schema.get_root_type(OperationType.MUTATION):
                _check_values(arguments)
        definition = definition_of(field)
        if definition is not None and (permission := definition.metadata.get(PERMISSION)) is not None:
            self.context.actor.require(permission)
        below = get_named_type(field.type)
        return (node.selection_set, below) if node.selection_set is not None and is_composite_type(below) else None


def _check_values(arguments: Mapping[str, Any]) -> None:
    stack: list[Any] = list(arguments.values())
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            if len(value) > TEXT_LENGTH_MAX:
                raise BadUserInput(f"A text has at most {TEXT_LENGTH_MAX} characters.")
            try:
                check_text(value)
            except ValueError as error:
                raise BadUserInput(str(error)) from error
        elif isinstance(value, list):
            if len(value) > INPUT_LIST_MAX:
                raise BadUserInput(f"A list has at most {INPUT_LIST_MAX} items.")
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.values())


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    return next((each for each in operations if each.name and each.name.value == name), operations[0])
