# SPDX-License-Identifier: EUPL-1.2
"""P15: documents and streams that were made to cost us are refused before a resolver runs, and cost little."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest

from graphql_schema.reading.execution import FALLBACKS, STATEMENTS, counted
from services.kernel.access import Role
from tests.graphql_schema.abuse import DOCUMENTS, HARMLESS
from tests.graphql_schema.serving import JSON, Served
from tests.graphql_schema.street import EVENTS, Street

CPU_SECONDS_MAX = 0.05
MARGIN = 4
"""Server and client share a process here, and a busy machine counts a second core's work twice."""


def executed() -> float:
    """How often any statement was made, or any query fell back to resolvers because it is not declared."""
    return sum(value for _, value in counted(STATEMENTS)) + dict(counted(FALLBACKS)).get("undeclared", 0)


async def test_p15_abuse_is_refused_before_a_resolver_runs_and_costs_little(
    live: Served, street: Street, tell: Callable[[str], None]
) -> None:
    token = street.token(Role.COORDINATOR)
    await live.ask(token, "{ conversations(first: 1) { nodes { id } } }")
    spent, passed = dict[str, float](), set[str]()
    for name, body in DOCUMENTS.items():
        turns, before = list[float](), executed()
        answers = list[Any]()
        for _ in range(3):
            began = time.process_time()
            answers.append(await live.post(body, token, accept=JSON))
            turns.append(time.process_time() - began)
        answer = answers[-1]
        found = answer.json()
        assert len(answer.content) < 20_000, name
        if "errors" in found:
            assert "data" not in found, name
            assert executed() == before, name
        else:
            passed.add(name)
        spent[name] = median(turns)
    assert passed == HARMLESS
    assert len(DOCUMENTS) - len(passed) >= 75
    dearest = max(spent, key=lambda name: spent[name])
    assert spent[dearest] < MARGIN * CPU_SECONDS_MAX, dearest
    above = {name: round(1_000 * each) for name, each in spent.items() if each > CPU_SECONDS_MAX}
    middle, most = 1_000 * median(spent.values()), 1_000 * spent[dearest]
    tell(
        f"P15: {len(DOCUMENTS) - len(passed)} documents refused before any statement: {middle:.1f} ms of processor "
        f"time in the middle, at most {most:.0f} ({dearest}), client included; above 50: {above or 'none'}"
    )


async def test_p15_streams_that_abuse_a_socket_cost_only_their_own(live: Served, street: Street) -> None:
    """Too many operations, the same id, garbage: each is answered or closed, and others go on."""
    token = street.token(Role.COORDINATOR)
    async with live.socket(token) as good, live.socket(token) as bad:
        for number in range(40):
            await bad.subscribe(EVENTS, str(number))
        refused = 0
        while refused < 15:
            frame = await bad.receive()
            refused += frame["type"] == "error" and frame["payload"][0]["extensions"]["code"] == "THROTTLED"
        await bad.connection.send("{" * 1_000)
        assert await bad.closed() == 4400
        await good.subscribe("{ viewer { roles } }")
        assert (await good.receive())["payload"]["data"]["viewer"]["roles"] == ["COORDINATOR"]


@pytest.mark.parametrize("message", ['{"type": "subscribe"}', "[]", '{"type": 1}', "x", '{"type": "nothing"}'])
async def test_p15_a_frame_that_is_none_closes_its_socket(live: Served, street: Street, message: str) -> None:
    async with live.socket(street.token(Role.COORDINATOR)) as socket:
        await socket.connection.send(message)
        assert await socket.closed() == 4400
