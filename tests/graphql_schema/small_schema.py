# SPDX-License-Identifier: EUPL-1.2
"""A small schema made with the same machinery as the real one: what can go wrong in a resolver, and three mutations."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import text
from strawberry.extensions import FieldExtension

from graphql_schema.context import Context
from graphql_schema.mutation import Act, given, id_of, idempotency_key, mutation, mutation_input, mutation_payload
from graphql_schema.reading.mapping import read_back
from graphql_schema.reading.roots import NodeQueries
from graphql_schema.schema import ApiSchema, build_schema
from graphql_schema.tenancy.queries import TenancyQueries
from graphql_schema.tenancy.types import Department
from services.kernel.access import Permission
from services.kernel.errors import BadUserInput, Conflict, Forbidden, InvalidState, NotFound, ServiceUnavailable
from services.tenancy import queries
from services.tenancy.events import DepartmentAdded
from services.tenancy.models import Department as DepartmentRow

SECRET = "a citizen's own words"
FORBIDDEN_NAME = "Refused"


@strawberry.type(description="Something that contains itself.")
class Nested:
    """A type that can be selected to any depth."""

    name: str = strawberry.field(description="Its name.")

    @strawberry.field(description="The same again.")
    async def inner(self) -> "Nested":
        return self


class Tripwire(FieldExtension):
    """Counts how often any resolver of the small schema ran."""

    runs = 0

    async def resolve_async(self, next_: Any, source: Any, info: Any, **arguments: Any) -> Any:
        Tripwire.runs += 1
        return await next_(source, info, **arguments)


@strawberry.type(description="Everything that can be read.")
class Query(NodeQueries, TenancyQueries):
    """Roots that work, and roots that do not."""

    @strawberry.field(description="The same text again.", extensions=[Tripwire()])
    async def echo(self, text: str = "hello", texts: list[str] | None = strawberry.UNSET) -> str | None:
        return text

    @strawberry.field(description="A number again.")
    async def number(self, of: int) -> int:
        return of

    @strawberry.field(description="A type that contains itself.")
    async def nested(self) -> Nested:
        return Nested(name="one")

    @strawberry.field(description="Fails with an error of ours.")
    async def fails(self, how: str) -> str | None:
        raise {"FORBIDDEN": Forbidden, "UNAVAILABLE": ServiceUnavailable, "INPUT": BadUserInput, "NOT_FOUND": NotFound}[
            how
        ]

    @strawberry.field(description="Fails in the database.")
    async def broken_sql(self, info: strawberry.Info[Context, None]) -> str | None:
        async with info.context.snapshot() as snapshot:
            wrong = text("select no_such_column, :secret from belfry.department where tenant_id = :actor_tenant")
            await snapshot.rows(wrong, secret=SECRET)
        return None

    @strawberry.field(description="Answers null where it may not.")
    async def never_null(self) -> str:
        return None  # pyright: ignore[reportReturnType]

    @strawberry.field(description="Takes its time.")
    async def slow(self, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return True


@mutation_input
class DepartmentAddInput:
    """What to add."""

    code: str = given("Its code.", length_max=20)
    name: str = given("Its name.")
    aliases: list[str] | None = given("Other names.")
    parent_id: UUID | None = id_of(Department, "The department above.")
    idempotency_key: str | None = idempotency_key()


@mutation_payload
class DepartmentAddPayload:
    """What was added."""

    department: Department | None = read_back("The new department.")


@mutation_input
class DepartmentRenameInput:
    """Which department to rename, and how."""

    department_id: UUID = id_of(Department, "The department.")
    name: str = given("Its new name.")
    expected_version: int = given("The version that the caller has seen.")


@mutation_payload
class DepartmentRenamePayload:
    """What a renaming answers."""

    department: Department | None = read_back("The department now.")


@mutation_input
class DepartmentMoveInput:
    """Which department to move, and below which."""

    department_id: UUID = id_of(Department, "The department.")
    above_id: UUID = id_of(Department, "The department above.")


@mutation_payload
class DepartmentMovePayload:
    """What a move answers."""

    department: Department | None = read_back("The department now.")


@mutation_input
class DepartmentBreakInput:
    """Which department to break."""

    department_id: UUID = id_of(Department, "The department.")


@mutation_payload
class DepartmentBreakPayload:
    """Never answered."""

    department: Department | None = read_back("The department.")


@strawberry.type(description="Everything that can be done.")
class Mutation:
    """Acts on departments, which only Belfry itself may do in earnest."""

    @mutation("Add a department.", permission=Permission.SOCIAL_ACCOUNT_REGISTER)
    async def department_add(self, act: Act, input: DepartmentAddInput) -> DepartmentAddPayload:  # noqa: A002
        row = DepartmentRow(
            tenant_id=act.actor.tenant_id,
            code=input.code,
            name=input.name,
            sort_key=input.name,
            parent_id=input.parent_id,
        )
        if input.parent_id is not None:
            await queries.department(act.uow, input.parent_id)
        act.uow.add(row)
        act.uow.emit(DepartmentAdded(department_id=row.id))
        await act.uow.flush()
        if input.name == FORBIDDEN_NAME:
            raise InvalidState("Not with this name.", field=("name",))
        return DepartmentAddPayload(department=Department.of(row.id))

    @mutation("Rename a department.", permission=Permission.SOCIAL_ACCOUNT_REGISTER)
    async def department_rename(self, act: Act, input: DepartmentRenameInput) -> DepartmentRenamePayload:  # noqa: A002
        row = await queries.department(act.uow, input.department_id)
        if row.version != input.expected_version:
            raise Conflict(field=("expected_version",))
        row.name = input.name
        return DepartmentRenamePayload(department=Department.of(row.id))

    @mutation("Put a department below another.", permission=Permission.SOCIAL_ACCOUNT_REGISTER)
    async def department_move(self, act: Act, input: DepartmentMoveInput) -> DepartmentMovePayload:  # noqa: A002
        above = await queries.department(act.uow, input.above_id)
        row = await queries.department(act.uow, input.department_id)
        row.parent_id = above.id
        return DepartmentMovePayload(department=Department.of(row.id))

    @mutation("Fail after writing.", permission=Permission.SOCIAL_ACCOUNT_REGISTER)
    async def department_break(self, act: Act, input: DepartmentBreakInput) -> DepartmentBreakPayload:  # noqa: A002
        act.uow.add(DepartmentRow(tenant_id=act.actor.tenant_id, code="ROADS", name="Twice", sort_key="twice"))
        return DepartmentBreakPayload(department=None)


@strawberry.type(description="Everything that can be followed.")
class Subscription:
    """A stream that counts, and one that fails."""

    @strawberry.subscription(description="Counts up to a number.")
    async def count(self, to: int = 3) -> AsyncGenerator[int, None]:
        for each in range(1, to + 1):
            yield each

    @strawberry.subscription(description="Never says anything.")
    async def silence(self) -> AsyncGenerator[int, None]:
        await asyncio.sleep(3600)
        yield 0

    @strawberry.subscription(description="Fails in the middle.")
    async def breaks(self, info: strawberry.Info[Context, None]) -> AsyncGenerator[int, None]:
        yield 1
        async with info.context.snapshot() as snapshot:
            await snapshot.rows(text("select no_such_column from belfry.department where tenant_id = :actor_tenant"))


def small_schema() -> ApiSchema:
    """The small schema, built as the real one is."""
    return build_schema(Query, Mutation, Subscription)
