# SPDX-License-Identifier: EUPL-1.2
"""One person or machine has so many sockets and streams at a time, and no more; others are not held up by it."""

from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from graphql_schema import guard
from services.kernel.access import Role
from tests.graphql_schema.serving import Served
from tests.graphql_schema.street import EVENTS, Street

MOST = 3


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "CONNECTIONS_PER_CLIENT_MAX", MOST)


async def refused(live: Served, token: str) -> int:
    """The code with which one socket more is closed."""
    async with live.socket() as socket:
        await socket.send(type="connection_init", payload={"authorization": f"Bearer {token}"})
        with pytest.raises(ConnectionClosed):
            await socket.receive()
        return await socket.closed()


@pytest.mark.parametrize("of_them_streams", range(MOST + 1))
async def test_sockets_and_streams_count_together(street: Street, live: Served, of_them_streams: int) -> None:
    token, other = street.token(Role.COORDINATOR), street.token(Role.OPERATOR, "ROADS")
    async with AsyncExitStack() as stack:
        for number in range(MOST):
            opened: Any = live.socket(token) if number >= of_them_streams else live.stream(token, EVENTS)
            await stack.enter_async_context(opened)
        assert await refused(live, token) == 1013
        answer = await live.post({"query": EVENTS}, token, accept="text/event-stream")
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (429, "THROTTLED")
        assert "retry-after" in answer.headers
        assert "data" in (await live.post({"query": "{ departments { totalCount } }"}, token)).json()
        async with live.socket(other):
            pass
    async with live.socket(token) as socket:
        await socket.subscribe("{ departments { totalCount } }")
        assert (await socket.receive())["type"] == "next"
