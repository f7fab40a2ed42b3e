# SPDX-License-Identifier: EUPL-1.2
"""Anybody can compare the two ways in which a query is answered: the header says which, and asks for the slow one."""

import httpx2
import pytest

from tests.graphql_schema.serving import without_cost
from tests.support.installation import Client

INBOX = """query Inbox($first: Int) { conversations(first: $first) { totalCount pageInfo { hasNextPage endCursor }
    nodes { id reference state priority openedAt nextContactDueAt department { name } category { name }
      contact { displayName } lastMessage { text direction } claim { holder { name } } } } }"""
FIGURES = """{ responseTime(until: "2026-06-01T00:00:00Z") { n medianWallSeconds answeredShare }
    outboundMix(until: "2026-06-01T00:00:00Z") { n interactionRatio } }"""
THE_SAME = {"inbox": INBOX, "figures": FIGURES, "directory": "{ departments { nodes { name parent { name } } } }"}


async def answered(client: Client, document: str, executor: str | None) -> httpx2.Response:
    """The whole response, asked over the wire as anybody could."""
    headers = {"Authorization": f"Bearer {client.bearer}"}
    if executor is not None:
        headers["X-Execution"] = executor
    body = {"query": document, "variables": {"first": 20} if "$first" in document else {}}
    return await client.http.post("/graphql", json=body, headers=headers)


@pytest.mark.parametrize("name", THE_SAME)
async def test_both_ways_answer_the_same_bytes_over_http(coordinator: Client, name: str) -> None:
    fast = await answered(coordinator, THE_SAME[name], None)
    slow = await answered(coordinator, THE_SAME[name], "ordinary")
    again = await answered(coordinator, THE_SAME[name], None)
    if without_cost(again.content) != without_cost(fast.content):  # a poll brought something in between
        fast, slow = again, await answered(coordinator, THE_SAME[name], "ordinary")
    assert (fast.headers["X-Execution"], slow.headers["X-Execution"]) == ("compiled", "ordinary")
    assert fast.status_code == slow.status_code == 200
    assert fast.json()["data"]
    assert without_cost(fast.content) == without_cost(slow.content)


async def test_what_has_a_resolver_is_answered_ordinarily_and_says_so(coordinator: Client) -> None:
    assert (await answered(coordinator, "{ viewer { roles } }", None)).headers["X-Execution"] == "ordinary"
    refused = await answered(coordinator, "{ conversations(first: 101) { totalCount } }", None)
    assert refused.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
