# SPDX-License-Identifier: EUPL-1.2
"""Cursors: bound to organization, field, order and filter; beyond that they can only move the start of a list."""

from base64 import urlsafe_b64encode
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Boolean, Date, Integer, SmallInteger, Text, Uuid, literal, select

from graphql_schema.conversations.types import Conversation
from graphql_schema.reading.declarations import decode_id
from graphql_schema.reading.positions import position_in_sql, read_position, write_position
from services.kernel.isolation import UtcDateTime

LIST = """
query List($after: String, $before: String, $filter: ConversationFilter, $orderBy: [ConversationOrder!]) {
  conversations(first: 3, after: $after, before: $before, filter: $filter, orderBy: $orderBy) {
    edges { cursor node { id } }
  }
}
"""
CONTACTS = "query List($after: String) { contacts(first: 3, after: $after) { edges { cursor node { id } } } }"
BAD = ["BAD_USER_INPUT"]
BY_OPENING = [{"field": "OPENED_AT", "direction": "ASC"}]

KINDS = {
    UtcDateTime(): st.datetimes(timezones=st.just(UTC)),
    Uuid(): st.uuids(),
    Text(): st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40),
    SmallInteger(): st.integers(-(2**15), 2**15 - 1),
    Integer(): st.integers(-(2**31), 2**31 - 1),
    BigInteger(): st.integers(-(2**63), 2**63 - 1),
    Boolean(): st.booleans(),
    Date(): st.dates(),
}


BEFORE_ALL, AFTER_ALL = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC) + timedelta(hours=1)


def place(instant: datetime) -> str:
    """A position that nobody was ever given."""
    content = write_position([UtcDateTime(), Uuid()], [instant, UUID(int=0)])
    return urlsafe_b64encode(content).decode()


async def first_cursor(ask, here, **arguments):
    return (await ask(here.coordinator, LIST, **arguments))["conversations"]["edges"][0]["cursor"]


async def test_a_cursor_of_another_order_filter_or_list_is_refused(ask, codes, here):
    cursor = await first_cursor(ask, here)
    assert await codes(here.coordinator, LIST, after=cursor) == []
    assert await codes(here.coordinator, LIST, after=cursor, orderBy=BY_OPENING) == BAD
    assert await codes(here.coordinator, LIST, after=cursor, filter={"state": {"eq": "OPEN"}}) == BAD
    assert await codes(here.coordinator, CONTACTS, after=cursor) == BAD


async def test_what_asks_for_the_same_rows_is_the_same_filter(ask, codes, here):
    cursor = await first_cursor(ask, here)
    for same in ({}, None, {"state": None}, {"and": None}):
        assert await codes(here.coordinator, LIST, after=cursor, filter=same) == []


async def test_a_cursor_of_another_organization_is_refused(ask, codes, here, there):
    cursor = await first_cursor(ask, there)
    assert await codes(here.coordinator, LIST, after=cursor) == BAD
    assert await codes(here.coordinator, LIST, before=cursor) == BAD


async def test_a_tampered_signature_is_refused_at_every_place(ask, codes, here):
    cursor = await first_cursor(ask, here)
    signed = cursor.index(".")
    for place in range(signed + 1):
        changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        assert await codes(here.coordinator, LIST, after=changed) == BAD


async def test_a_tampered_position_is_refused_or_only_moves_the_start(ask, codes, here):
    cursor = await first_cursor(ask, here)
    prefix = cursor[: cursor.index(".") + 1]
    for broken in ("", "A", "AAAA", "=", "?" * 32, cursor[len(prefix) :] + "AAAA", "ÿ", "A" * 33):
        assert await codes(here.coordinator, LIST, after=prefix + broken) == BAD, broken
    assert (await ask(here.coordinator, LIST, after=prefix + place(AFTER_ALL)))["conversations"]["edges"] == []
    page = (await ask(here.coordinator, LIST, after=prefix + place(BEFORE_ALL)))["conversations"]["edges"]
    first = min(here.conversations, key=lambda row: (row.due_order, row.id))
    assert decode_id(page[0]["node"]["id"], Conversation) == first.id


@pytest.mark.parametrize(
    "text", ["", "garbage", "arrayconnection:3", "YXJyYXljb25uZWN0aW9uOjM=", "1.", "é", "💧" * 300]
)
async def test_any_other_text_is_refused(codes, here, text):
    assert await codes(here.coordinator, LIST, after=text) == BAD


ONE = st.sampled_from(sorted(KINDS, key=repr)).flatmap(lambda kind: st.tuples(st.just(kind), KINDS[kind]))


@given(st.lists(ONE, max_size=4))
def test_a_position_comes_back_as_it_was_written(columns):
    kinds, values = [kind for kind, _ in columns], [value for _, value in columns]
    assert read_position(kinds, write_position(kinds, values)) == tuple(values)


@given(st.lists(st.sampled_from(sorted(KINDS, key=repr)), max_size=4), st.binary(max_size=60))
def test_bytes_are_a_position_or_a_value_error(kinds, content):
    try:
        found = read_position(kinds, content)
    except ValueError:
        return
    assert len(found) == len(kinds)


@settings(max_examples=15, deadline=None)
@given(st.tuples(*KINDS.values()))
async def test_the_database_writes_the_same_positions(reading_database, here, values):
    kinds = list(KINDS)
    columns = [literal(value, kind) for value, kind in zip(values, kinds, strict=True)]
    async with reading_database.snapshot(here.coordinator) as snapshot:
        found = await snapshot.scalar(select(position_in_sql(columns)))
    assert found == urlsafe_b64encode(write_position(kinds, values)).decode().rstrip("=")


def test_a_day_and_an_instant_beyond_the_calendar_are_no_positions():
    with pytest.raises(ValueError, match="out of range"):
        read_position([UtcDateTime()], b"\x7f" + b"\xff" * 7)
    with pytest.raises(ValueError, match="out of range"):
        read_position([Date()], b"\x7f" + b"\xff" * 3)
    assert read_position([Date()], write_position([Date()], [date.max])) == (date.max,)
