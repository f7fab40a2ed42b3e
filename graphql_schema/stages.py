# SPDX-License-Identifier: EUPL-1.2
"""The stages of an operation inside Strawberry, with their limits: parse, walk, validate, check arguments, execute.

A stage refuses by `pre_execution_errors`, never by raising: what a hook raises skips the hooks after it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    validate,
)
from strawberry.extensions import SchemaExtension
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule
from strawberry.types.graphql import OperationType

from graphql_schema.arguments import check_arguments
from graphql_schema.billing import objects_in, pay, settle, told
from graphql_schema.errors import VALIDATION_FAILED, QueryCostExceeded, TimedOut, coded, refused
from graphql_schema.limits import (
    EXECUTION_SECONDS_MAX,
    PARSE_OPTIONS,
    check_document,
    check_operation_name,
    refusal_of_syntax,
)
from graphql_schema.reading.operations import Kept, Operations, Prepared
from graphql_schema.reading.readback import ReadBacks
from graphql_schema.reading.sharing import SharedOperation
from services.kernel.errors import BadUserInput, RequestRefused

if TYPE_CHECKING:
    from graphql_schema.schema import ApiSchema

VALIDATION_ERRORS_MAX = 20


class Stages(SchemaExtension):
    """Made anew for every operation. `introspection_open` closes `__schema` and `__type` by its subclass."""

    introspection_open = True
    kept: Kept | None = None
    prepared: Prepared | None = None
    read_backs: ReadBacks | None = None
    execution_seconds_max = EXECUTION_SECONDS_MAX

    def on_parse(self) -> Iterator[None]:
        execution = self.execution_context
        self.kept = self.operations.find(execution.query or "", provided_operation_name(execution))
        if self.kept is not None:
            execution.graphql_document = self.kept.document
            yield
            return
        cast("dict[str, int]", execution.parse_options).update(PARSE_OPTIONS)
        yield
        if execution.graphql_document is None:
            self._explain_syntax()
            return
        try:
            check_document(execution.graphql_document)
            check_operation_name(execution.graphql_document, provided_operation_name(execution))
        except RequestRefused as refusal:
            execution.pre_execution_errors = [refused(refusal)]

    def on_validate(self) -> Iterator[None]:
        execution = self.execution_context
        if execution.pre_execution_errors is None and execution.graphql_document is not None:
            execution.pre_execution_errors = self._findings(execution.graphql_document)
        yield

    @property
    def operations(self) -> Operations:
        """What this schema knows of earlier requests."""
        return cast("ApiSchema", self.execution_context.schema).operations

    async def on_execute(self) -> AsyncIterator[None]:
        execution = self.execution_context
        self._trim()
        if execution.operation_type is OperationType.SUBSCRIPTION:
            await pay(execution.context)
            yield  # lives long; each of its events is bounded by statement_timeout
            return
        try:
            async with asyncio.timeout(self.execution_seconds_max):
                await self._answer()
                yield
                self._put_back(execution.result)
        except TimeoutError as error:
            raise TimedOut from error
        finally:
            result: Any = execution.result
            settle(execution.context, None if result is None or result.data is None else objects_in(result.data))
        if execution.operation_type is OperationType.QUERY:
            self._refuse_bad_input()

    def get_results(self) -> dict[str, Any]:
        execution = self.execution_context
        is_priced = execution.context.bill.requested is not None
        is_told = is_priced and execution.operation_type is not OperationType.SUBSCRIPTION
        return {"cost": told(execution.context)} if is_told else {}

    def _explain_syntax(self) -> None:
        execution = self.execution_context
        for error in execution.pre_execution_errors or ():
            refusal = refusal_of_syntax(execution.query or "", error)
            if refusal is not None:
                error.original_error, error.message = refusal, refusal.text

    def _refuse_bad_input(self) -> None:
        """A page or cursor that only a resolver found bad refuses the whole query, as if it had been found before."""
        result: Any = self.execution_context.result
        found = [each.original_error for each in (result and result.errors) or ()]
        refusals = [each for each in found if isinstance(each, BadUserInput)]
        if refusals:
            result.data, result.errors = None, [refused(refusals[0])]

    def on_stream_result(self, result: Any) -> Iterator[None]:
        self._put_back(result)
        yield

    def _trim(self) -> None:
        """Leave to statements what payloads and events show of rows."""
        execution = self.execution_context
        if self.kept is None or execution.operation_type is OperationType.QUERY:
            return
        variables = execution.variables or {}
        divided = self.operations.divided(self.kept, variables, execution.context)
        if divided is None:
            return
        if execution.context.seat is not None:
            execution.context.seat.operation = SharedOperation(self.operations, self.kept, divided, variables)
        if divided.pieces:
            self.read_backs = ReadBacks(self.operations, divided.pieces, variables)
            execution.context.execution.read_backs = self.read_backs
            execution.graphql_document = divided.document

    def _put_back(self, result: Any) -> None:
        if self.read_backs is not None and result is not None:
            self.read_backs.put_into(result.data)

    async def _answer(self) -> None:
        """Answer by one statement where that is possible; then there is nothing left to execute."""
        execution = self.execution_context
        if execution.context.bill.is_only_priced:
            execution.result = ExecutionResult(data=None, errors=None)
            return
        try:
            await pay(execution.context)
            if self.prepared is None:
                return
            answer = await self.operations.answer(self.prepared, execution.context)
        except RequestRefused as refusal:
            execution.result = ExecutionResult(data=None, errors=[refused(refusal)])
            return
        if answer is not None:
            execution.result = ExecutionResult(data=cast("Any", orjson.Fragment(answer)), errors=None)

    def _findings(self, document: DocumentNode) -> list[GraphQLError]:
        execution = self.execution_context
        variables = execution.variables or {}
        if self.kept is None:
            errors = self._invalid(document)
            if errors:
                return errors
            name = provided_operation_name(execution)
            self.kept = self.operations.keep(execution.query or "", name, document)
        if self.kept is not None and not execution.context.execution.is_tried:
            self.prepared = self.operations.prepare(self.kept, variables, execution.context)
        if self.prepared is None:
            schema = cast("ApiSchema", execution.schema).core
            errors = check_arguments(schema, document, execution.operation_name, variables, execution.context)
            if errors:
                return errors
        return self._too_dear()

    def _too_dear(self) -> list[GraphQLError]:
        execution = self.execution_context
        try:
            if self.kept is not None:
                price, variables = self.operations.price(self.kept, execution.variables or {})
                execution.context.bill.deprecated = self.kept.deprecated
                execution.context.bill.set_price(price, variables, execution.context.query_cost_max)
        except QueryCostExceeded as refusal:
            return [refused(refusal)]
        return []

    def _invalid(self, document: DocumentNode) -> list[GraphQLError]:
        rules = list[Any](self.execution_context.validation_rules)
        if not self.introspection_open:
            rules.append(NoSchemaIntrospectionCustomRule)
        return invalid(cast("ApiSchema", self.execution_context.schema).core, document, rules)


class ClosedStages(Stages):
    """The same without introspection, for installations that close it."""

    introspection_open = False


def invalid(schema: GraphQLSchema, document: DocumentNode, rules: Iterable[Any]) -> list[GraphQLError]:
    """What is wrong with a document, by these rules and those that Strawberry adds to GraphQL."""
    every = [*rules, MaybeNullValidationRule, OneOfInputValidationRule]
    errors = validate(schema, document, every, max_errors=VALIDATION_ERRORS_MAX, hide_suggestions=True)
    return [coded(error, VALIDATION_FAILED) for error in errors]


def provided_operation_name(execution: Any) -> str | None:
    """The operationName that the client sent; `operation_name` guesses the first operation when it sent none."""
    return execution._provided_operation_name  # noqa: SLF001  private in Strawberry; test_schema guards each bump
