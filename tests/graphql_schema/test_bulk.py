# SPDX-License-Identifier: EUPL-1.2
"""One act on many rows: each by itself, each with its own result, in the order asked."""

from typing import Any

import pytest

from graphql_schema.conversations.types import Category, Conversation
from graphql_schema.reading.declarations import encode_id
from services.kernel import identifiers
from services.kernel.access import Role
from tests.graphql_schema.conftest import FoundStreet
from tests.graphql_schema.serving import Served
from tests.graphql_schema.street import Street

UPDATE = """
mutation ($input: ConversationBulkUpdateInput!) {
  conversationBulkUpdate(input: $input) {
    results { node { id version category { id } } userErrors { code field message } }
    userErrors { code field }
  }
}
"""


async def update(live: Served, token: str, ids: list[str], **patch: Any) -> dict[str, Any]:
    return (await live.ask(token, UPDATE, input={"ids": ids, "patch": patch}))["conversationBulkUpdate"]


async def test_each_is_changed_by_itself_and_answers_in_its_place(
    street: Street, live: Served, found_street: FoundStreet
) -> None:
    topic = encode_id(Category, await street.topic(confidential=False))
    mine = [encode_id(Conversation, await street.open("ROADS")) for _ in range(3)]
    others = encode_id(Conversation, await street.open("PEOPLE"))
    elsewhere = await found_street()
    foreign = encode_id(Conversation, await elsewhere.open("ROADS"))
    unknown = encode_id(Conversation, identifiers.new())
    asked = [mine[0], foreign, mine[1], unknown, "nonsense", others, topic, mine[2], mine[0]]
    answer = await update(live, street.token(Role.OPERATOR, "ROADS"), asked, categoryId=topic)
    assert answer["userErrors"] == []
    results = answer["results"]
    assert len(results) == len(asked)
    for place in (0, 2, 7, 8):
        assert results[place]["node"]["id"] == asked[place]
        assert results[place]["node"]["category"]["id"] == topic
        assert results[place]["userErrors"] == []
    nowhere = [{**results[place]["userErrors"][0], "field": None} for place in (1, 3, 4, 5, 6)]
    assert all(results[place]["node"] is None for place in (1, 3, 4, 5, 6))
    assert all(each == nowhere[0] for each in nowhere)
    assert nowhere[0]["code"] == "NOT_FOUND"
    assert results[3]["userErrors"][0]["field"] == ["ids", "3"]
    assert results[0]["node"]["version"] == 2


async def test_a_topic_that_is_none_refuses_each_and_changes_nothing(street: Street, live: Served) -> None:
    ids = [encode_id(Conversation, await street.open("ROADS")) for _ in range(2)]
    answer = await update(live, street.token(Role.COORDINATOR), ids, categoryId="nonsense")
    for each, conversation in zip(answer["results"], ids, strict=True):
        assert each["node"] == {"id": conversation, "version": 1, "category": None}
        assert [(one["code"], one["field"]) for one in each["userErrors"]] == [("NOT_FOUND", ["patch", "categoryId"])]


async def test_nothing_to_change_looks_at_each(street: Street, live: Served) -> None:
    conversation = encode_id(Conversation, await street.open("ROADS"))
    answer = await update(live, street.token(Role.COORDINATOR), [conversation, "x"])
    assert [each["node"] and each["node"]["version"] for each in answer["results"]] == [1, None]


async def test_at_most_a_hundred_and_only_who_may(street: Street, live: Served) -> None:
    conversation = encode_id(Conversation, await street.open("ROADS"))
    most = await update(live, street.token(Role.COORDINATOR), [conversation] * 100)
    assert len(most["results"]) == 100
    refused = await update(live, street.token(Role.COORDINATOR), [conversation] * 101)
    assert (refused["results"], [each["code"] for each in refused["userErrors"]]) == ([], ["LIMIT_REACHED"])
    given = {"input": {"ids": [conversation], "patch": {}}}
    forbidden = await live.post({"query": UPDATE, "variables": given}, street.token(Role.VIEWER))
    assert forbidden.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize("null", ["null", None])
async def test_null_is_no_topic(street: Street, live: Served, null: str | None) -> None:
    conversation = encode_id(Conversation, await street.open("ROADS"))
    body: dict[str, Any] = {
        "query": UPDATE,
        "variables": {"input": {"ids": [conversation], "patch": {"categoryId": None}}},
    }
    if null is not None:
        literal = f'{{ids: ["{conversation}"], patch: {{categoryId: null}}}}'
        body = {"query": f"mutation {{ conversationBulkUpdate(input: {literal}) {{ results {{ node {{ id }} }} }} }}"}
    refused = await live.post(body, street.token(Role.COORDINATOR))
    code = refused.json()["errors"][0]["extensions"]["code"]
    assert code == ("GRAPHQL_VALIDATION_FAILED" if null else "BAD_USER_INPUT")
