# SPDX-License-Identifier: EUPL-1.2
"""Operations that are compiled: what is kept from one request to the next, and how one is answered.

    text        the valid document, by the SHA-256 of what was sent and the operation's name: parsed, bounded and
                validated once
    plan        for it, by the values of the variables that @skip and @include read
    statement   for that, by the shape of the other arguments

Each cache is bounded by the length of the texts it stands for. A request with a known text reads its variables, asks
whether its actor may, and runs the statement. Whatever cannot be answered so takes the ordinary executor as a whole:
what the planner does not know, and everything that is refused, so that there is one place that words a refusal.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from random import SystemRandom
from typing import Any, Protocol
from uuid import UUID

import structlog
from cachetools import LRUCache
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    get_operation_ast,
    print_schema,
)
from graphql.execution import VariableValues, get_variable_values
from graphql.language import Visitor, visit

from graphql_schema.reading.admission import Need, needs_of
from graphql_schema.reading.binding import run, safe_form
from graphql_schema.reading.deprecated import Deprecated, deprecated_in
from graphql_schema.reading.execution import FALLBACKS, SAMPLES, STATEMENTS, Executor, Spent
from graphql_schema.reading.plan import NotCompilable, Plan, plan
from graphql_schema.reading.price import Price, price_of
from graphql_schema.reading.requests import Request, requests_of, shape_of
from graphql_schema.reading.resolvers import ReadingContext
from graphql_schema.reading.sampling import alike, ordinarily
from graphql_schema.reading.sql import Statement, write
from graphql_schema.reading.trimming import Piece, PlacePath, Trimmed, trim
from services.kernel.access import Actor
from services.kernel.errors import RequestRefused
from services.kernel.reads import Answers, Moment
from services.kernel.settings import TenantBinding

DOCUMENT_CHARACTERS_MAX = 4_000_000
"""Of all documents that are kept; a parsed document takes some fifty times as much memory as its text."""
STATEMENT_CHARACTERS_MAX = 64_000_000
PLAN_WEIGHT = 1_000
TENANTS_MAX = 32
"""Organizations for which one plan keeps the arguments that do not change."""

CHANCE = SystemRandom()
log = structlog.get_logger()

TextKey = tuple[bytes, str | None]


@dataclass(frozen=True, slots=True)
class Kept:
    """A valid document, and the operation of it that runs. `switches` are the variables of @skip and @include."""

    key: TextKey
    document: DocumentNode
    operation: OperationDefinitionNode
    switches: tuple[str, ...]
    deprecated: tuple[Deprecated, ...] = ()
    spent: Spent = field(default_factory=Spent, compare=False)


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of an operation, or why it has none; and what an actor needs for it."""

    plan: Plan | None
    reason: str
    needs: Sequence[Need]
    known: LRUCache[UUID, dict[int, Request]] = field(default_factory=lambda: LRUCache(TENANTS_MAX), compare=False)
    """By organization: the requests that do not change."""

    def admits(self, actor: Actor) -> bool:
        return all(each.is_met(actor) for each in self.needs)


@dataclass(frozen=True, slots=True)
class Written:
    """A statement, and how its organization is bound when it runs."""

    statement: Statement
    binding: TenantBinding

    async def run(self, prepared: "Prepared", context: "CompiledContext") -> str | None:
        """The JSON of the answer. Raises ServiceUnavailable."""
        actor, statement = context.actor, self.statement
        values = statement.values(actor, prepared.requests)
        return await run(statement.text, self.binding, actor.tenant_id, values, context.reads)


@dataclass(frozen=True, slots=True)
class Divided:
    """A mutation or subscription for the executor, and by their places the queries that were taken out of it."""

    document: DocumentNode
    pieces: Mapping[PlacePath, tuple[Piece, Kept]]
    variables: frozenset[str]
    """Those on which an answer depends."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One request that will be answered by a statement."""

    kept: Kept
    key: tuple[Any, ...]
    plan: Plan
    requests: Sequence[Request]
    raw: dict[str, Any]
    price: Price
    variables: Mapping[str, Any]


class CompiledContext(ReadingContext, Protocol):
    """What a context offers beyond what the ordinary executor asks for."""

    @property
    def reads(self) -> Answers: ...
    @property
    def request_id(self) -> str: ...
    @property
    def query_cost_max(self) -> int: ...
    def moments(self) -> AbstractAsyncContextManager[Moment]: ...
    def at(self, moment: Moment) -> "CompiledContext": ...


class Operations:
    """The operations of one schema. Made with it, used by all requests of the process."""

    def __init__(self, schema: GraphQLSchema, sampled_share: float = 0) -> None:
        self.schema, self.sampled_share = schema, sampled_share
        self.announces = "@deprecated" in print_schema(schema)
        """Whether anything at all goes away, so that documents are looked at for it."""
        self._texts: LRUCache[TextKey, Kept] = LRUCache(DOCUMENT_CHARACTERS_MAX, getsizeof=_length)
        self._plans: LRUCache[Any, Planned] = LRUCache(DOCUMENT_CHARACTERS_MAX, getsizeof=_weight)
        self._prices: LRUCache[Any, Price] = LRUCache(DOCUMENT_CHARACTERS_MAX, getsizeof=lambda _: PLAN_WEIGHT)
        self._trims: LRUCache[Any, Divided | None] = LRUCache(DOCUMENT_CHARACTERS_MAX, getsizeof=lambda _: PLAN_WEIGHT)
        self._statements: LRUCache[Any, Written] = LRUCache(STATEMENT_CHARACTERS_MAX, getsizeof=_size)

    # Documents.

    def find(self, text: str, name: str | None) -> Kept | None:
        """What is known of a text and an operation's name; None when it was not seen, or not lately."""
        return self._texts.get(_key(text, name))

    def keep(self, text: str, name: str | None, document: DocumentNode) -> Kept | None:
        """Remember a document that has been found valid. None when it does not have the operation."""
        operation = get_operation_ast(document, name)
        if operation is None:
            return None
        deprecated = deprecated_in(self.schema, document) if self.announces else ()
        kept = Kept(_key(text, name), document, operation, _switches(document), deprecated)
        if len(text) <= DOCUMENT_CHARACTERS_MAX:
            self._texts[kept.key] = kept
        return kept

    def spent(self) -> Mapping[str, Spent]:
        """The database's time by the hash of the document, for those that are known now."""
        return {kept.key[0].hex(): kept.spent for kept in self._texts.values() if kept.spent.runs}

    def price(self, kept: Kept, raw: Mapping[str, Any]) -> tuple[Price, Mapping[str, Any]]:
        """What an operation may cost, and the variables that decide it. They must be in order."""
        variables = get_variable_values(self.schema, kept.operation.variable_definitions or (), dict(raw))
        if isinstance(variables, list):
            raise variables[0]
        return self._price(kept, variables), variables.coerced

    def _price(self, kept: Kept, variables: VariableValues) -> Price:
        key = (kept.key, tuple(variables.coerced.get(each) for each in kept.switches))
        found = self._prices.get(key)
        if found is None:
            found = self._prices[key] = price_of(self.schema, kept.document, kept.operation, variables)
        return found

    # Requests.

    def prepare(self, kept: Kept, variables: Mapping[str, Any], context: CompiledContext) -> Prepared | None:
        """Make a request ready to be answered by a statement; None, and counted, when the ordinary way must be taken.

        Never raises: what is wrong with a request, the ordinary way finds out and says.
        """
        if kept.operation.operation is not OperationType.QUERY:
            return None
        try:
            return self._prepare(kept, variables, context)
        except NotCompilable as error:
            FALLBACKS.labels(error.reason).inc()
        except (RequestRefused, GraphQLError):
            FALLBACKS.labels("refused").inc()
        except Exception as error:  # noqa: BLE001  a hook of Strawberry must not raise: nothing would mask it
            _report(error, kept, context)
        return None

    def divided(self, kept: Kept, variables: Mapping[str, Any], context: CompiledContext) -> Divided | None:
        """A mutation or subscription without what its payloads show of rows; None when it must run as it is."""
        if context.execution.asked is Executor.ORDINARY:
            return None
        coerced = get_variable_values(self.schema, kept.operation.variable_definitions or (), dict(variables))
        if isinstance(coerced, list):
            return None
        key = (kept.key, tuple(coerced.coerced.get(each) for each in kept.switches))
        if key not in self._trims:
            try:
                self._trims[key] = _divide(kept, trim(self.schema, kept.document, kept.operation, coerced))
            except NotCompilable:
                self._trims[key] = None
        return self._trims[key]

    async def answer(self, prepared: Prepared, context: CompiledContext) -> str | None:
        """The JSON of the answer; None, and counted, when the ordinary way must be taken. Raises ServiceUnavailable."""
        try:
            return await self._answer(prepared, context)
        except NotCompilable as error:
            FALLBACKS.labels(error.reason).inc()
        except RequestRefused:
            raise
        except Exception as error:  # noqa: BLE001  as above
            _report(error, prepared.kept, context)
        return None

    def _prepare(self, kept: Kept, raw: Mapping[str, Any], context: CompiledContext) -> Prepared:
        if context.execution.asked is Executor.ORDINARY:
            raise NotCompilable("asked")
        variables = get_variable_values(self.schema, kept.operation.variable_definitions or (), dict(raw))
        if isinstance(variables, list):
            raise variables[0]
        key = (kept.key, tuple(variables.coerced.get(each) for each in kept.switches))
        planned = self._plans.get(key)
        if planned is None:
            planned = self._plans[key] = self._planned(kept, variables)
        if planned.plan is None:
            raise NotCompilable(planned.reason)
        if not planned.admits(context.actor):
            raise NotCompilable("refused")
        known = planned.known.get(context.actor.tenant_id)
        if known is None:
            known = planned.known[context.actor.tenant_id] = {}
        price = self._price(kept, variables)
        if price.of(variables.coerced) > context.query_cost_max:
            raise NotCompilable("refused")
        requests = requests_of(planned.plan, variables, context, known)
        key = (*key, shape_of(requests))
        return Prepared(kept, key, planned.plan, requests, dict(raw), price, variables.coerced)

    def _planned(self, kept: Kept, variables: VariableValues) -> Planned:
        try:
            found = plan(self.schema, kept.document, kept.operation, variables)
        except NotCompilable as error:
            return Planned(None, error.reason, ())
        return Planned(found, "", needs_of(self.schema, kept.document, kept.operation, variables))

    async def _answer(self, prepared: Prepared, context: CompiledContext) -> str:
        written = self._statements.get(prepared.key)
        if written is None:
            written = await self._written(prepared, context.reads)
        started = time.perf_counter()
        answer = await written.run(prepared, context)
        prepared.kept.spent.add(time.perf_counter() - started)
        if self.sampled_share and CHANCE.random() < self.sampled_share:
            await self._compare(prepared, written, context)
        if answer is None:
            raise NotCompilable("not_bound")
        context.execution.used = Executor.COMPILED
        return answer

    async def _compare(self, prepared: Prepared, written: Written, context: CompiledContext) -> None:
        """Answer once more in both ways at one moment, and count whether they agree. The client waits for it."""
        outcome = "failed"
        try:
            async with context.moments() as moment:
                then = context.at(moment)
                compiled = await written.run(prepared, then) or ""
                ordinary = await ordinarily(
                    self.schema, prepared.kept.document, prepared.kept.key[1], prepared.raw, then
                )
            outcome = "equal" if alike(compiled.encode(), ordinary, moment.began_at) else "different"
        except Exception as error:  # noqa: BLE001  the answer is there already
            log.warning("sample_failed", request_id=context.request_id, kind=type(error).__name__)
        SAMPLES.labels(outcome).inc()
        if outcome == "different":
            log.error("sample_differs", request_id=context.request_id, operation=prepared.kept.key[0].hex())

    async def _written(self, prepared: Prepared, reads: Answers) -> Written:
        written = Written(*await safe_form(partial(write, prepared.plan, prepared.requests), reads))
        STATEMENTS.labels(written.binding.value).inc()
        self._statements[prepared.key] = written
        return written


def price_without_variables(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> int:
    """The price of a valid operation with pages of their usual size, and with the dearer of all switches on or off."""
    switches = _switches(document)
    values = [VariableValues({}, dict.fromkeys(switches, state)) for state in (True, False)]
    return max(price_of(schema, document, operation, each).of({}) for each in values)


def _key(text: str, name: str | None) -> TextKey:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest(), name


def _length(kept: Kept) -> int:
    source = kept.document.loc.source.body if kept.document.loc else ""
    return len(source) + PLAN_WEIGHT


def _weight(planned: Planned) -> int:
    return PLAN_WEIGHT * (1 + len(planned.needs))


def _size(written: Written) -> int:
    return len(written.statement.text)


def _divide(kept: Kept, trimmed: Trimmed) -> Divided:
    pieces: dict[PlacePath, tuple[Piece, Kept]] = {}
    for path, piece in trimmed.pieces.items():
        digest = hashlib.sha256(b"/".join((kept.key[0], *(each.encode() for each in path)))).digest()
        key = (digest, kept.key[1])
        pieces[path] = (piece, Kept(key, piece.document, piece.operation, _switches(piece.document), (), kept.spent))
    return Divided(trimmed.document, pieces, trimmed.variables)


def _switches(document: DocumentNode) -> tuple[str, ...]:
    """The variables on which the shape of the answer depends."""
    found: set[str] = set()

    class Switches(Visitor):
        def enter_directive(self, node: Any, *_: Any) -> None:
            if node.name.value in ("skip", "include"):
                values = (each.value for each in node.arguments)
                found.update(each.name.value for each in values if isinstance(each, VariableNode))

    visit(document, Switches())
    return tuple(sorted(found))


def _report(error: Exception, kept: Kept, context: CompiledContext) -> None:
    FALLBACKS.labels("defect").inc()
    log.error(
        "compiled_read_failed",
        request_id=context.request_id,
        operation=kept.key[0].hex(),
        kind=type(error).__name__,
        exc_info=error,
    )
