# SPDX-License-Identifier: EUPL-1.2
"""What breaks in between costs seconds: the worker dies, Valkey forgets everything, a subscriber is cut off."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import redis.asyncio as redis

from tests.support.installation import Client, Installation, eventually
from tests.support.stories import answer, arrives, ask_by_form, claim, reply, wait_for, words


async def test_a_killed_worker_costs_seconds_and_no_question(
    installation: Installation, citizen: httpx2.AsyncClient, operator: Client
) -> None:
    questions = [words() for _ in range(5)]
    for question in questions:
        await ask_by_form(citizen, question)
    os.kill(await asyncio.to_thread(installation.child, "worker"), signal.SIGKILL)
    for question in questions:
        await arrives(operator, question)


async def test_a_worker_killed_after_an_answer_was_accepted_publishes_it_once(
    installation: Installation, citizen: httpx2.AsyncClient, operator: Client
) -> None:
    question, said = words(), words()
    sent = await ask_by_form(citizen, question)
    held = await claim(operator, (await arrives(operator, question))["id"])
    assert (await reply(operator, held, said))["userErrors"] == []
    os.kill(await asyncio.to_thread(installation.child, "worker"), signal.SIGKILL)
    await wait_for(operator, held["id"], lambda found: found["claim"] is None)

    async def look() -> int:
        page = await citizen.get(sent["statusUrl"], headers={"Accept": "application/json"})
        return sum(message["text"] == said for message in page.json()["messages"])

    assert await eventually(look) == 1


async def test_flushing_valkey_loses_nothing(
    installation: Installation, citizen: httpx2.AsyncClient, operator: Client
) -> None:
    url = json.loads((installation.data / "state.json").read_text())["environment"]["BELFRY_VALKEY_URL"]
    questions = [words() for _ in range(5)]
    async with redis.Redis.from_url(url) as valkey:
        for question in questions:
            await ask_by_form(citizen, question)
            await valkey.flushall()
    for question in questions:
        await arrives(operator, question)


async def test_a_subscriber_that_was_cut_off_resumes_from_its_cursor_and_misses_nothing(
    citizen: httpx2.AsyncClient, operator: Client
) -> None:
    document = "subscription($after: String) { conversationEvents(after: $after) { event cursor node { id } } }"
    first, second = words(), words()
    async with operator.live(document) as events:
        await asyncio.sleep(0.5)
        await ask_by_form(citizen, first)
        conversation = await arrives(operator, first)
        cursor = await _cursor_of(events, conversation["id"])
    await ask_by_form(citizen, second)
    missed = await arrives(operator, second)
    async with operator.live(document, after=cursor) as events:
        await _cursor_of(events, missed["id"])
    await answer(operator, missed, words())


async def _cursor_of(events: AsyncIterator[dict[str, Any]], conversation_id: str) -> str:
    async with asyncio.timeout(60):
        async for data in events:
            event = data["conversationEvents"]
            if event["node"] and event["node"]["id"] == conversation_id:
                return event["cursor"]
    raise AssertionError("the event never came")
