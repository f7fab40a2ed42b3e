# SPDX-License-Identifier: EUPL-1.2
"""What the Bluesky connector fixes before the first byte is sent: pure, so mostly properties."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.social_accounts.networks.bluesky_records import TID_ALPHABET, links_of, record_key
from services.social_accounts.networks.interface import (
    Draft,
    ItemRef,
    Prepared,
    Publish,
    ReplyTarget,
)
from tests.support.bluesky_accounts import (
    BLUESKY,
    NOW,
    SOMEBODY,
    TOWN,
    draft_of,
)

INSTANTS = st.integers(1_577_836_800_000, 7_258_118_400_000).map(lambda at: datetime.fromtimestamp(at / 1000, UTC))
"""Milliseconds from 2020 to 2200."""


@given(st.uuids(), INSTANTS)
def test_a_record_key_is_a_tid_of_the_draft_s_time_and_never_from_the_future(delivery: UUID, now: datetime) -> None:
    key = record_key(Draft(delivery, Publish.POST, "text", now))
    number = 0
    for letter in key:
        number = number << 5 | TID_ALPHABET.index(letter)
    assert len(key) == 13
    assert number < 1 << 63
    assert timedelta(0) < now - datetime.fromtimestamp((number >> 10) / 1_000_000, UTC) <= timedelta(seconds=2)


@given(st.text(), st.uuids(), st.booleans())
def test_the_same_draft_gives_the_same_bytes_or_the_same_problems(text: str, delivery: UUID, is_reply: bool) -> None:
    draft = draft_of(text, SOMEBODY if is_reply else None, delivery=delivery)
    first, second = BLUESKY.prepare(draft, TOWN), BLUESKY.prepare(draft, TOWN)
    assert first == second
    if isinstance(first, Prepared):
        assert Prepared.from_bytes(first.to_bytes()) == first


@given(st.text(min_size=1))
def test_a_prepared_post_says_exactly_what_was_written_and_carries_the_guard(text: str) -> None:
    made = BLUESKY.prepare(draft_of(text, SOMEBODY), TOWN)
    if isinstance(made, Prepared):
        body = orjson.loads(made.body)
        assert body["record"]["text"] == text
        assert body["swapRecord"] is None
        assert b'"swapRecord":null' in made.body
        assert body["record"]["createdAt"] == "2026-11-22T09:30:15.250Z"
        assert made.remote_id == f"at://{TOWN.remote_id}/app.bsky.feed.post/{body['rkey']}"
        assert body["record"]["reply"]["root"] == {"uri": SOMEBODY.root.remote_id, "cid": "bafyroot"}
        assert body["record"]["reply"]["parent"] == {"uri": SOMEBODY.parent.remote_id, "cid": "bafyparent"}
    else:
        assert made


def test_drafts_of_one_transaction_get_keys_of_their_own() -> None:
    keys = {record_key(draft_of("text", delivery=UUID(int=number))) for number in range(2_000)}
    assert len(keys) == 2_000


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("a" * 300, []),
        ("a" * 301, ["TEXT_TOO_LONG"]),
        ("👩‍👩‍👧‍👦" * 120, []),
        ("👩‍👩‍👧‍👦" * 121, ["TEXT_TOO_LONG"]),
        ("👩‍👩‍👧‍👦" * 301, ["TEXT_TOO_LONG", "TEXT_TOO_LONG"]),
        ("e\u0301" * 300, []),
        ("", ["TEXT_EMPTY"]),
        (" \n\t", ["TEXT_EMPTY"]),
        ("nul\x00", ["TEXT_UNUSABLE"]),
        ("half\ud83d", ["TEXT_UNUSABLE"]),
    ],
)
def test_the_limits_are_300_graphemes_and_3000_bytes(text: str, codes: list[str]) -> None:
    made = BLUESKY.prepare(draft_of(text), TOWN)
    assert ([] if isinstance(made, Prepared) else [problem.code for problem in made]) == codes


def test_a_problem_tells_limit_and_length_in_their_unit() -> None:
    made = BLUESKY.prepare(draft_of("a" * 310), TOWN)
    assert isinstance(made, list)
    assert (made[0].limit, made[0].actual, made[0].unit) == (300, 310, "GRAPHEME")


def test_a_reply_needs_its_target_and_a_private_answer_is_not_offered() -> None:
    bare = Draft(uuid4(), Publish.REPLY, "text", NOW)
    foreign = replace(bare, reply_to=ReplyTarget(ItemRef("thread-7", "1"), ItemRef("thread-7", "1")))
    direct = Draft(uuid4(), Publish.DIRECT, "text", NOW)
    codes = [[problem.code for problem in BLUESKY.prepare(draft, TOWN)] for draft in (bare, foreign, direct)]  # type: ignore[union-attr]
    assert codes == [["REPLY_TARGET_MISSING"], ["REPLY_TARGET_INVALID"], ["PUBLISH_NOT_SUPPORTED"]]


@given(st.text(), st.text())
def test_a_link_is_marked_by_its_bytes_whatever_stands_before_it(before: str, after: str) -> None:
    link = "https://town.example.test/lamps?id=7"
    text = f"{before} {link} {after}"
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        marked = {
            text.encode()[facet["index"]["byteStart"] : facet["index"]["byteEnd"]].decode(): facet["features"][0]["uri"]
            for facet in links_of(text)
        }
        assert marked[link] == link
        assert all(shown == uri for shown, uri in marked.items())


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://a.test/b.", ["https://a.test/b"]),
        ("(https://a.test/b)", ["https://a.test/b"]),
        ("https://a.test/b_(c)", ["https://a.test/b_(c)"]),
        ("http://a.test, https://b.test!", ["http://a.test", "https://b.test"]),
        ("no link: https:// or ftp://a.test", []),
    ],
)
def test_a_sentence_s_closing_mark_is_not_part_of_a_link(text: str, links: list[str]) -> None:
    assert [facet["features"][0]["uri"] for facet in links_of(text)] == links
