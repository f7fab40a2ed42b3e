# SPDX-License-Identifier: EUPL-1.2
"""`conversations(query:)`: what is found is a list like any other, in both executors, and of one organization."""

from typing import Any

import pytest

from graphql_schema.conversations.types import Conversation
from graphql_schema.reading.conditions import SEARCH_LENGTH_MAX
from graphql_schema.reading.declarations import decode_id
from services.kernel.access import Role
from tests.graphql_schema.reading import oracle
from tests.graphql_schema.reading.planting import Planted

SEARCH = """query Search($query: String, $first: Int, $last: Int, $after: String, $filter: ConversationFilter) {
  conversations(query: $query, first: $first, last: $last, after: $after, filter: $filter) {
    totalCount edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage endCursor } } }"""


def found_in(planted: Planted, word: str) -> set[Any]:
    """The conversations in whose messages a word stands, in plain Python."""
    return {each.conversation_id for each in planted.messages if word in each.text.split()}


def ids(page: dict[str, Any]) -> list[Any]:
    return [decode_id(each["node"]["id"], Conversation) for each in page["edges"]]


async def test_every_page_together_is_what_plain_python_finds_in_the_order_of_the_list(ask, here, there):
    expected = [row.id for row in oracle.ordered(here.conversations, []) if row.id in found_in(here, "Words")]
    found: list[Any] = []
    cursor = None
    for _ in range(len(expected) + 1):
        page = (await ask(here.coordinator, SEARCH, query="words", first=7, after=cursor))["conversations"]
        assert page["totalCount"] == len(expected)
        found += ids(page)
        cursor = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert found == expected
    backward = (await ask(here.coordinator, SEARCH, query="words", last=5))["conversations"]
    assert ids(backward) == expected[-5:]


async def test_a_search_and_a_filter_narrow_the_list_together(ask, here):
    tree = {"state": {"eq": "OPEN"}}
    page = (await ask(here.coordinator, SEARCH, query="Words", filter=tree, first=100))["conversations"]
    expected = {row.id for row in here.conversations if oracle.holds(tree, row)} & found_in(here, "Words")
    assert set(ids(page)) == expected
    assert page["totalCount"] == len(expected)


async def test_whoever_sees_less_finds_less(ask, here):
    operator = here.actor(Role.OPERATOR, "ROADS")
    is_seen = oracle.sees(here, operator)
    page = (await ask(operator, SEARCH, query="words", first=100))["conversations"]
    assert set(ids(page)) == {row.id for row in here.conversations if is_seen(row)} & found_in(here, "Words")


@pytest.mark.parametrize("nothing", [None, "", "   "])
async def test_nothing_to_look_for_is_the_whole_list(ask, here, nothing):
    page = (await ask(here.coordinator, SEARCH, query=nothing, first=100))["conversations"]
    assert page["totalCount"] == len(here.conversations)


@pytest.mark.parametrize("asked", ["'", '"', "& | ! ( ) : *", "\\", "%", "a:*b", "😀", "\u2028", "e\u0301", "<->"])
async def test_no_sign_means_anything(ask, here, asked):
    await ask(here.coordinator, SEARCH, query=asked)


async def test_a_search_has_a_bound_and_its_cursors_fit_no_other(ask, codes, here):
    assert await codes(here.coordinator, SEARCH, query="x" * SEARCH_LENGTH_MAX) == []
    assert await codes(here.coordinator, SEARCH, query="x" * (SEARCH_LENGTH_MAX + 1)) == ["BAD_USER_INPUT"]
    page = (await ask(here.coordinator, SEARCH, query="words", first=3))["conversations"]
    cursor = page["pageInfo"]["endCursor"]
    assert await codes(here.coordinator, SEARCH, query="words", first=3, after=cursor) == []
    for other in ("name", None):
        assert await codes(here.coordinator, SEARCH, query=other, first=3, after=cursor) == ["BAD_USER_INPUT"]
