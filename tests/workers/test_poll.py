# SPDX-License-Identifier: EUPL-1.2
"""An account's life with its network: connected, polled, measured, renewed, revoked; and its secrets stay secret.

A real worker and a real relay poll the strict fake. What citizens write, change and take back on the network is here
shortly afterwards, without a restart.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import pytest
import redis.asyncio as redis

from services.kernel.errors import DomainError, Invalid, PlatformRejected, PlatformUnavailable
from services.social_accounts import handlers as accounts
from services.social_accounts.rules import Network
from tests.support.processes import until
from tests.support.servers import Servers
from tests.workers.stage import Stage, open_stage
from tests.workers.towns import Town, town_with_account

pytestmark = pytest.mark.xdist_group("poll")  # one installation, one process

CLOSED_PORT = "http://127.0.0.1:9"
NOT_LISTED = "http://127.0.0.1:8"


class Overheard:
    """Every command that anybody sent to Valkey."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    async def listen(self, url: str) -> None:
        client = redis.Redis.from_url(url)
        try:
            async with client.monitor() as monitor:
                while True:
                    self.commands.append(str(await monitor.next_command()))
        finally:
            await client.aclose()


@pytest.fixture(scope="module")
async def overheard() -> Overheard:
    return Overheard()


@pytest.fixture(scope="module")
async def stage(servers: Servers, overheard: Overheard) -> AsyncIterator[Stage]:
    allowed = CLOSED_PORT.removeprefix("http://")
    async with open_stage(servers, also_allowed=frozenset({allowed})) as opened:
        listening = asyncio.create_task(overheard.listen(opened.valkey.url))
        opened.crew.start("all", "relay")
        yield opened
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def message_of(stage: Stage, external_id: str) -> dict[str, Any]:
    (row,) = await stage.evidence.rows("select * from belfry.message where external_id = $1", external_id)
    return dict(row)


async def connection_of(stage: Stage, town: Town) -> str:
    return await stage.evidence.one("select connection from belfry.social_account where id = $1", town.account_id)


# --- connecting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "refusal", "field"),
    [
        ({"secret": "wrong-password"}, PlatformRejected, "secret"),
        ({"identifier": "nobody.test"}, PlatformRejected, "secret"),
        ({"server_url": CLOSED_PORT}, PlatformUnavailable, "serverUrl"),
        ({"server_url": NOT_LISTED}, PlatformRejected, "serverUrl"),
        ({"server_url": "https://10.0.0.7"}, PlatformRejected, "serverUrl"),
        ({"server_url": "https://[::1]"}, PlatformRejected, "serverUrl"),
        ({"server_url": "ftp://town.test"}, Invalid, "serverUrl"),
        ({"server_url": "https://" + "x" * 600}, Invalid, "serverUrl"),
        ({"identifier": " "}, Invalid, "secret"),
        ({"secret": ""}, Invalid, "secret"),
        ({"secret": "x" * 5_000}, Invalid, "secret"),
    ],
)
async def test_a_sign_in_that_fails_says_why_and_keeps_nothing(
    stage: Stage, given: dict[str, str], refusal: type[DomainError], field: str
) -> None:
    name = stage.new_name()
    right = {
        "server_url": stage.fake.url,
        "identifier": f"{name}.test",
        "secret": stage.fake.network.person(name).password,
    }
    town = await town_with_account(stage.runtime.database, Network.BLUESKY, handle=f"{name}.test")
    with pytest.raises(refusal) as refused:
        await accounts.connect(stage.runtime, town.coordinator, account_id=town.account_id, **{**right, **given})
    assert refused.value.field == (field,)
    assert {**right, **given}["secret"] not in str(refused.value) or not given.get("secret", "x")
    assert await connection_of(stage, town) == "UNMANAGED"
    kept = "select count(*) from belfry.account_credential where tenant_id = $1"
    assert await stage.evidence.one(kept, town.id) == 0
    polled = "select count(*) from belfry.job where subject_id = $1"
    assert await stage.evidence.one(polled, town.account_id) == 0


async def test_whoever_may_not_connect_is_refused_before_anything_leaves_the_house(stage: Stage) -> None:
    town = await town_with_account(stage.runtime.database, Network.BLUESKY)
    calls = len(stage.fake.calls)
    with pytest.raises(Exception, match="role"):
        await accounts.connect(
            stage.runtime,
            town.operator,
            account_id=town.account_id,
            server_url=stage.fake.url,
            identifier="town.test",
            secret="secret",
        )
    assert not any(name == "com.atproto.server.createSession" for name, _ in stage.fake.calls[calls:])


# --- reading ----------------------------------------------------------------------------------------------------------


async def what_citizens_write_change_and_take_back_is_followed(stage: Stage) -> None:
    name = stage.new_name()
    town = await stage.town(name)
    question = stage.mention(name, "is de brug open?")
    conversation_id = await stage.conversation_of(town, question.uri)
    message = await message_of(stage, question.uri)
    assert (message["text"], message["deleted_at"]) == (f"@{name}.test is de brug open?", None)
    assert await stage.evidence.facts(town.id, "conversation.opened", conversation_id) == 1

    stage.fake.network.edit(question, f"@{name}.test is de brug open vandaag?")

    async def changed() -> bool:
        return (await message_of(stage, question.uri))["text"].endswith("vandaag?")

    await until(changed, "the edit is taken over")

    stage.fake.network.delete(question)

    async def taken_back() -> bool:
        return (await message_of(stage, question.uri))["deleted_at"] is not None

    await until(taken_back, "the deletion is taken over")
    assert (await message_of(stage, question.uri))["text"] == ""
    bodies = "select kind, body from belfry.raw_event where tenant_id = $1 and external_id = $2"

    async def erased() -> bool:
        return all(row["body"] == b"" for row in await stage.evidence.rows(bodies, town.id, question.uri))

    await until(erased, "nothing of the words is left in what was received", seconds=10)
    assert len(await stage.evidence.rows(bodies, town.id, question.uri)) >= 3
    assert await stage.evidence.facts(town.id, "conversation.message_changed", conversation_id) == 2


async def likes_and_reposts_of_an_answer_come_back(stage: Stage) -> None:
    name = stage.new_name()
    question = stage.mention(name, "is de brug open?")
    town = await stage.town(name)
    delivery_id = await town.answer(await stage.conversation_of(town, question.uri), "Ja.")
    await stage.ends_as(delivery_id, "PUBLISHED")
    (answer,) = stage.posts_of(town)
    for citizen in ("one", "two"):
        stage.fake.network.like(citizen, answer)
    stage.fake.network.repost("one", answer)

    async def counted() -> bool:
        sql = "select like_count = 2 and repost_count = 1 from belfry.message where delivery_id = $1"
        return bool(await stage.evidence.one(sql, delivery_id))

    await until(counted, "the figures come back")


# --- tokens -----------------------------------------------------------------------------------------------------------


def refreshes(stage: Stage) -> int:
    return stage.fake.called("com.atproto.server.refreshSession")


async def sealed(stage: Stage, town: Town) -> bytes:
    sql = "select ciphertext from belfry.account_credential where social_account_id = $1"
    return await stage.evidence.one(sql, town.account_id)


async def an_expired_token_is_renewed_once_and_polling_goes_on(stage: Stage) -> None:
    name = stage.new_name()
    town = await stage.town(name)
    await stage.conversation_of(town, stage.mention(name, "eerste vraag").uri)
    before, times = await sealed(stage, town), refreshes(stage)
    stage.fake.network.expire_access(name)
    await stage.conversation_of(town, stage.mention(name, "tweede vraag").uri)
    assert refreshes(stage) == times + 1
    assert await sealed(stage, town) != before
    assert await connection_of(stage, town) == "CONNECTED"


async def a_revoked_token_stops_the_account_until_somebody_connects_it_again(stage: Stage) -> None:
    name = stage.new_name()
    town = await stage.town(name)
    await stage.conversation_of(town, stage.mention(name, "eerste vraag").uri)
    stage.fake.network.revoke(name)

    async def stopped() -> bool:
        work = "select count(*) from belfry.job where subject_id = $1"
        return await connection_of(stage, town) == "REVOKED" and await stage.evidence.one(work, town.account_id) == 0

    await until(stopped, "the account is stopped and nobody polls it")
    assert await stage.evidence.facts(town.id, "social_account.revoked", town.account_id) == 1
    reason = "select connection_error from belfry.social_account where id = $1"
    assert await stage.evidence.one(reason, town.account_id) == "InvalidToken"
    missed = stage.mention(name, "tweede vraag")
    await accounts.connect(
        stage.runtime,
        town.coordinator,
        account_id=town.account_id,
        server_url=stage.fake.url,
        identifier=f"{name}.test",
        secret=stage.fake.network.person(name).password,
    )
    await stage.conversation_of(town, missed.uri)
    assert await connection_of(stage, town) == "CONNECTED"


# --- running them -----------------------------------------------------------------------------------------------------

STORIES: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    what_citizens_write_change_and_take_back_is_followed,
    likes_and_reposts_of_an_answer_come_back,
    an_expired_token_is_renewed_once_and_polling_goes_on,
    a_revoked_token_stops_the_account_until_somebody_connects_it_again,
)


@pytest.fixture(scope="module")
async def running(stage: Stage) -> AsyncIterator[Mapping[str, asyncio.Future[None]]]:
    """Every story as a task, by its name: they run side by side, each in a town of its own."""
    tasks = {story.__name__: asyncio.ensure_future(story(stage)) for story in STORIES}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("story", [story.__name__ for story in STORIES])
async def test_an_account_s_life(running: Mapping[str, asyncio.Future[None]], story: str) -> None:
    await running[story]


# --- secrets ----------------------------------------------------------------------------------------------------------


async def test_no_secret_appears_in_logs_rows_or_valkey(stage: Stage, overheard: Overheard) -> None:
    """Passwords, every token that ever was, and the key: in nothing that the tests before this one have left behind."""
    people = [person for person in stage.fake.network.people.values() if person.name.startswith("town")]
    tokens = {word for _, body in stage.fake.calls for word in body.decode(errors="replace").split('"')}
    secrets = {person.password for person in people} | set(stage.fake.network.tokens)
    assert len(people) > 5
    assert tokens & secrets, "the passwords were really used"
    key = stage.runtime.settings.key
    assert key is not None
    secrets.add(key.get_secret_value())

    where = {"logs": stage.crew.logs(), "valkey commands": "\n".join(overheard.commands)}
    where["valkey"] = await everything_in_valkey(stage)
    tables = "select relname from pg_class where relnamespace = 'belfry'::regnamespace and relkind in ('r', 'p')"
    for row in await stage.evidence.rows(tables):
        lines = await stage.evidence.rows(f"select t::text as line from belfry.{row['relname']} t")
        where[row["relname"]] = "\n".join(line["line"] for line in lines)
    assert len(overheard.commands) > 100
    for place, words in where.items():
        found = [secret for secret in secrets if secret in words or secret.encode().hex() in words]
        assert found == [], f"a secret is in {place}"


async def everything_in_valkey(stage: Stage) -> str:
    client = redis.Redis.from_url(stage.valkey.url)
    found: list[str] = []
    async for key in client.scan_iter():
        kind = (await client.type(key)).decode()
        found += [key.decode(errors="replace")]
        if kind == "string":
            found.append(str(await client.get(key)))
        elif kind == "zset":
            found.append(str(await client.zrange(key, 0, -1)))
    await client.aclose()
    return "\n".join(found)


async def test_what_an_account_is_sealed_with_opens_nowhere_else(stage: Stage) -> None:
    """Two towns' ciphertexts exchanged: neither opens, and nothing is said of what is in them."""
    first, second = [await stage.town(stage.new_name()) for _ in range(2)]
    sql = "select id, key_id, nonce, ciphertext from belfry.account_credential where social_account_id = $1"
    (one,) = await stage.evidence.rows(sql, first.account_id)
    (other,) = await stage.evidence.rows(sql, second.account_id)
    swap = "update belfry.account_credential set key_id = $2, nonce = $3, ciphertext = $4 where id = $1"
    await stage.evidence.rows(swap, one["id"], other["key_id"], other["nonce"], other["ciphertext"])

    async def noticed() -> UUID | None:
        sql = (
            "select id from belfry.job where subject_id = $1 and kind = 'social_account.poll' and error = 'CannotOpen'"
        )
        return await stage.evidence.one(sql, first.account_id)

    await until(noticed, "the poll fails")
    assert "CannotOpen" in stage.crew.logs()


async def test_processes_that_are_asked_to_end_do_so(stage: Stage) -> None:
    stage.crew.stop("all", "relay")
    assert (stage.crew.exit_code("all"), stage.crew.exit_code("relay")) == (0, 0), stage.crew.logs()[-2_000:]
