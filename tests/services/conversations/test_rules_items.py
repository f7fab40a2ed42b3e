# SPDX-License-Identifier: EUPL-1.2
"""Facts about one remote item, merged: order and repetition change nothing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import permutations
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.conversations.rules import ChannelKind
from services.conversations.rules.items import UNSEEN, Item, Writer, merge, merged

NOON = datetime(2026, 10, 5, 12, tzinfo=UTC)
RANDOM = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
POST, OTHER = "at://did:plc:ada/app.bsky.feed.post/1", "at://did:plc:ada/app.bsky.feed.post/2"
SOON = [NOON + timedelta(minutes=minutes) for minutes in range(4)]
"""Few instants, so that many of them are equal."""


def creation(chance: Random) -> Item:
    """Something that tells who wrote it: the original, a later version of it, or our own echo."""
    tag = chance.choice(["v1", "v2"])
    return Item(
        external_id=POST,
        server_host="",
        text_at=chance.choice(SOON),
        text=chance.choice(["lamp", "the lamp", ""]),
        occurred_at=chance.choice(SOON),
        version=chance.choice(["v1", "v2"]),
        channel=chance.choice([ChannelKind.PUBLIC, ChannelKind.FORM]),
        writer=Writer(
            external_id="did:plc:ada",
            handle=chance.choice(["ada.test", "ada.example", None]),
            display_name=chance.choice(["Ada", "Ada L.", None]),
            email=chance.choice(["ada@home.example", None]),
            seen_at=chance.choice(SOON),
        ),
        is_own=chance.random() < 0.5,
        is_repost=chance.random() < 0.5,
        root_id=chance.choice(["r1", "r2", None]),
        parent_id=chance.choice(["p1", "p2", None]),
        parent_is_own=chance.random() < 0.5,
        language=chance.choice(["nl", "fr", None]),
        permalink=chance.choice(["https://example.org/1", None]),
        reply_target=chance.choice([{"root": ["r", tag], "parent": ["p", tag]}, None]),
        first=chance.choice([UNSEEN, *((at, tag) for at in SOON for tag in ("v1", "v2"))]),
    )


def deletion(chance: Random) -> Item:
    """It is gone; who wrote it is not said."""
    at = chance.choice(SOON)
    return Item(POST, "", at, "", chance.choice(SOON), version=chance.choice(["v1", "v2"]), deleted_at=at)


def fact_of(seed: int) -> Item:
    chance = Random(seed)
    return creation(chance) if chance.random() < 0.7 else deletion(chance)


seeds = st.integers(0, 2**32)
"""One number a fact: to draw each of its parts by itself would take most of the test's time."""


def facts() -> st.SearchStrategy[Item]:
    return seeds.map(fact_of)


@RANDOM
@given(facts(), facts())
def test_two_facts_merge_alike_in_either_order(one: Item, other: Item) -> None:
    assert merge(one, other) == merge(other, one)


@RANDOM
@given(facts(), facts(), facts())
def test_three_facts_merge_alike_however_they_are_grouped(one: Item, two: Item, three: Item) -> None:
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@RANDOM
@given(facts())
def test_a_deletion_and_a_creation_are_stable_under_repetition(fact: Item) -> None:
    assert merge(fact, fact) == fact


@RANDOM
@given(st.lists(facts(), min_size=2, max_size=4))
def test_every_order_of_the_same_facts_gives_the_same_item(told: list[Item]) -> None:
    results = [reduce(merge, order) for order in permutations(told)]
    assert all(result == results[0] for result in results)


@RANDOM
@given(st.lists(facts(), min_size=1, max_size=5), st.data())
def test_a_thousand_repetitions_in_any_order_change_nothing(told: list[Item], data: st.DataObject) -> None:
    many = data.draw(st.permutations(told * 3)) + told * 10
    assert merged(many) == merged(told)


def newest_words(told: Sequence[Item]) -> Item:
    return max(told, key=lambda each: (each.text_at, each.version, each.text))


@RANDOM
@given(st.lists(facts(), min_size=1, max_size=5))
def test_the_latest_words_win_and_a_deletion_wins_over_all_words(told: list[Item]) -> None:
    result = reduce(merge, told)
    gone = [each.deleted_at for each in told if each.deleted_at is not None]
    assert result.text == ("" if gone else newest_words(told).text)
    assert result.deleted_at == min(gone, default=None)
    assert (result.text_at, result.version) == max((each.text_at, each.version) for each in told)
    assert result.first == min((each.first for each in told if each.first), default=None)


@RANDOM
@given(st.lists(facts(), min_size=1, max_size=5))
def test_what_only_the_creation_tells_is_taken_from_a_creation(told: list[Item]) -> None:
    result = reduce(merge, told)
    created = [each for each in told if each.is_created]
    assert result.is_created == bool(created)
    if created:
        assert result.occurred_at == min(each.occurred_at for each in created)
        assert any(
            (each.root_id, each.parent_id, each.channel) == (result.root_id, result.parent_id, result.channel)
            for each in created
        )
        writers = [each.writer for each in created if each.writer]
        assert result.writer in writers
        assert result.writer.seen_at == max(each.seen_at for each in writers if each.seen_at)


@RANDOM
@given(seeds, seeds)
def test_nothing_of_deleted_words_is_left(one: int, other: int) -> None:
    result = merge(deletion(Random(one)), creation(Random(other)))
    assert (result.text, result.reply_target, result.language) == ("", None, None)


@RANDOM
@given(st.lists(facts(), max_size=4), st.lists(facts(), max_size=4))
def test_a_batch_holds_every_item_once_in_a_stable_order(told: list[Item], others: list[Item]) -> None:
    others = [replace(each, external_id=OTHER) for each in others]
    both = merged([*others, *told])
    assert both == merged([*told, *others])
    assert list(both) == sorted(both)
    assert both.get(POST) == (reduce(merge, told) if told else None)


def test_an_edit_that_arrives_first_keeps_its_words() -> None:
    ada = Writer("did:plc:ada", "ada.test", seen_at=NOON)
    original = Item(POST, "", NOON, "the lmap is broken", NOON, version="v1", writer=ada, first=(NOON, "v1"))
    later = NOON + timedelta(minutes=5)
    edit = Item(POST, "", later, "the lamp is broken", NOON, version="v2", writer=ada, first=(later, "v2"))
    for told in ([original, edit], [edit, original], [edit, original, original, edit]):
        result = reduce(merge, told)
        assert (result.text, result.edited_at) == ("the lamp is broken", later)
    assert (original.edited_at, edit.edited_at) == (None, None)
    assert replace(edit, first=UNSEEN).edited_at == later
    assert merge(edit, Item(POST, "", later, "", NOON, deleted_at=later)).edited_at is None
