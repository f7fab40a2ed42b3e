# SPDX-License-Identifier: EUPL-1.2
"""Pages against plain Python: every filter, order, size and direction, walked from one end to the other."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_schema.conversations.types import Conversation
from graphql_schema.reading.declarations import decode_id
from services.kernel.access import Role
from tests.graphql_schema.reading import oracle

PAGES_MAX = 80
ROOTS_MAX = 20
LIST = """
query List(
  $first: Int, $last: Int, $after: String, $before: String, $filter: ConversationFilter, $orderBy: [ConversationOrder!]
) {
  conversations(first: $first, last: $last, after: $after, before: $before, filter: $filter, orderBy: $orderBy) {
    totalCount isTotalCountExact
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { id } }
  }
}
"""

EXAMPLES = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
UNWATCHED = pytest.mark.usefixtures("unwatched_statements")
"""Every example is a new text, and judging one takes longer than running it; the other tests here are watched."""


def ids(page: dict[str, Any]) -> list[Any]:
    return [decode_id(each["node"]["id"], Conversation) for each in page["edges"]]


@UNWATCHED
@EXAMPLES
@given(data=st.data())
async def test_pages_walked_forward_give_what_plain_python_gives(ask, here, there, data):
    tree = data.draw(oracle.filters(here, there), label="filter")
    keys = data.draw(oracle.orders(), label="orderBy")
    size = data.draw(st.integers(5, 100), label="first")
    actor = data.draw(st.sampled_from([here.coordinator, here.actor(Role.OPERATOR, "ROADS")]), label="actor")
    is_seen = oracle.sees(here, actor)
    expected = oracle.ordered([row for row in here.conversations if is_seen(row) and oracle.holds(tree, row)], keys)
    found: list[Any] = []
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        answer = await ask(actor, LIST, first=size, after=cursor, filter=tree, orderBy=keys)
        page = answer["conversations"]
        found += ids(page)
        assert page["totalCount"] == len(expected)
        assert page["isTotalCountExact"] is True
        assert page["pageInfo"]["hasPreviousPage"] is (cursor is not None)
        assert page["pageInfo"]["startCursor"] == (page["edges"][0]["cursor"] if page["edges"] else None)
        cursor = page["pageInfo"]["endCursor"]
        assert cursor == (page["edges"][-1]["cursor"] if page["edges"] else None)
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert found == [row.id for row in expected]


@UNWATCHED
@EXAMPLES
@given(data=st.data())
async def test_pages_walked_backward_give_the_same_from_the_end(ask, here, there, data):
    tree = data.draw(oracle.filters(here, there), label="filter")
    keys = data.draw(oracle.orders(), label="orderBy")
    size = data.draw(st.integers(5, 100), label="last")
    expected = oracle.ordered([row for row in here.conversations if oracle.holds(tree, row)], keys)
    found: list[Any] = []
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        answer = await ask(here.coordinator, LIST, last=size, before=cursor, filter=tree, orderBy=keys)
        page = answer["conversations"]
        found = ids(page) + found
        assert page["pageInfo"]["hasNextPage"] is (cursor is not None)
        cursor = page["pageInfo"]["startCursor"]
        if not page["pageInfo"]["hasPreviousPage"]:
            break
    assert found == [row.id for row in expected]


@UNWATCHED
@EXAMPLES
@given(data=st.data())
async def test_two_cursors_cut_a_piece_out_of_the_list(ask, here, data):
    keys = data.draw(oracle.orders(), label="orderBy")
    expected = [row.id for row in oracle.ordered(here.conversations, keys)]
    everything = (await ask(here.coordinator, LIST, first=100, orderBy=keys))["conversations"]["edges"]
    start = data.draw(st.integers(0, len(expected) - 1), label="start")
    end = data.draw(st.integers(0, len(expected) - 1), label="end")
    cursors = {"after": everything[start]["cursor"], "before": everything[end]["cursor"]}
    size = data.draw(st.integers(0, 100), label="size")
    piece = expected[start + 1 : end]
    forward = (await ask(here.coordinator, LIST, first=size, orderBy=keys, **cursors))["conversations"]
    assert ids(forward) == piece[:size]
    assert forward["pageInfo"]["hasNextPage"] is True  # something stands where `before` points
    backward = (await ask(here.coordinator, LIST, last=size, orderBy=keys, **cursors))["conversations"]
    assert ids(backward) == piece[len(piece) - min(size, len(piece)) :]


@UNWATCHED
@pytest.mark.parametrize("way", ["ordinary", "one statement"], indirect=True)
async def test_every_comparator_alone_and_denied_means_what_it_means_in_plain_python(ask, here, there, tell):
    several = [tree for trees in oracle.comparisons(here, there).values() for tree in trees]
    asked = [*several, *({"not": each} for each in several)]
    lets_some_through = 0
    for start in range(0, len(asked), ROOTS_MAX):
        batch = asked[start : start + ROOTS_MAX]
        variables = {f"f{i}": tree for i, tree in enumerate(batch)}
        declared = ", ".join(f"${name}: ConversationFilter" for name in variables)
        root = "conversations(first: 100, filter: $%s) { nodes { id } }"
        roots = " ".join(f"{name}: {root % name}" for name in variables)
        data = await ask(here.coordinator, f"query Many({declared}) {{ {roots} }}", **variables)
        for name, tree in variables.items():
            found = {decode_id(each["id"], Conversation) for each in data[name]["nodes"]}
            assert found == {row.id for row in here.conversations if oracle.holds(tree, row)}, tree
            lets_some_through += 0 < len(found) < len(here.conversations)
    tell(f"{len(asked)} filters of one comparison, {lets_some_through} of them let some rows through and not others")
    assert lets_some_through > len(asked) / 2


async def test_without_arguments_a_page_has_twenty_items_and_before_alone_takes_the_end(ask, here):
    expected = [row.id for row in oracle.ordered(here.conversations, [])]
    page = (await ask(here.coordinator, LIST))["conversations"]
    assert ids(page) == expected[:20]
    everything = (await ask(here.coordinator, LIST, first=100))["conversations"]["edges"]
    page = (await ask(here.coordinator, LIST, before=everything[50]["cursor"]))["conversations"]
    assert ids(page) == expected[30:50]


async def test_nested_pages_are_cut_for_each_owner(ask, here):
    document = """query Nested($first: Int, $last: Int, $after: String) { conversations(first: 100) { nodes { id
      messages(first: $first, last: $last, after: $after) {
        totalCount edges { cursor node { text } } pageInfo { hasNextPage hasPreviousPage } } } } }"""
    for arguments in ({"first": 2}, {"last": 2}, {"first": 0}):
        nodes = (await ask(here.coordinator, document, **arguments))["conversations"]["nodes"]
        assert len(nodes) == len(here.conversations)
        for node in nodes:
            row = next(each for each in here.conversations if each.id == decode_id(node["id"], Conversation))
            expected = [each.text for each in here.messages_of(row)]
            size = next(iter(arguments.values()))
            texts = [each["node"]["text"] for each in node["messages"]["edges"]]
            assert texts == (expected[:size] if "first" in arguments else expected[-size:])
            assert node["messages"]["totalCount"] == len(expected)
            more = node["messages"]["pageInfo"]["hasNextPage" if "first" in arguments else "hasPreviousPage"]
            assert more is (len(expected) > size)


async def test_a_nested_cursor_moves_the_start_within_its_own_list(ask, here):
    document = """query Nested($after: String) { conversations(first: 100) { nodes {
      messages(first: 1, after: $after) { edges { cursor node { id } } } } } }"""
    nodes = (await ask(here.coordinator, document))["conversations"]["nodes"]
    cursor = next(each["messages"]["edges"][0]["cursor"] for each in nodes if each["messages"]["edges"])
    first = {each["messages"]["edges"][0]["node"]["id"] for each in nodes if each["messages"]["edges"]}
    later = (await ask(here.coordinator, document, after=cursor))["conversations"]["nodes"]
    shown = {edge["node"]["id"] for each in later for edge in each["messages"]["edges"]}
    assert shown
    assert shown != first


async def test_a_long_list_is_counted_up_to_a_bound(ask, here, monkeypatch):
    from graphql_schema.reading import resolvers, sql

    monkeypatch.setattr(resolvers, "TOTAL_COUNT_MAX", 7)
    monkeypatch.setattr(sql, "TOTAL_COUNT_MAX", 7)
    document = """{ conversations(first: 1) { totalCount isTotalCountExact
      nodes { messages { totalCount isTotalCountExact } } } }"""
    found = (await ask(here.coordinator, document))["conversations"]
    assert (found["totalCount"], found["isTotalCountExact"]) == (7, False)
    assert found["nodes"][0]["messages"]["isTotalCountExact"] is True
