# SPDX-License-Identifier: EUPL-1.2
"""The one way to declare a mutation, with its input and its payload.

    @mutation_input
    class ConversationClaimInput:
        \"\"\"Which conversation to take.\"\"\"

        conversation_id: UUID = id_of(Conversation, "The conversation to take.")


    @mutation_payload
    class ConversationClaimPayload:
        \"\"\"What a claim answers.\"\"\"

        conversation: Conversation | None = read_back("The conversation after the claim.")


    @strawberry.type
    class ConversationMutations:
        @mutation("Take a conversation.", permission=Permission.CONVERSATION_CLAIM)
        async def conversation_claim(self, act: Act, input: ConversationClaimInput) -> ConversationClaimPayload:
            row = await commands.claim(act.uow, conversation_id=input.conversation_id)
            return ConversationClaimPayload(conversation=Conversation.of(row.id))

The layer opens one unit of work and commits it, turns refusals into `userErrors`, decodes global ids, bounds texts and
lists, answers a CONFLICT with the current node, and remembers the answer when the input has an idempotency key. A
refusal rolls back: nothing is written and nothing emitted.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, TypeVar, get_type_hints
from uuid import UUID

import strawberry
from strawberry.types.base import get_object_definition
from strawberry.types.field import StrawberryField

from graphql_schema.arguments import PERMISSION
from graphql_schema.context import Context
from graphql_schema.inputs import (
    IDEMPOTENCY_KEY,
    changes_in,
    decode,
    given,
    id_of,
    idempotency_key,
    ids_in,
    mutation_input,
    request_hash,
)
from graphql_schema.payloads import (
    PayloadShape,
    UserError,
    UserErrorCode,
    mutation_payload,
    mutation_result,
    payload_shape,
    result_of,
    results,
    shown_once,
)
from graphql_schema.reading.resolvers import visible_ids
from graphql_schema.reading.sizes import MUTATION as MUTATION_COST
from services.kernel import idempotency
from services.kernel.access import Actor, Permission
from services.kernel.database import UnitOfWork
from services.kernel.errors import Conflict, DomainError, NotFound
from services.kernel.languages import Language
from services.kernel.runtime import Runtime

__all__ = [
    "Act",
    "Errand",
    "MutationDeclaration",
    "UserError",
    "UserErrorCode",
    "changes_in",
    "errand",
    "given",
    "id_of",
    "idempotency_key",
    "mutation",
    "mutation_input",
    "mutation_of",
    "mutation_payload",
    "mutation_result",
    "result_of",
    "results",
    "shown_once",
]

Info = strawberry.Info[Any, Any]

MUTATION = "belfry.mutation"
"""Where a field's metadata keeps its declaration."""

INPUT_DESCRIPTION = "What to do, and to what."


@dataclass(frozen=True)
class Act:
    """What a mutation works with. The unit of work is open; the layer commits it, or rolls it back."""

    uow: UnitOfWork
    runtime: Runtime
    schema: strawberry.Schema

    @property
    def actor(self) -> Actor:
        return self.uow.actor


Act_ = TypeVar("Act_", bound=Callable[..., Awaitable[Any]])


@dataclass(frozen=True)
class MutationDeclaration:
    """One mutation: its name as `noun_verb`, who may do it anywhere at all, and the function that does it."""

    name: str
    permission: Permission
    input: type
    payload: type
    function: Callable[..., Awaitable[Any]]

    @cached_property
    def shape(self) -> PayloadShape:
        """What the payload holds. Its types must be resolvable by now."""
        return payload_shape(self.payload)

    async def run(self, root: Any, info: Info, asked: Any) -> Any:
        """Do it once, in one unit of work. Returns the payload; raises only what the caller cannot repair."""
        context: Context = info.context
        context.actor.require(self.permission)
        decoded, refusals = decode(asked)
        if refusals:
            return self.shape.refused(refusals, {}, context.language)
        try:
            async with context.unit_of_work() as uow:
                return await self._act(root, Act(uow, context.runtime, info.schema), asked, decoded)
        except DomainError as refusal:
            return await self._refused(context, refusal, decoded)

    async def _act(self, root: Any, act: Act, asked: Any, decoded: Any) -> Any:
        key = getattr(asked, IDEMPOTENCY_KEY, None)
        if key is None:
            return await self.function(root, act, decoded)
        answer = await idempotency.begin(act.uow, key, request_hash(self.name, asked))
        if answer is not None:
            return self.shape.restored(answer)
        payload = await self.function(root, act, decoded)
        await idempotency.answer(act.uow, key, self.shape.ids(payload))
        return payload

    async def _refused(self, context: Context, refusal: DomainError, decoded: Any) -> Any:
        ids = list(ids_in(self.input))
        if isinstance(refusal, NotFound) and not refusal.field and ids:
            refusal.field = (await self._missing(context, decoded) or ids[0][0],)
        current: dict[str, UUID] = {}
        if isinstance(refusal, Conflict):
            named = {target: getattr(decoded, name) for name, target in reversed(ids)}
            current = {name: named[node] for name, node in self.shape.nodes.items() if named.get(node) is not None}
        return self.shape.refused([refusal], current, context.language)

    async def _missing(self, context: Context, decoded: Any) -> str | None:
        """The first field whose id names no row that the actor sees: malformed, unknown and foreign ids alike."""
        async with context.snapshot() as snapshot:
            for name, target in ids_in(self.input):
                value = getattr(decoded, name)
                rows: list[UUID] = value if isinstance(value, list) else [value] if value is not None else []
                if rows and not set(rows) <= await visible_ids(snapshot, target, rows):
                    return name
        return None


@dataclass(frozen=True)
class Errand:
    """What a mutation works with that has no one transaction: it calls the outside, or acts on each of many rows."""

    actor: Actor
    runtime: Runtime
    language: Language


class ErrandDeclaration(MutationDeclaration):
    """A mutation whose handler calls a network between two units of work.

    It takes no idempotency key: repeating it is harmless, because the second unit of work decides.
    """

    async def run(self, root: Any, info: Info, asked: Any) -> Any:
        """Do it once. Returns the payload; raises only what the caller cannot repair."""
        context: Context = info.context
        context.actor.require(self.permission)
        decoded, refusals = decode(asked)
        if refusals:
            return self.shape.refused(refusals, {}, context.language)
        try:
            return await self.function(root, Errand(context.actor, context.runtime, context.language), decoded)
        except DomainError as refusal:
            return await self._refused(context, refusal, decoded)


def mutation(description: str, *, permission: Permission) -> Callable[[Act_], Any]:
    """Make a mutation of `async def noun_verb(self, act: Act, input: NounVerbInput) -> NounVerbPayload`.

    `permission` is checked before the document runs; the command requires it again, as its first line.
    """
    return _declare(description, permission, MutationDeclaration, {"act": Act})


def errand(description: str, *, permission: Permission) -> Callable[[Act_], Any]:
    """Make a mutation that must call the outside, of `async def noun_verb(self, errand: Errand, input: …)`."""
    return _declare(description, permission, ErrandDeclaration, {"errand": Errand})


def _declare(
    description: str, permission: Permission, kind: type[MutationDeclaration], first: dict[str, type]
) -> Callable[[Act_], Any]:
    def declare(function: Act_) -> StrawberryField:
        declaration = _declaration(function, permission, kind, first)

        async def resolve(self: Any, info: Any, input: Any) -> Any:  # noqa: A002  the argument's name in the schema
            return await declaration.run(self, info, input)

        resolve.__name__, resolve.__qualname__ = function.__name__, function.__qualname__
        resolve.__module__ = function.__module__
        resolve.__annotations__ = {
            "info": strawberry.Info,
            "input": Annotated[declaration.input, strawberry.argument(description=INPUT_DESCRIPTION)],
            "return": declaration.payload,
        }
        metadata = {MUTATION: declaration, PERMISSION: permission}
        return strawberry.mutation(
            resolver=resolve, description=description, metadata=metadata, directives=[MUTATION_COST]
        )

    return declare


def mutation_of(field: StrawberryField) -> MutationDeclaration | None:
    """The declaration of a mutation's field; None for every other field."""
    return field.metadata.get(MUTATION)


def check_mutations(root: type) -> None:
    """Refuse a mutation root with a field that was not declared here, or whose payload cannot hold what it must."""
    for field in get_object_definition(root, strict=True).fields:
        declaration = mutation_of(field)
        if declaration is None:
            raise TypeError(f"{root.__name__}.{field.python_name} must be declared with @mutation.")
        _ = declaration.shape


def _declaration(
    function: Callable[..., Awaitable[Any]],
    permission: Permission,
    kind: type[MutationDeclaration],
    first: dict[str, type],
) -> MutationDeclaration:
    name, path = function.__name__, f"{function.__module__}.{function.__qualname__}"
    hints = get_type_hints(function)
    pascal = "".join(part.capitalize() for part in name.split("_"))
    expected = {**first, "input": f"{pascal}Input", "return": f"{pascal}Payload"}
    found = {key: hint if key in first else getattr(hint, "__name__", hint) for key, hint in hints.items()}
    if found != expected:
        given_first = ", ".join(f"{key}: {hint.__name__}" for key, hint in first.items())
        signature = f"async def {name}(self, {given_first}, input: {pascal}Input) -> {pascal}Payload"
        raise TypeError(f"{path} must be declared as: {signature}")
    return kind(name, permission, hints["input"], hints["return"], function)
