# SPDX-License-Identifier: EUPL-1.2
"""Full text at size: under forced row security each search reads its index and nothing else of a large table.

A function hides its plans from EXPLAIN, so auto_explain tells them, of the very statements that ran, as belfry_app.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import orjson
import pytest

from services.kernel import identifiers
from tests.support import statements
from tests.support.database import connection_as

Urls = Mapping[str, str]
Node = Mapping[str, Any]
T = TypeVar("T")

SIZES = [pytest.param(10_000, id="10000"), pytest.param(200_000, id="200000", marks=pytest.mark.slow)]
PLANTED_EVERY = 500
SEARCHES = ("search_conversations", "search_conversations_alike")
ASKED = ["lantaarnpaal", "lantaarnpalen kapot", "lantarnpaal", "reverbere", "kerkstr", "vansteen", "2345-6789", "zzzz"]

FILL = """
    insert into belfry.contact (tenant_id, id, network, server_host, external_id, display_name, seen_at, opted_out,
        blocked, version)
    select $1, id, 'BLUESKY', '', i::text, ($3::text[])[1 + i % 500] || ' ' || ($3::text[])[1 + i / 7 % 500],
        now(), false, false, 1 from unnest($2::uuid[]) with ordinality as each (id, i)"""
OPEN = """
    insert into belfry.conversation (tenant_id, id, network, server_host, thread_key, episode, social_account_id,
        contact_id, channel_kind, reference, department_id, priority, difficulty, state, opened_at, last_message_at,
        next_contact_due_at, fence, version)
    select $1, id, 'BLUESKY', '', i::text, 1, $1, id, 'PUBLIC',
        case when i % 3 = 0 then upper(to_char(i, 'FM0000') || '-' || right(id::text, 4)) end,
        $1, 20, 'NORMAL', 'OPEN', now(), now() - interval '1 minute' * i, now(), 0, 1
    from unnest($2::uuid[]) with ordinality as each (id, i)"""
SAY = """
    insert into belfry.message (tenant_id, conversation_id, social_account_id, network, server_host, external_id,
        direction, visibility, author_kind, text, text_at, occurred_at, version)
    select $1, ($2::uuid[])[1 + n % cardinality($2)], $1, 'BLUESKY', '', n::text, 'INBOUND', 'PUBLIC', 'CITIZEN',
        said || case when n % $5 = 0 then ' Kapotte lantaarnpalen!' else '' end,
        now(), now() - interval '1 second' * n, 1
    from generate_series(1, $4::int) n, lateral (
        select string_agg(($3::text[])[1 + (10000 * random() ^ 3)::int], ' ') as said
        from generate_series(1, 8 + n % 25)) text"""


def vocabulary(chance: Random) -> list[str]:
    """10,001 words that nobody ever said; the first ones will be said often."""
    sounds = ["ba", "der", "kin", "lo", "mu", "pa", "ras", "sto", "ti", "ver", "wen", "zo", "é", "ou", "sch"]
    words = {"".join(chance.choices(sounds, k=chance.choice([1, 2, 3, 3, 4, 4]))) for _ in range(40_000)}
    return chance.sample(sorted(words), 10_001)


async def fill(urls: Urls, tenants: list[UUID], messages: int) -> None:
    """Organizations that all say the same number of things; what is around these rows is of no interest here."""
    words = vocabulary(Random(7))
    async with connection_as(urls, "postgres") as admin:
        await admin.execute("set session_replication_role = replica; select setseed(0.5)")
        index = "ix_message_words"
        definition = str(await admin.fetchval(f"select pg_get_indexdef('belfry.{index}'::regclass)"))
        await admin.execute(f"drop index belfry.{index}")
        for tenant in tenants:
            ids = [identifiers.new() for _ in range(messages * 3 // 10)]
            await admin.execute(FILL, tenant, ids, words[:500])
            await admin.execute(OPEN, tenant, ids)
            await admin.execute(SAY, tenant, ids, words, messages, PLANTED_EVERY)
        await admin.execute("set maintenance_work_mem = '256MB'")
        await admin.execute(definition)
        await admin.execute("update belfry.contact set display_name = 'Marguerite Vansteen' where external_id = '77'")
        for table in ("message", "contact", "conversation"):
            await admin.execute(f"vacuum analyze belfry.{table}")


@asynccontextmanager
async def explaining(urls: Urls, tenant: UUID) -> AsyncIterator[tuple[asyncpg.Connection, list[Node]]]:
    """A connection of belfry_app, and the plan of every statement it runs, also of those inside functions."""
    plans: list[Node] = []

    def listen(_connection: object, message: Any) -> None:
        said = str(message.message)
        if " plan:\n" in said:
            plans.append(orjson.loads(said.partition(" plan:\n")[2])["Plan"])

    async with connection_as(urls, "postgres") as connection:
        await connection.execute("load 'auto_explain'")
        for name, value in {"log_nested_statements": "on", "log_min_duration": "0", "log_format": "json",
                            "log_level": "notice"}.items():  # fmt: skip
            await connection.execute(f"set auto_explain.{name} = '{value}'")
        await connection.execute("set session authorization belfry_app")
        await connection.execute(f"set app.tenant_id = '{tenant}'")
        connection.add_log_listener(listen)
        yield connection, plans
        connection.remove_log_listener(listen)


def walk(node: Node) -> Iterator[Node]:
    yield node
    for each in node.get("Plans", ()):
        yield from walk(each)


def readings(plans: list[Node]) -> set[tuple[str, str]]:
    """How each table was read: (table, index), or (table, "") for a scan of all of it."""
    found: set[tuple[str, str]] = set()
    for node in (each for plan in plans for each in walk(plan)):
        if node["Node Type"] == "Bitmap Heap Scan":
            indexes = {each["Index Name"] for each in walk(node) if each["Node Type"] == "Bitmap Index Scan"}
            found |= {(node["Relation Name"], index) for index in indexes}
        elif "Relation Name" in node:
            found.add((node["Relation Name"], node.get("Index Name", "")))
    return found


async def fastest(what: Callable[[], Awaitable[T]], times: int = 4) -> tuple[float, T]:
    """Seconds of the fastest of some runs, and what the last one gave."""
    runs: list[tuple[float, T]] = []
    for _ in range(times):
        begun = time.perf_counter()
        given = await what()
        runs.append((time.perf_counter() - begun, given))
    return min(seconds for seconds, _ in runs), runs[-1][1]


@pytest.mark.parametrize("messages", SIZES)
async def test_a_search_reads_its_index_and_no_table_under_row_security(
    fresh_database: Urls, messages: int, tell: Callable[[str], None]
) -> None:
    here, there = identifiers.new(), identifiers.new()
    await fill(fresh_database, [here, there], messages)

    async with explaining(fresh_database, here) as (connection, plans):
        for search in SEARCHES:
            for asked in ASKED:
                plans.clear()
                await connection.fetch(f"select * from belfry.{search}($1, $2, 100)", here, asked)
                read = readings(plans)
                assert {index for table, index in read if table == "message"} == {"ix_message_words"}, (asked, read)
                assert {index for table, index in read if table == "contact"} == {"ix_contact_words"}, (asked, read)
                assert ("conversation", "") not in read, (asked, read)
        plans.clear()
        await connection.fetch(f"select * from belfry.{SEARCHES[0]}($1, '0300', 100)", here)
        assert ("conversation", "ix_conversation_reference") in readings(plans)

        # The control: the same condition asked by belfry_app itself cannot use the index.
        plans.clear()
        query = f"'{str(here)[-8:]}lantaarnpalen'::tsquery"
        naive = f"select 1 from belfry.message where tenant_id = $1 and belfry.search_keys(tenant_id, text) @@ {query}"
        hidden, _ = await fastest(lambda: connection.fetch(naive, here), times=1)
        assert "ix_message_words" not in {index for _, index in readings(plans)}

    async with connection_as(fresh_database, "belfry_app") as connection:
        await connection.execute("set statement_timeout = 0")
        with statements.unwatched():
            await connection.execute(f"set app.tenant_id = '{here}'")
        scan = "select distinct conversation_id from belfry.message where tenant_id = $1 and text ilike $2"
        scanned, all_of_them = await fastest(lambda: connection.fetch(scan, here, "%lantaarnpa%"))
        for search, asked in zip(SEARCHES, ("lantaarnpaal", "lantarnpaal"), strict=True):
            call = f"select conversation_id from belfry.{search}($1, $2, 10000)"
            took, got = await fastest(lambda call=call, asked=asked: connection.fetch(call, here, asked))
            assert {row[0] for row in got} == {row[0] for row in all_of_them}
            figures = f"{scanned / took:.1f} times as fast as ILIKE over all, {hidden / took:.0f} as without its index"
            tell(f"{messages:,} messages in each of two organizations, {search}({asked!r}): {figures}")
