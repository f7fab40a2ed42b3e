# SPDX-License-Identifier: EUPL-1.2
"""Arguments of lists that cannot be answered, each refused before anything is read."""

import pytest

from services.kernel import access
from services.kernel.access import Role

LIST = """query List($first: Int, $last: Int, $filter: ConversationFilter, $orderBy: [ConversationOrder!]) {
  conversations(first: $first, last: $last, filter: $filter, orderBy: $orderBy) { totalCount } }"""
BAD = ["BAD_USER_INPUT"]


def nested(depth: int) -> dict:
    return {"not": nested(depth - 1)} if depth else {"state": {"eq": "OPEN"}}


def keys(*names: str) -> list[dict]:
    return [{"field": name, "direction": "ASC"} for name in names]


@pytest.mark.parametrize(
    "arguments",
    [
        {"first": 101},
        {"last": 101},
        {"first": -1},
        {"last": -1},
        {"first": 1, "last": 1},
        {"first": 0, "last": 0},
        {"orderBy": keys("OPENED_AT", "PRIORITY", "LAST_MESSAGE_AT", "NEXT_CONTACT_DUE_AT")},
        {"orderBy": keys("OPENED_AT", "OPENED_AT")},
        {"orderBy": keys("SECRET")},
        {"filter": nested(4)},
        {"filter": {"and": [nested(3)]}},
        {"filter": {"and": [{}] * 101}},
        {"filter": {"state": {"in": ["OPEN"] * 101}}},
        {"filter": {"state": {"eq": None}}},
        {"filter": {"state": {"in": None}}},
        {"filter": {"categoryId": {"isNull": None}}},
        {"filter": {"openedAt": {"gt": "2026-03-01T09:00:00"}}},
        {"filter": {"openedAt": {"gt": "yesterday"}}},
        {"filter": {"state": {"eq": "NONSENSE"}}},
        {"filter": {"nonsense": {"eq": 1}}},
    ],
    ids=str,
)
async def test_a_list_refuses_what_it_cannot_answer(codes, here, arguments):
    assert await codes(here.coordinator, LIST, **arguments) == BAD


@pytest.mark.parametrize(
    "arguments",
    [
        {"first": 0},
        {"first": 100},
        {"last": 100},
        {"filter": nested(3)},
        {"filter": None, "orderBy": None},
        {"orderBy": []},
    ],
    ids=str,
)
async def test_a_list_answers_at_its_bounds(codes, here, arguments):
    assert await codes(here.coordinator, LIST, **arguments) == []


@pytest.mark.parametrize("text", ["a\x00b", "\x00"])
async def test_text_that_no_row_can_hold_is_refused(codes, here, text):
    document = "query List($code: String!) { departments(filter: {code: {startsWith: $code}}) { totalCount } }"
    assert await codes(here.coordinator, document, code=text) == BAD
    assert await codes(here.coordinator, document, code="%_\\'\"") == []


async def test_texts_are_compared_as_they_are_written(ask, here):
    document = """query List($filter: DepartmentFilter) { departments(filter: $filter) { nodes { code } } }"""
    for comparator, operand, expected in (
        ("startsWith", "L", ["LIGHTS"]),
        ("startsWith", "l", []),
        ("contains", "O", ["PEOPLE", "ROADS"]),
        ("contains", "%", []),
        ("eq", "ROADS", ["ROADS"]),
        ("neq", "ROADS", ["DESK", "LIGHTS", "PEOPLE"]),
        ("in", ["ROADS", "DESK"], ["DESK", "ROADS"]),
        ("nin", ["ROADS", "DESK"], ["LIGHTS", "PEOPLE"]),
        ("in", [], []),
    ):
        found = await ask(here.coordinator, document, filter={"code": {comparator: operand}})
        assert sorted(each["code"] for each in found["departments"]["nodes"]) == expected, (comparator, operand)


FORBIDDEN = ["FORBIDDEN"]


@pytest.mark.parametrize(
    "document",
    [
        "{ conversations { totalCount } }",
        "{ departments { nodes { name } } conversations { totalCount } }",
        "{ departments { nodes { name } } ...Hidden } fragment Hidden on Query { contacts { totalCount } }",
        "query Q($yes: Boolean = true) { deliveries @include(if: $yes) { totalCount } }",
    ],
)
async def test_an_operation_that_selects_a_type_without_permission_is_refused_as_a_whole(codes, here, document):
    assert await codes(here.actor(Role.VIEWER), document) == FORBIDDEN
    assert await codes(here.coordinator, document) == []


async def test_a_relation_to_a_type_without_permission_refuses_the_operation(codes, here, monkeypatch):
    act = access.Permission.SOCIAL_ACCOUNT_READ
    others = {role: reach for role, reach in access.ROLE_PERMISSIONS[act].items() if role is not Role.MANAGER}
    monkeypatch.setattr(access, "ROLE_PERMISSIONS", {**access.ROLE_PERMISSIONS, act: others})
    document = "{ conversations { nodes { socialAccount { handle } } } }"
    assert await codes(here.actor(Role.MANAGER), document) == FORBIDDEN
    assert await codes(here.actor(Role.MANAGER), "{ conversations { nodes { id } } }") == []


async def test_what_is_skipped_needs_no_permission(codes, here):
    document = """query Q($no: Boolean = false) {
      departments { totalCount } conversations @include(if: $no) { totalCount } }"""
    assert await codes(here.actor(Role.VIEWER), document) == []


async def test_a_bad_page_in_a_relation_is_refused_without_a_path_even_if_no_row_asks_for_it(schema, reader, here):
    document = """{ conversations(filter: {state: {in: []}}) { nodes { messages(first: 101) { totalCount } } } }"""
    result = await schema.execute(document, context_value=reader(here.coordinator))
    assert result.data is None
    assert [(each.path, each.extensions["code"]) for each in result.errors] == [(None, "BAD_USER_INPUT")]
