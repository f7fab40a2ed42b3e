# SPDX-License-Identifier: EUPL-1.2
"""Global ids: what they are made of, and what finds rows by them."""

from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Uuid, literal, select

from graphql_schema.conversations.types import Conversation, Message
from graphql_schema.nodes import GLOBAL_ID, encode_id_in_sql
from graphql_schema.nodes import decode_id as decode_any_id
from graphql_schema.nodes import encode_id as encode_any_id
from graphql_schema.reading.declarations import REGISTRY, decode_id, encode_id
from graphql_schema.tenancy.types import Department
from services.kernel.access import Role

SEVERAL = "query Several($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on Department { name } } }"


@given(st.uuids())
@example(UUID(int=0))
@example(UUID(int=2**128 - 1))
def test_an_id_is_24_opaque_characters_and_comes_back(row_id):
    text = encode_id(Conversation, row_id)
    assert GLOBAL_ID.fullmatch(text)
    assert decode_id(text, Conversation) == row_id
    assert decode_id(text, Message) is None


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
@example("A" * 24)
@example("+" * 24)
@example(" " + "A" * 23)
def test_any_text_is_an_id_written_in_the_only_way_or_none(text):
    found = decode_any_id(text)
    assert found is None or text == encode_any_id(*found)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.uuids(), min_size=20, max_size=20))
async def test_the_database_writes_the_same_ids(reading_database, here, row_ids):
    async with reading_database.snapshot(here.coordinator) as snapshot:
        statement = select(*(encode_id_in_sql("CV", literal(each, Uuid())) for each in row_ids))
        found = (await snapshot.rows(statement))[0]
    assert list(found) == [encode_id(Conversation, each) for each in row_ids]


async def test_nodes_come_in_the_order_asked_with_null_for_what_is_not_found(ask, here):
    departments = list(here.organization.departments.values())
    ids = [
        encode_id(Department, departments[2]),
        "nonsense",
        encode_id(Conversation, here.conversations[3].id),
        encode_id(Department, departments[0]),
        encode_id(Department, departments[2]),
        encode_id(Message, departments[0]),
    ]
    found = (await ask(here.coordinator, SEVERAL, ids=ids))["nodes"]
    assert [each and each["id"] for each in found] == [ids[0], None, ids[2], ids[3], ids[4], None]
    assert [each and each["__typename"] for each in found] == [
        "Department", None, "Conversation", "Department", "Department", None
    ]  # fmt: skip


async def test_more_than_a_hundred_ids_are_refused(codes, here):
    ids = [encode_id(Conversation, here.conversations[0].id)] * 101
    assert await codes(here.coordinator, SEVERAL, ids=ids) == ["BAD_USER_INPUT"]
    assert await codes(here.coordinator, SEVERAL, ids=ids[:100]) == []


async def test_a_type_without_permission_is_null_by_id_and_its_fragment_is_never_reached(ask, here):
    viewer = here.actor(Role.VIEWER)
    document = """query Any($id: ID!) { node(id: $id) { __typename
      ... on Conversation { messages { nodes { text } } } ... on Department { name } } }"""
    conversation = encode_id(Conversation, here.conversations[0].id)
    assert (await ask(viewer, document, id=conversation))["node"] is None
    department = encode_id(Department, here.organization.departments["ROADS"])
    assert (await ask(viewer, document, id=department))["node"] == {"__typename": "Department", "name": "Roads"}


@pytest.mark.parametrize("node_type", [each for each in REGISTRY if REGISTRY[each].tag], ids=lambda each: each.__name__)
def test_every_tag_is_used_once(node_type):
    tag = REGISTRY[node_type].tag
    assert [each for each in REGISTRY.values() if each.tag == tag] == [REGISTRY[node_type]]
