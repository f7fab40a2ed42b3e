# SPDX-License-Identifier: EUPL-1.2
"""Nothing of 3 kB can block the loop: neither what we know to be bad, nor what chance finds when it is led to it."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings, target
from hypothesis import strategies as st

from graphql_schema import transport
from graphql_schema.conversations.types import Conversation
from graphql_schema.reading.declarations import encode_id
from graphql_schema.social_accounts.types import SocialAccount
from services.kernel.access import Role
from tests.graphql_schema.serving import GRAPHQL, JSON, Served
from tests.graphql_schema.small_bodies import (
    BYTES_MAX,
    FILTER,
    SHARE,
    UNITS,
    Small,
    document,
    fresh,
    shapes,
    texts,
    variables,
)
from tests.graphql_schema.street import Street

CPU_SECONDS_MAX = 0.5
"""For all of a request, the client's own work included; two orders above what most take."""
TURNS = 3


@dataclass
class Watch:
    """The longest that one callback kept the loop, by processor time: a busy machine does not count."""

    slowest: float = 0.0
    name: str = ""


@contextmanager
def watched_loop() -> Iterator[Watch]:
    watch, run = Watch(), asyncio.Handle._run

    def measured(self: asyncio.Handle) -> None:
        began = time.thread_time()
        run(self)
        spent = time.thread_time() - began
        if spent > watch.slowest:
            watch.slowest, watch.name = spent, repr(self)

    asyncio.Handle._run = measured  # type: ignore[method-assign]
    gc.disable()  # it would walk what all the tests before have left
    try:
        yield watch
    finally:
        asyncio.Handle._run = run  # type: ignore[method-assign]
        gc.enable()


@dataclass
class Spent:
    """What one request took, and what it answered."""

    seconds: float
    slowest: float
    status: int


Send = Callable[[Small], Awaitable[Spent]]


@pytest.fixture
def send(live: Served, street: Street, unwatched_statements: None) -> Send:
    """Sends one and measures. No hook of the tests parses statements meanwhile: service has none."""

    async def once(small: Small) -> Spent:
        headers = dict(small.headers)
        token = None if "Authorization" in headers else street.token(Role.COORDINATOR)
        accept, kind = headers.pop("Accept", GRAPHQL), headers.pop("Content-Type", JSON)
        with watched_loop() as watch:
            began = time.process_time()
            answer = await live.post(small.body, token, accept=accept, content_type=kind, headers=headers)
            spent = time.process_time() - began
        assert answer.status_code != 500, answer.text
        return Spent(spent, watch.slowest, answer.status_code)

    return once


async def cheapest(send: Send, small: Small) -> Spent:
    """The least of some turns, if the first was dear: another process may have been in the way."""
    found = await send(small)
    for _ in range(TURNS - 1):
        if found.seconds < CPU_SECONDS_MAX:
            break
        try:
            asked = orjson.loads(small.body)
            again = Small(orjson.dumps(asked | {"query": fresh(asked["query"].partition("\n")[2])}), small.headers)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            again = small
        found = min(found, await send(again), key=lambda each: each.seconds)
    return found


async def warm(send: Send, all_of: Iterator[tuple[str, Small]]) -> None:
    """What is made once in a process, such as the statements of an act, is not what a request costs."""
    for _, small in all_of:
        await send(small)


async def judge(send: Send, all_of: Iterator[tuple[str, Small]]) -> str:
    """Send each; the sentence with the worst."""
    spent = {name: await cheapest(send, small) for name, small in all_of}
    dearest = max(spent, key=lambda name: spent[name].seconds)
    longest = max(spent, key=lambda name: spent[name].slowest)
    statuses = sorted({each.status for each in spent.values()})
    assert spent[dearest].seconds < CPU_SECONDS_MAX, dearest
    assert spent[longest].slowest < CPU_SECONDS_MAX, longest
    return (
        f"{len(spent)} requests of at most {BYTES_MAX} bytes, statuses {statuses}: at most "
        f"{1000 * spent[dearest].seconds:.0f} ms of processor time ({dearest}), one callback at most "
        f"{1000 * spent[longest].slowest:.0f} ms ({longest})"
    )


async def test_the_worst_shapes_of_3_kb_do_not_block_the_loop(send: Send, tell: Callable[[str], None]) -> None:
    tell(await judge(send, shapes()))


async def test_the_worst_texts_of_3_kb_do_not_block_the_loop(
    send: Send, street: Street, tell: Callable[[str], None]
) -> None:
    conversation = encode_id(Conversation, await street.open("ROADS"))
    account = encode_id(SocialAccount, street.account)
    await warm(send, islice(texts(account, conversation), 0, None, len(UNITS) // SHARE))
    tell(await judge(send, texts(account, conversation)))


PIECES = [
    "{", "}", "(", ")", "[", "]", ":", "$", "!", "...", "@", "|", "&", "=", "#", "\n", " ", ",", '"', '"""', "\\",
    "\ufeff", "\u0000", "😀", "e\u0301", "0", "9", "-1", "1e9", "0.1", "null", "true", "a", "id", "__typename", "on",
    "query", "Q", "fragment F on Query", "fragment F on Conversation", "mutation", "subscription", "...F",
    "...on Conversation",
    "...on Node", "@include(if: true)", "@skip(if: $v)", "$v: Int", "($v: [[Int!]!]!)", "conversations", "(first: 1)",
    "(first: 100)", "nodes", "edges{node", "contact", "messages", "category", "(filter: {and: [{", "state: {eq: OPEN}",
    "not: {", "in: [", "a: ", "viewer", "__schema", "types", "fields", 'node(id: "x")', "nodes(ids: [", "orderBy: [",
    "responseTimeSeries(granularity: DAY)", "type A { a: A }", "extend", "input", "enum", "directive @a on FIELD",
]  # fmt: skip
some = st.lists(st.sampled_from(PIECES), max_size=4).map(" ".join)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(before=some, unit=st.one_of(some, st.sampled_from(PIECES)), between=some, closing=some, after=some)
async def test_what_chance_repeats_up_to_3_kb_does_not_block_the_loop(
    send: Send, before: str, unit: str, between: str, closing: str, after: str
) -> None:
    small = document(before, f"{unit or 'a'} ", between, closing, after)
    spent = await cheapest(send, small)
    target(spent.seconds)
    assert spent.seconds < CPU_SECONDS_MAX
    assert spent.slowest < CPU_SECONDS_MAX


json_pieces = st.sampled_from(
    ['{"and":[', '{"not":', '{"in":[', "[", "{", '"v":', '"', "1,", '"x",', "null,", "{},", "]", "}"]
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(before=json_pieces, unit=json_pieces, between=json_pieces, closing=st.sampled_from(["", "]", "}", "]}"]))
async def test_what_chance_writes_into_variables_does_not_block_the_loop(
    send: Send, before: str, unit: str, between: str, closing: str
) -> None:
    spent = await cheapest(send, variables(FILTER, f'{{"v":{before}', unit, between, closing, "}"))
    target(spent.seconds)
    assert spent.seconds < CPU_SECONDS_MAX
    assert spent.slowest < CPU_SECONDS_MAX


async def test_a_planted_hole_is_found(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(_given: Any) -> None:
        ends = time.thread_time() + CPU_SECONDS_MAX
        while time.thread_time() < ends:
            pass

    monkeypatch.setattr(transport, "check_variables", slow)
    with pytest.raises(AssertionError):
        await judge(send, iter([("slow", document("{ viewer { roles", " ", "", "", "} }"))]))
