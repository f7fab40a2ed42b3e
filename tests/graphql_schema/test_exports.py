# SPDX-License-Identifier: EUPL-1.2
"""Exports: asked for, followed, written as their asker, fetched under an address that ends, and gone after a week."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from sqlmodel import col, delete

from graphql_schema.integrations.downloads import PATH
from services.identity.models import ApiClient
from services.integrations import queries, rules
from services.integrations.commands import EXPIRE, EXPORT
from services.integrations.handlers import exports as writing
from services.integrations.models import ExportPiece
from services.integrations.rules import ExportFailure, ExportKind, ExportState
from services.kernel import jobs
from services.kernel.access import Role
from services.kernel.audit import AuditEvent
from services.kernel.database import Database
from services.kernel.identifiers import global_id, new
from services.kernel.isolation import owned
from services.kernel.jobs import Job
from services.kernel.lines import Lines, Parts
from services.kernel.runtime import Runtime
from services.tenancy.models import RoleGrant
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.exporting import LINK, SHOW, lines_of, ready, row_id, row_of, wished, work, written
from tests.graphql_schema.machines import machine
from tests.graphql_schema.reading.planting import plant
from tests.graphql_schema.serving import Served
from tests.graphql_schema.street import START, Street
from tests.services.conversations.scenes import sql
from tests.support.organizations import found_organization

EVENTS = """
subscription ($after: String) { exportEvents(after: $after) { event cursor node { id state lines } } }
"""
CREATE_ONE = "mutation ($kind: ExportKind!) { exportCreate(input: {kind: $kind}) { userErrors { code } } }"
ROOTS = {"CONVERSATIONS": "conversations", "CONTACTS": "contacts", "SOCIAL_ACCOUNTS": "socialAccounts"}
LIST = "{ exports { nodes { id } totalCount } }"
ENDS = {
    "removal": "update belfry.membership set active = false where tenant_id = $1",
    "another role": "update belfry.role_grant set role = 'VIEWER' where tenant_id = $1 and role = 'COORDINATOR'",
    "suspension": "update belfry.organization set state = 'SUSPENDED' where tenant_id = $1",
    "its time is over": "update belfry.export set state = 'EXPIRED' where tenant_id = $1",
}


def selection(rows: Lines | Parts) -> str:
    """What the schema says of the same rows, under the same names."""
    fields = (f"{each[:-2]} {{ id }}" if each.endswith("Id") else each for each in rows.fields)
    inner = rows.parts.items() if isinstance(rows, Lines) else ()
    parts = (f"{name}(first: 30) {{ nodes {{ {selection(each)} }} }}" for name, each in inner)
    return " ".join((*fields, *parts))


def as_line(rows: Lines | Parts, node: dict[str, Any]) -> dict[str, Any]:
    """A node of the API as an export would write it."""
    line = {
        name: (node[name[:-2]] and node[name[:-2]]["id"]) if name.endswith("Id") else node[name] for name in rows.fields
    }
    inner = rows.parts.items() if isinstance(rows, Lines) else ()
    return line | {name: [as_line(each, part) for part in node[name]["nodes"]] for name, each in inner}


async def address_of(street: Street, token: str, export_id: str) -> str:
    """The path under which an export can be fetched now."""
    payload = (await street.api.ask(token, LINK, id=export_id))["exportLinkIssue"]
    assert payload["userErrors"] == []
    assert payload["url"].startswith(f"{street.runtime.settings.public_url}{PATH}/")
    return urlsplit(payload["url"]).path


@pytest.mark.parametrize(("role", "department"), [(Role.COORDINATOR, None), (Role.COORDINATOR, "ROADS")])
@pytest.mark.parametrize("kind", ExportKind)
async def test_a_line_has_what_the_api_says_to_the_same_person(
    live: Served, runtime: Runtime, database: Database, token_of: TokenOf, kind: ExportKind, role: Role,
    department: str | None,
) -> None:  # fmt: skip
    organization = await found_organization(database, name="Uitvoer")
    await plant(database, organization, 7)
    token, rows = await token_of(organization, role, department), queries.EXPORTED[kind]
    export_id = await ready(runtime, organization, live, token, kind)
    lines = lines_of(await written(runtime, organization, row_id(export_id)))
    query = f"query ($after: String) {{ all: {ROOTS[kind]}(first: 10, after: $after) {{ nodes {{ {selection(rows)} }} "
    query += "pageInfo { endCursor hasNextPage } } }"
    nodes, after, more = list[Any](), None, True
    while more:
        page = (await live.ask(token, query, after=after))["all"]
        nodes, after, more = nodes + page["nodes"], page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    expected = {each["id"]: as_line(rows, each) for each in nodes}
    assert {each["id"]: each for each in lines} == expected
    assert len(lines) == len(expected) > 0
    show = (await live.ask(token, SHOW, id=export_id))["node"]
    assert (show["state"], show["lines"]) == ("READY", len(lines))


async def test_the_way_of_an_export(street: Street) -> None:
    conversation, token = await street.open("ROADS"), street.token(Role.COORDINATOR)
    async with street.api.stream(token, EVENTS, after=await export_cursor(street)) as stream:
        payload = await wished(street.api, token, idempotencyKey="one")
        export_id = payload["export"]["id"]
        assert payload["export"] == {
            "id": export_id, "kind": "CONVERSATIONS", "state": "QUEUED", "since": None,
            "until": payload["export"]["until"], "lines": 0, "bytes": 0,
        }  # fmt: skip
        assert (await wished(street.api, token, idempotencyKey="one"))["export"]["id"] == export_id
        early = (await street.api.ask(token, LINK, id=export_id))["exportLinkIssue"]
        assert (early["url"], early["userErrors"]) == (
            None,
            [{"code": "EXPORT_IS_NOT_READY", "field": ["exportId"]}],
        )
        await work(street.runtime, street.organization, EXPORT, row_id(export_id))
        told = [(await stream.event())[1]["data"]["exportEvents"] for _ in range(3)]
    assert [each["event"] for each in told] == ["REQUESTED", "STARTED", "READY"]
    assert {each["node"]["id"] for each in told} == {export_id}
    assert (told[-1]["node"]["state"], told[-1]["node"]["lines"]) == ("READY", 1)
    answer = await street.api.get(await address_of(street, token, export_id))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jsonl")
    day = payload["export"]["until"][:10]
    assert answer.headers["content-disposition"] == f'attachment; filename="conversations-{day}.jsonl"'
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert [each["id"] for each in lines_of(answer.content)] == [global_id("CV", conversation)]
    assert await facts(street, "export.downloaded") == 1


async def test_nobody_else_sees_it_or_hears_of_it(street: Street, token_of: TokenOf) -> None:
    await street.open("ROADS")
    other = await token_of(street.organization, Role.ADMIN)
    token = street.token(Role.COORDINATOR)
    async with street.api.stream(other, EVENTS, after=await export_cursor(street)) as stream:
        export_id = await ready(street.runtime, street.organization, street.api, token, "CONVERSATIONS")
        assert (await street.api.ask(other, SHOW, id=export_id))["node"] is None
        payload = (await street.api.ask(other, LINK, id=export_id))["exportLinkIssue"]
        assert payload["userErrors"] == [{"code": "NOT_FOUND", "field": ["exportId"]}]
        assert (await street.api.ask(other, LIST))["exports"] == {"nodes": [], "totalCount": 0}
        own = (await wished(street.api, other, "SOCIAL_ACCOUNTS"))["export"]["id"]
        assert (await stream.event())[1]["data"]["exportEvents"]["node"]["id"] == own
    assert (await street.api.ask(token, LIST))["exports"] == {"nodes": [{"id": export_id}], "totalCount": 1}


async def test_machines_of_equal_scopes_are_told_of_their_own(street: Street, token_of: TokenOf) -> None:
    admin = await token_of(street.organization, Role.ADMIN)
    scopes = ("conversations:read", "exports:read")
    one, two = [await machine(street.api, admin, scopes=scopes) for _ in range(2)]
    after = await export_cursor(street)
    async with (
        street.api.socket(one.key) as first,
        street.api.socket(two.key) as second,
    ):
        for socket in (first, second):
            await socket.subscribe(EVENTS, after=after)
        wishes = [(await wished(street.api, each.key))["export"]["id"] for each in (one, two, one)]
        heard = [
            [(await socket.receive())["payload"]["data"]["exportEvents"]["node"]["id"] for _ in range(number)]
            for socket, number in ((first, 2), (second, 1))
        ]
    assert heard == [[wishes[0], wishes[2]], [wishes[1]]]


async def test_who_may_not_read_it_may_not_take_it_out(street: Street, token_of: TokenOf) -> None:
    admin = await token_of(street.organization, Role.ADMIN)
    weak = await machine(street.api, admin, scopes=("exports:read",))
    reader = await machine(street.api, admin, scopes=("conversations:read",))
    refused = [
        (admin, "CONVERSATIONS"), (admin, "CONTACTS"), (weak.key, "CONVERSATIONS"), (weak.key, "SOCIAL_ACCOUNTS"),
        (reader.key, "CONVERSATIONS"), (street.token(Role.OPERATOR, "ROADS"), "CONVERSATIONS"),
    ]  # fmt: skip
    for token, kind in refused:
        answer = await street.api.post(
            {"query": CREATE_ONE, "variables": {"kind": kind}}, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (await wished(street.api, admin, "SOCIAL_ACCOUNTS"))["userErrors"] == []
    assert await facts(street, "export.requested") == 1


@pytest.mark.parametrize("end", ENDS)
async def test_an_address_ends_with_the_rights_of_whoever_made_it(
    street: Street, database_urls: Mapping[str, str], end: str
) -> None:
    await street.open("ROADS")
    token = street.token(Role.COORDINATOR)
    export_id = await ready(street.runtime, street.organization, street.api, token, "CONVERSATIONS")
    address = await address_of(street, token, export_id)
    assert (await street.api.get(address)).status_code == 200
    await sql(database_urls, ENDS[end], street.organization.id)
    answer = await street.api.get(address)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")
    assert await facts(street, "export.downloaded") == 1


async def test_an_address_that_was_changed_or_is_old_opens_nothing(street: Street) -> None:
    await street.open("ROADS")
    token = street.token(Role.COORDINATOR)
    export_id = await ready(street.runtime, street.organization, street.api, token, "CONVERSATIONS")
    address = await address_of(street, token, export_id)
    opaque = address.removeprefix(f"{PATH}/")
    changed = [opaque[:place] + ("A" if opaque[place] != "A" else "B") + opaque[place + 1 :] for place in
               range(0, len(opaque), 5)]  # fmt: skip
    for each in (*changed, opaque[:-4], opaque + "AAAA", "x", "%00", "🙈", "A" * 5_000):
        answer = await street.api.get(f"{PATH}/{each}")
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN"), each
    vault = street.runtime.vault
    for ends, status in ((-1, 403), (60, 200)):
        moment = datetime.now(UTC) + timedelta(seconds=ends)
        content = rules.link_content(street.organization.id, row_id(export_id), moment)
        made = rules.link_token(content, vault.sign(rules.LINK_PURPOSE, content))
        assert (await street.api.get(f"{PATH}/{made}")).status_code == status
    content = rules.link_content(street.organization.id, new(), datetime.now(UTC) + timedelta(seconds=60))
    nowhere = rules.link_token(content, vault.sign(rules.LINK_PURPOSE, content))
    assert (await street.api.get(f"{PATH}/{nowhere}")).status_code == 403
    assert (await street.api.client.post(address)).status_code == 405
    assert await facts(street, "export.downloaded") == 1


async def test_an_address_lasts_a_quarter_of_an_hour(street: Street) -> None:
    token = street.token(Role.COORDINATOR)
    export_id = await ready(street.runtime, street.organization, street.api, token, "CONVERSATIONS")
    payload = (await street.api.ask(token, LINK, id=export_id))["exportLinkIssue"]
    lasts = datetime.fromisoformat(payload["endsAt"]) - datetime.now(UTC)
    assert timedelta(minutes=14) < lasts <= timedelta(minutes=15)


async def test_what_is_out_of_the_period_is_not_written(street: Street) -> None:
    await street.open("ROADS")
    token, day = street.token(Role.COORDINATOR), timedelta(days=1)
    periods: list[tuple[datetime | None, datetime | None, int]] = [
        (START, START, 1), (START - day, START, 1), (START + timedelta(microseconds=1), None, 0),
        (None, START - timedelta(microseconds=1), 0), (None, None, 1), (START, START + 9_999 * day, 1),
    ]  # fmt: skip
    for since, until, number in periods:
        given: dict[str, Any] = {"since": since and since.isoformat(), "until": until and until.isoformat()}
        export = (await wished(street.api, token, **given))["export"]
        await work(street.runtime, street.organization, EXPORT, row_id(export["id"]))
        row = await row_of(street.runtime, street.organization, row_id(export["id"]))
        assert (row.state, row.lines) == (ExportState.READY, number), given
        assert row.until <= datetime.now(UTC)
    refused = [
        {"since": "2999-01-01T00:00:00Z"},
        {"since": START.isoformat(), "until": (START - day).isoformat()},
    ]
    for given in refused:
        errors = (await wished(street.api, token, **given))["userErrors"]
        assert [(each["code"], each["field"]) for each in errors] == [("INVALID", ["since"])]


async def test_a_person_has_few_exports_at_a_time(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "EXPORTS_MAX", 2)
    token = street.token(Role.COORDINATOR)
    first, _ = [(await wished(street.api, token))["export"]["id"] for _ in range(2)]
    errors = (await wished(street.api, token))["userErrors"]
    assert [each["code"] for each in errors] == ["LIMIT_REACHED"]
    assert await facts(street, "export.requested") == 2
    async with street.database.unit_of_work(street.organization.system) as uow:
        row = await queries.export_for_update(uow, row_id(first))
        row.state, row.failure = ExportState.FAILED, ExportFailure.BROKEN
    assert (await wished(street.api, token))["userErrors"] == []


async def test_it_is_written_in_many_runs_as_in_one(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several have the same instant: the id decides, and none is left out or told twice."""
    for _ in range(7):
        await street.open("ROADS")
    token, runtime, organization = street.token(Role.COORDINATOR), street.runtime, street.organization
    whole = await ready(runtime, organization, street.api, token, "CONVERSATIONS")
    monkeypatch.setattr(rules, "EXPORT_ROWS_AT_ONCE", 2)
    monkeypatch.setattr(rules, "EXPORT_PIECE_BYTES_MAX", 100)
    monkeypatch.setattr(rules, "EXPORT_PROGRESS_LINES", 4)
    monkeypatch.setattr(writing, "EXPORT_SECONDS", 0.0)
    parts = row_id((await wished(street.api, token))["export"]["id"])
    runs = 0
    while (await row_of(runtime, organization, parts)).state is not ExportState.READY:
        await work(runtime, organization, EXPORT, parts)
        runs += 1
    content = await written(runtime, organization, parts)
    assert content == await written(runtime, organization, row_id(whole))
    assert (runs, len(lines_of(content))) == (4, 7)
    row = await row_of(runtime, organization, parts)
    assert (row.size, row.pieces) == (len(content), await pieces(street, parts))
    assert row.pieces > 7
    assert await facts(street, "export.progressed") == 1
    answer = await street.api.get(await address_of(street, token, global_id("EX", parts)))
    assert answer.content == content


async def test_rights_that_end_while_it_is_written_end_it(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        await street.open("ROADS")
    monkeypatch.setattr(rules, "EXPORT_ROWS_AT_ONCE", 1)
    monkeypatch.setattr(writing, "EXPORT_SECONDS", 0.0)
    token, runtime, organization = street.token(Role.COORDINATOR), street.runtime, street.organization
    export_id = row_id((await wished(street.api, token))["export"]["id"])
    await work(runtime, organization, EXPORT, export_id)
    assert (await row_of(runtime, organization, export_id)).lines == 1
    async with street.database.unit_of_work(organization.system) as uow:
        await uow.write(delete(RoleGrant).where(col(RoleGrant.tenant_id) == organization.id))
    await work(runtime, organization, EXPORT, export_id)
    await is_failed(street, export_id, ExportFailure.RIGHTS_ENDED)


async def test_a_machine_that_was_revoked_gets_nothing(street: Street, token_of: TokenOf) -> None:
    admin = await token_of(street.organization, Role.ADMIN)
    client = await machine(street.api, admin, scopes=("conversations:read", "exports:read"))
    export_id = row_id((await wished(street.api, client.key))["export"]["id"])
    async with street.database.unit_of_work(street.organization.system) as uow:
        row = await uow.one(owned(ApiClient, col(ApiClient.id) == row_id(client.id)))
        row.revoked_at = uow.now
    await work(street.runtime, street.organization, EXPORT, export_id)
    await is_failed(street, export_id, ExportFailure.RIGHTS_ENDED)


@pytest.mark.parametrize(("name", "most"), [("EXPORT_LINES_MAX", 1), ("EXPORT_BYTES_MAX", 500)])
async def test_what_grows_too_large_is_given_up(
    street: Street, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    for _ in range(3):
        await street.open("ROADS")
    monkeypatch.setattr(rules, name, most)
    monkeypatch.setattr(rules, "EXPORT_ROWS_AT_ONCE", 1)
    export_id = row_id((await wished(street.api, street.token(Role.COORDINATOR)))["export"]["id"])
    await work(street.runtime, street.organization, EXPORT, export_id)
    await is_failed(street, export_id, ExportFailure.TOO_LARGE)


async def test_what_breaks_again_and_again_is_given_up(street: Street, database_urls: Mapping[str, str]) -> None:
    export_id = row_id((await wished(street.api, street.token(Role.COORDINATOR)))["export"]["id"])
    tried = f"update belfry.job set attempts = {jobs.ATTEMPTS_MAX - 1} where tenant_id = $1"
    await sql(database_urls, tried, street.organization.id)
    await work(street.runtime, street.organization, EXPORT, export_id)
    await is_failed(street, export_id, ExportFailure.BROKEN)


async def test_after_a_week_nothing_of_it_is_kept(street: Street, database_urls: Mapping[str, str]) -> None:
    await street.open("ROADS")
    token, runtime, organization = street.token(Role.COORDINATOR), street.runtime, street.organization
    export_id = row_id(await ready(runtime, organization, street.api, token, "CONVERSATIONS"))
    row = await row_of(runtime, organization, export_id)
    assert row.ready_at is not None
    assert row.expires_at == row.ready_at + rules.EXPORT_KEPT
    await work(runtime, organization, EXPIRE, export_id)  # too early
    assert (await row_of(runtime, organization, export_id)).state is ExportState.READY
    over = "update belfry.export set expires_at = now() where tenant_id = $1"
    await sql(database_urls, over, street.organization.id)
    await work(runtime, organization, EXPIRE, export_id)
    assert (await row_of(runtime, organization, export_id)).state is ExportState.EXPIRED
    assert await pieces(street, export_id) == 0
    assert await facts(street, "export.expired") == 1
    payload = (await street.api.ask(token, LINK, id=global_id("EX", export_id)))["exportLinkIssue"]
    assert [each["code"] for each in payload["userErrors"]] == ["EXPORT_IS_NOT_READY"]


async def is_failed(street: Street, export_id: UUID, failure: ExportFailure) -> None:
    row = await row_of(street.runtime, street.organization, export_id)
    assert (row.state, row.failure, await pieces(street, export_id)) == (ExportState.FAILED, failure, 0)
    assert await facts(street, "export.failed") == 1
    async with street.database.snapshot(street.organization.system) as snapshot:
        assert await snapshot.scalars(owned(Job, col(Job.subject_id) == export_id)) == []


async def pieces(street: Street, export_id: UUID) -> int:
    async with street.database.snapshot(street.organization.system) as snapshot:
        return len(await snapshot.scalars(owned(ExportPiece, col(ExportPiece.export_id) == export_id)))


async def facts(street: Street, kind: str) -> int:
    async with street.database.snapshot(street.organization.system) as snapshot:
        return len(
            await snapshot.scalars(
                owned(AuditEvent, col(AuditEvent.action) == kind).with_only_columns(col(AuditEvent.seq))
            )
        )


async def export_cursor(street: Street) -> str:
    """The cursor of this moment in the stream of exports."""
    return await street.now("exportEvents")
