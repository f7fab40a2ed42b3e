# SPDX-License-Identifier: EUPL-1.2
"""P7 at random: hundreds of answers through a network that fails one time in five, and workers that are killed.

Everything follows from one seed. The harness writes down what it was told (`Ledger`); afterwards a checker reads that
ledger, the repository of the fake network and the rows, and nothing else decides.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from tests.support.fault_proxy import Fault, Rule
from tests.support.processes import until
from tests.support.servers import Servers
from tests.workers.stage import STOPPED, Stage, open_stage
from tests.workers.towns import Town

SEED = 20_261_122
PUT, GET = "com.atproto.repo.putRecord", "com.atproto.repo.getRecord"
UNKNOWN_SHARE, SLOW_DOWN_SHARE, BLIND_SHARE = 0.20, 0.03, 0.10
UNKNOWN = (Fault.DROP_BEFORE, Fault.CUT_AFTER, Fault.CUT_INSIDE, Fault.FAIL_AFTER)
HELD_MAX = 5
"""Answers of one colleague that may be open at a time; a person holds ten conversations at the most."""
AT_ONCE = 4


@dataclass(frozen=True)
class Size:
    publishes: int
    kills: int
    finished_seconds_max: float
    poll_seconds: int
    """Polling is not what is tested here, and the fake counts the likes of everything it shows."""


@dataclass
class Ledger:
    """What the harness wanted and what it was told, by the text of the answer."""

    intended: dict[str, UUID] = field(default_factory=dict[str, UUID])
    accepted: dict[str, UUID] = field(default_factory=dict[str, UUID])


def weather(chance: random.Random, publishes: int) -> list[Rule]:
    """What happens to each request, in order."""
    rules: list[Rule] = []
    for _ in range(publishes * 2):
        draw = chance.random()
        if draw < UNKNOWN_SHARE:
            rules.append(Rule(chance.choice(UNKNOWN), PUT))
        elif draw < UNKNOWN_SHARE + SLOW_DOWN_SHARE:
            told = b'{"error":"RateLimitExceeded"}'
            rules.append(Rule(Fault.ANSWER, PUT, status=429, headers={"retry-after": "1"}, body=told))
        else:
            rules.append(Rule(Fault.PASS, PUT))
    rules += [
        Rule(Fault.ANSWER if chance.random() < BLIND_SHARE else Fault.PASS, GET, status=503) for _ in range(publishes)
    ]
    return rules


async def questions(stage: Stage, town: Town, number: int) -> list[UUID]:
    """The conversations of as many citizens' questions, once all are taken in."""
    sql = "select id from belfry.conversation where tenant_id = $1 order by id"

    async def all_taken_in() -> list[UUID] | None:
        found = [row["id"] for row in await stage.evidence.rows(sql, town.id)]
        return found if len(found) == number else None

    return await until(all_taken_in, "every question is taken in", seconds=60 + number / 10)


async def answers(town: Town, conversations: list[UUID], ledger: Ledger, chance: random.Random) -> None:
    """Colleagues answer, a few at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def answer(number: int, conversation_id: UUID) -> None:
        text = f"Antwoord {number} voor u."
        async with places:
            ledger.intended[text] = conversation_id
            ledger.accepted[text] = await town.answer_patiently(
                conversation_id, text, by=town.colleagues[number % len(town.colleagues)]
            )

    order = list(enumerate(conversations))
    chance.shuffle(order)
    await asyncio.gather(*(answer(number, conversation_id) for number, conversation_id in order))


async def kills(stage: Stage, town: Town, size: Size) -> None:
    """Kill -9 of the worker each time that another share of the answers is out."""
    for number in range(size.kills):
        share = (number + 1) * size.publishes // (size.kills + 1)

        async def far_enough(share: int = share) -> bool:
            return stage.writes_of(town) >= share

        await until(far_enough, "some answers are out", seconds=size.finished_seconds_max)
        stage.crew.kill("all")
        stage.crew.start("all")


async def all_stopped(stage: Stage, town: Town, number: int) -> bool:
    sql = """
        select count(*) from belfry.delivery
        where tenant_id = $1 and (state = any($2) or verification = 'NEEDS_DECISION')
    """
    return await stage.evidence.one(sql, town.id, sorted(STOPPED)) == number


async def campaign(servers: Servers, size: Size, seed: int) -> str:
    async with open_stage(servers, proxies=1, poll_seconds=size.poll_seconds) as stage:
        stage.crew.start("all", "relay")
        return await campaign_on(stage, size, seed)


async def campaign_on(stage: Stage, size: Size, seed: int) -> str:
    chance, ledger = random.Random(seed), Ledger()
    (proxy,) = stage.proxies
    proxy.plan(*weather(chance, size.publishes))
    name = stage.new_name()
    for number in range(size.publishes):
        stage.mention(name, f"vraag {number}", by=f"citizen{number % 97}")
    town = await stage.town(name, proxy.url)
    await town.hire(-(-size.publishes // HELD_MAX))
    conversations = await questions(stage, town, size.publishes)
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(kills(stage, town, size))
        await answers(town, conversations, ledger, chance)
    await until(
        lambda: all_stopped(stage, town, size.publishes), "every answer has ended", seconds=size.finished_seconds_max
    )
    seconds = time.monotonic() - began
    figures = await check(stage, town, ledger, size)
    faults = sum(times for fault, times in proxy.counts.items() if fault in UNKNOWN)
    return f"seed {seed}: {figures}; {faults} faults, {size.kills} kills, {seconds:.0f} s"


async def check(stage: Stage, town: Town, ledger: Ledger, size: Size) -> str:
    """Compare the ledger, the repository and the rows."""
    assert len(ledger.accepted) == len(ledger.intended) == size.publishes
    there = Counter(record.value["text"] for record in stage.posts_of(town))
    uris = {record.value["text"]: (record.uri, record.cid) for record in stage.posts_of(town)}
    assert max(there.values()) == 1, "a text is there twice"
    assert set(there) <= set(ledger.accepted), "something is there that nobody wrote"
    assert stage.writes_of(town) == len(there), "a post was written over"
    sql = "select id, state, verification, remote_id, remote_version from belfry.delivery where tenant_id = $1"
    rows = {row["id"]: row for row in await stage.evidence.rows(sql, town.id)}
    ends = Counter[str]()
    for text, delivery_id in ledger.accepted.items():
        row = rows.pop(delivery_id)
        ends[row["verification"] or row["state"]] += 1
        if row["state"] == "PUBLISHED":
            assert uris[text] == (row["remote_id"], row["remote_version"]), "published, and not there"
        elif row["state"] == "FAILED":
            assert text not in there, "failed, and there"
        else:
            assert row["verification"] == "NEEDS_DECISION", "silently not published"
    assert rows == {}, "a delivery that nobody accepted"
    assert await stage.evidence.facts(town.id, "delivery.published") == ends["PUBLISHED"]
    unknown = """
        select count(distinct delivery_id) from belfry.delivery_attempt where tenant_id = $1 and outcome = 'UNKNOWN'
    """
    share = await stage.evidence.one(unknown, town.id) / size.publishes
    person = ends["NEEDS_DECISION"] / size.publishes
    lost = size.publishes - sum(ends.values())
    return (
        f"{size.publishes} answers, {share:.0%} once unknown: {len(there) - len(set(there))} duplicates, {lost} lost,"
        f" {ends['FAILED']} failed, {person:.2%} to a person"
    )


async def test_p7_answers_through_a_network_that_fails_one_time_in_five(
    servers: Servers, tell: Callable[[str], None]
) -> None:
    tell(await campaign(servers, Size(publishes=120, kills=2, finished_seconds_max=300.0, poll_seconds=30), SEED))


@pytest.mark.slow
async def test_p7_ten_thousand_answers(servers: Servers, tell: Callable[[str], None]) -> None:
    tell(await campaign(servers, Size(publishes=10_000, kills=60, finished_seconds_max=7_200.0, poll_seconds=3), SEED))
