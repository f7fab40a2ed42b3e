# SPDX-License-Identifier: EUPL-1.2
"""What goes away is told in headers and counted for each client: by text, by known text, on every transport."""

from collections.abc import AsyncIterator, Mapping
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import pytest
import strawberry
from graphql import build_schema as build_core_schema
from graphql import parse
from sqlmodel import col

from graphql_schema import deprecations
from graphql_schema.deprecations import Uses, headers
from graphql_schema.reading.deprecated import deprecated_in
from graphql_schema.schema import Mutation, Query, Subscription, build_schema
from services.identity import commands
from services.identity.events import DeprecatedUseNoted
from services.kernel.access import Role
from services.kernel.audit import AuditEvent
from services.kernel.isolation import owned
from services.kernel.settings import Settings
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.exporting import row_id
from tests.graphql_schema.machines import Machine, machine
from tests.graphql_schema.serving import Served, served
from tests.graphql_schema.street import Street
from tests.services.conversations.scenes import sql

REASON = "Use new. Removed after 2027-12-31."
LATER = "Use new. Removed after 2028-06-30."
USES = "{ deprecatedUses { nodes { name times client { id } } } }"
SDL = f"""
enum Kind {{ OLD @deprecated(reason: "{REASON}") NEW }}
input Wish {{ old: Int @deprecated(reason: "{REASON}") new: Int inner: Wish kind: Kind }}
type Thing {{
  old: Int @deprecated(reason: "{REASON}") new: Int
  things(old: Int @deprecated(reason: "{REASON}")): [Thing]
}}
type Query {{ thing(wish: Wish): Thing other: Int }}
"""


@strawberry.enum(description="Kinds.")
class Kind(Enum):
    OLD = strawberry.enum_value("OLD", deprecation_reason=REASON, description="Old.")
    NEW = strawberry.enum_value("NEW", description="New.")


@strawberry.type(description="Everything that can be read, and something that goes away.")
class Aging(Query):
    @strawberry.field(description="Old.", deprecation_reason=LATER)
    async def old(self) -> int:
        return 1

    @strawberry.field(description="New.")
    async def new(
        self,
        size: Annotated[int | None, strawberry.argument(description="Old.", deprecation_reason=REASON)] = None,
    ) -> int:
        return size or 1


@pytest.fixture
async def aging(edge_settings: Settings) -> AsyncIterator[Served]:
    async with served(edge_settings, build_schema(Aging, Mutation, Subscription)) as running:
        yield running


@pytest.fixture
async def admin(street: Street, token_of: TokenOf) -> str:
    return await token_of(street.organization, Role.ADMIN)


@pytest.fixture
async def reader(live: Served, admin: str) -> Machine:
    return await machine(live, admin)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("{ other thing { new } }", []),
        ("{ thing { old } }", ["Thing.old"]),
        ("{ thing { ...F } } fragment F on Thing { things { ... on Thing { x: old } } }", ["Thing.old"]),
        ("{ thing { things(old: 1) { new } } }", ["Thing.things.old"]),
        ("{ thing(wish: {inner: {old: 1}}) { new } }", ["Wish.old"]),
        ("{ thing(wish: {kind: OLD}) { new } }", ["Kind.OLD"]),
        ("{ thing(wish: {kind: OLD, old: 2}) { old things(old: 1) { old } } }",
         ["Kind.OLD", "Thing.old", "Thing.things.old", "Wish.old"]),
    ],
)  # fmt: skip
def test_everything_that_a_document_names_is_found(document: str, expected: list[str]) -> None:
    found = deprecated_in(build_core_schema(SDL), parse(document))
    assert [each.name for each in found] == expected
    assert all(each.removed_after is not None for each in found)


def test_the_headers_say_what_goes_first() -> None:
    found = deprecated_in(
        build_core_schema(SDL.replace(REASON, LATER, 1)), parse("{ thing(wish: {kind: OLD}) { old } }")
    )
    assert headers(found) == {
        "Deprecation": "@1814745600",
        "Sunset": "Sat, 01 Jan 2028 00:00:00 GMT",
        "Link": '</docs/api>; rel="deprecation"',
    }
    assert headers([]) == {}


async def test_an_operation_that_names_one_says_so_each_time(aging: Served, street: Street) -> None:
    token = street.token(Role.COORDINATOR)
    for _ in range(2):
        told = await aging.post({"query": "{ old departments { totalCount } }"}, token)
        assert told.headers["sunset"] == "Sat, 01 Jul 2028 00:00:00 GMT"
        assert told.headers["deprecation"].startswith("@")
        silent = await aging.post({"query": "{ new departments { totalCount } }"}, token)
        assert "sunset" not in silent.headers
        assert "deprecation" not in silent.headers


async def test_uses_are_counted_for_each_client_and_for_people_together(
    aging: Served, street: Street, live: Served, admin: str, reader: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deprecations, "FLUSH_SECONDS", 0.05)
    for document, token, times in (
        ("{ old }", reader.key, 3), ("{ new(size: 2) }", reader.key, 1), ("{ old }", street.token(Role.VIEWER), 1),
        ("{ old }", street.token(Role.COORDINATOR), 1), ("{ new }", reader.key, 2),
    ):  # fmt: skip
        for _ in range(times):
            await aging.ask(token, document)
    async with aging.socket(reader.key) as socket:
        await socket.subscribe("{ old }")
        assert (await socket.receive())["type"] == "next"
    priced = await aging.post({"query": "{ old }"}, reader.key, headers={"X-Cost-Only": "1"})
    assert priced.status_code == 200
    expected = {("Aging.old", reader.id): 4, ("Aging.new.size", reader.id): 1, ("Aging.old", None): 2}
    found: dict[Any, int] = {}
    for _ in range(100):
        nodes = (await live.ask(admin, USES))["deprecatedUses"]["nodes"]
        found = {(each["name"], each["client"] and each["client"]["id"]): each["times"] for each in nodes}
        if found == expected:
            break
    assert found == expected


async def test_what_cannot_be_written_is_kept_and_what_is_left_is_written_at_the_end(
    street: Street, live: Served, admin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uses = Uses(street.runtime.database)
    found = deprecated_in(build_core_schema(SDL), parse("{ thing { old } }"))
    for _ in range(2):
        uses.note(street.organization.actor(Role.VIEWER), found)
    monkeypatch.setattr(deprecations, "USES_MAX", 0)
    uses.note(
        street.organization.actor(Role.VIEWER),
        deprecated_in(build_core_schema(SDL), parse("{ thing(wish: {old: 1}) { new } }")),
    )
    await uses.close()
    nodes = (await live.ask(admin, USES))["deprecatedUses"]["nodes"]
    assert nodes == [{"name": "Thing.old", "times": 2, "client": None}]


OWN = "{ deprecatedUses { nodes { name } } }"


async def test_a_machine_sees_its_own_uses_and_is_told_of_them_once_a_month(
    live: Served, street: Street, admin: str, reader: Machine, database_urls: Mapping[str, str]
) -> None:
    other = await machine(live, admin)
    clients = [row_id(each.id) for each in (reader, other)]

    async def used(client_id: UUID | None, *names: str) -> None:
        async with street.database.unit_of_work(street.organization.system) as uow:
            await commands.count_deprecated(uow, uses={(client_id, name): 1 for name in names})

    async def told() -> list[tuple[UUID, str]]:
        async with street.database.snapshot(street.organization.system) as snapshot:
            rows = owned(AuditEvent, col(AuditEvent.action) == DeprecatedUseNoted.kind).order_by(col(AuditEvent.seq))
            details = await snapshot.scalars(rows.with_only_columns(col(AuditEvent.detail)))
        return [(UUID(each["api_client_id"]), each["name"]) for each in details]

    for _ in range(2):
        await used(clients[0], "T.a", "T.b")
    await used(clients[1], "T.a")
    await used(None, "T.a")
    once = [(clients[0], "T.a"), (clients[0], "T.b"), (clients[1], "T.a")]
    assert await told() == once
    for days, again in ((29, []), (2, [(clients[1], "T.a")])):
        earlier = f"update belfry.deprecated_use set used_on = used_on - {days} where tenant_id = $1"
        await sql(database_urls, earlier, street.organization.id)
        await used(clients[1], "T.a")
        assert await told() == [*once, *again]
        drop = "delete from belfry.deprecated_use where tenant_id = $1 and used_on = current_date"
        await sql(database_urls, drop, street.organization.id)
    for key, names in (
        (reader.key, {"T.a", "T.b"}),
        (other.key, {"T.a"}),
        (street.token(Role.COORDINATOR), set[str]()),
    ):
        nodes = (await live.ask(key, OWN))["deprecatedUses"]["nodes"]
        assert {each["name"] for each in nodes} == names
    assert len((await live.ask(admin, OWN))["deprecatedUses"]["nodes"]) == 4
