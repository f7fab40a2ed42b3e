# SPDX-License-Identifier: EUPL-1.2
"""P5: one message, delivered 1 to 1,000 times in any order through any door, is one message.

Every state is compared with a sequential oracle that knows the world and nothing of the code, and with what another
organization gets that hears every fact once and in order.
"""

from collections.abc import Callable, Mapping
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.kernel.database import Database
from tests.services.conversations.oracle import expected
from tests.services.conversations.standing import Town, differences, found_town, standing_of
from tests.services.conversations.world import Fact, Maker, World
from tests.support import statements
from tests.support.database import connection_as

Urls = Mapping[str, str]
Tell = Callable[[str], None]

WHOLE = settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


async def check(town: Town, urls: Urls, world: World) -> None:
    async with connection_as(urls, "postgres") as connection:
        found = await standing_of(connection, town.organization.id)
    assert differences(found, expected(world)) == {}


async def raw_states(town: Town, urls: Urls) -> dict[str, int]:
    async with connection_as(urls, "postgres") as connection:
        rows = await connection.fetch(
            "select state, count(*) from belfry.raw_event where tenant_id = $1 group by 1", town.organization.id
        )
    return dict(tuple(row) for row in rows)


@WHOLE
@given(seed=st.integers(0, 2**32))
async def test_any_order_and_repetition_gives_what_the_oracle_says(
    database: Database, database_urls: Urls, seed: int
) -> None:
    chance = Random(seed)
    world = Maker(seed).make(20)
    town = await found_town(database)
    deliveries = world.deliveries(chance, most=4)
    while deliveries:
        size = chance.randint(1, 12)
        now, deliveries = deliveries[:size], deliveries[size:]
        await town.receive(now)
        if chance.random() < 0.6:
            await town.drain_all()
    await town.drain_all()
    await check(town, database_urls, world)


@WHOLE
@given(seed=st.integers(0, 2**32))
async def test_webhook_and_poll_of_two_accounts_at_once_give_what_the_oracle_says(
    database: Database, database_urls: Urls, seed: int
) -> None:
    chance = Random(seed)
    world = Maker(seed).make(30)
    town = await found_town(database)
    await town.flood(world.deliveries(chance, most=4), chance, batch_max=8)
    await check(town, database_urls, world)


@settings(WHOLE, max_examples=2)
@given(seed=st.integers(0, 2**32))
async def test_every_fact_once_and_in_order_gives_what_the_oracle_says_at_every_step(
    database: Database, database_urls: Urls, seed: int
) -> None:
    world = Maker(seed).make(15)
    town = await found_town(database)
    told: list[Fact] = []
    async with connection_as(database_urls, "postgres") as connection:
        for fact in sorted(world.facts, key=lambda each: each.observed):
            told.append(fact)
            await town.receive([fact])
            await town.drain(fact.account)
            found = await standing_of(connection, town.organization.id)
            assert differences(found, expected(world, told)) == {}


async def test_one_question_delivered_a_thousand_times_is_one_message(
    database: Database, database_urls: Urls, tell: Tell
) -> None:
    world = Maker(11).make(1)
    [fact, *_] = world.facts
    only = World([fact.thing], [fact])
    town = await found_town(database)
    await town.flood([fact] * 1000, Random(1), batch_max=100)
    await check(town, database_urls, only)
    assert await raw_states(town, database_urls) == {"DONE": 1}
    tell("1 message delivered 1,000 times by webhook and poll at once: 1 row")


async def load(
    database: Database, other: Database, urls: Urls, other_urls: Urls, *, events: int, most: int, batch_max: int
) -> str:
    """Flood one organization, tell another one in order, and compare both with the oracle."""
    world = Maker(events).make(events)
    chance = Random(events)
    deliveries = world.deliveries(chance, most=most)
    # The texts of these statements have been judged by the tests above; their variants by size are too many to parse.
    with statements.unwatched():
        town, calm = await found_town(database), await found_town(other)
        tries = await town.flood(deliveries, chance, batch_max=batch_max)
        in_order = sorted(world.facts, key=lambda each: each.observed)
        for place in range(0, len(in_order), batch_max):
            await calm.receive(in_order[place : place + batch_max])
            await calm.drain_all()
    wanted = expected(world)
    async with connection_as(urls, "postgres") as connection:
        flooded = await standing_of(connection, town.organization.id)
    async with connection_as(other_urls, "postgres") as connection:
        ordered = await standing_of(connection, calm.organization.id)
    assert differences(flooded, wanted) == {}
    assert differences(ordered, wanted) == {}
    assert await raw_states(town, urls) == {"DONE": len(world.facts)}
    return (
        f"{len(deliveries):,} deliveries of {len(world.facts):,} events about {len(wanted.messages):,} items: "
        f"{len(flooded.messages):,} messages, {len(flooded.conversations):,} conversations, "
        f"{len(flooded.segments):,} waits, {len(flooded.contacts):,} contacts, 0 differences, "
        f"{tries} batches tried again"
    )


async def test_ten_thousand_deliveries_of_a_thousand_events_equal_the_oracle(
    database: Database, database_urls: Urls, fresh_database: Urls, tell: Tell
) -> None:
    other = Database(fresh_database["belfry_app"], pool_size=2)
    try:
        tell(await load(database, other, database_urls, fresh_database, events=1_000, most=20, batch_max=100))
    finally:
        await other.close()


@pytest.mark.slow
async def test_a_million_deliveries_of_a_hundred_thousand_events_equal_the_oracle(
    database: Database, database_urls: Urls, fresh_database: Urls, tell: Tell
) -> None:
    other = Database(fresh_database["belfry_app"], pool_size=2)
    try:
        tell(await load(database, other, database_urls, fresh_database, events=100_000, most=20, batch_max=200))
    finally:
        await other.close()
