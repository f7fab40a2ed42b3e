# SPDX-License-Identifier: EUPL-1.2
"""What comes in from Bluesky: nothing is missed between two polls, and one bad item hides no other."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.social_accounts.networks.bluesky_streams import Sweep
from services.social_accounts.networks.errors import ContractBroken, Transient
from services.social_accounts.networks.interface import (
    UNKNOWN_KIND,
)
from tests.support.bluesky_accounts import BLUESKY, Reader, behind_proxy, connected
from tests.support.fake_atproto import FakeAtproto
from tests.support.fault_proxy import Fault, Rule

LIST = "listNotifications"
INSTANTS = st.integers(0, 4_102_444_800_000_000).map(lambda at: datetime.fromtimestamp(at / 1_000_000, UTC))


@pytest.fixture(scope="module")
def running_fake() -> Iterator[FakeAtproto]:
    with FakeAtproto().running() as running:
        yield running


@pytest.fixture
def fake(running_fake: FakeAtproto) -> FakeAtproto:
    running_fake.reset()
    running_fake.network.person("town")
    return running_fake


async def test_a_first_poll_takes_the_newest_page_and_a_second_one_only_what_is_new(fake: FakeAtproto) -> None:
    first = [fake.network.post("citizen", f"question {number}", mention="town") for number in range(3)]
    async with connected(fake) as (account, reach):
        reader = await Reader(account, reach).poll()
        assert reader.ids == {post.uri for post in first}
        later = fake.network.post("citizen", "one more", mention="town")
        await reader.poll()
    assert reader.ids == {post.uri for post in [*first, later]}
    assert reader.given == 4, "the overlap is read again and not handed over again"


async def test_many_new_items_are_read_page_by_page_down_to_the_last_sweep(fake: FakeAtproto) -> None:
    async with connected(fake) as (account, reach):
        reader = Reader(account, reach, limit=10)
        fake.network.post("citizen", "the first", mention="town")
        await reader.poll()
        posts = [fake.network.post("citizen", f"question {number}", mention="town") for number in range(75)]
        await reader.poll()
    assert reader.ids >= {post.uri for post in posts}
    assert reader.given == 76


async def test_a_sweep_that_is_cut_off_goes_on_where_it_stood(fake: FakeAtproto) -> None:
    async with behind_proxy(fake) as (account, reach, proxy):
        reader = Reader(account, reach, limit=10)
        fake.network.post("citizen", "the first", mention="town")
        await reader.poll()
        posts = [fake.network.post("citizen", f"question {number}", mention="town") for number in range(45)]
        assert await reader.page()
        proxy.plan(Rule(Fault.CUT_AFTER, path=LIST, times=2))
        for _ in range(2):
            with pytest.raises(Transient):
                await reader.page()
        posts.append(fake.network.post("citizen", "came in between", mention="town"))
        await reader.poll()
        await reader.poll()
    assert reader.ids >= {post.uri for post in posts}


@pytest.mark.parametrize("limit", [10, 50])
async def test_a_post_that_shows_late_is_still_found_in_the_overlap(fake: FakeAtproto, limit: int) -> None:
    async with connected(fake) as (account, reach):
        reader = await Reader(account, reach, limit=limit).poll()
        now = datetime.now(UTC)
        for number in range(60):
            fake.network.post(
                "citizen", f"question {number}", mention="town", created_at=now - timedelta(minutes=30 - number / 4)
            )
        await reader.poll()
        late = fake.network.post("neighbor", "indexed late", mention="town", created_at=now - timedelta(minutes=19))
        await reader.poll()
    assert late.uri in reader.ids


async def test_what_was_dated_far_back_is_found_by_the_backfill(fake: FakeAtproto) -> None:
    now = datetime.now(UTC)
    for number in range(120):
        fake.network.post("citizen", f"question {number}", mention="town", created_at=now - timedelta(minutes=number))
    async with connected(fake) as (account, reach):
        reader = await Reader(account, reach).poll()
        await reader.poll()
        old = fake.network.post("citizen", "written offline", mention="town", created_at=now - timedelta(days=3))
        ancient = fake.network.post("citizen", "years ago", mention="town", created_at=now - timedelta(days=400))
        await reader.poll()
        backfill = await Reader(account, reach, "backfill", limit=100).poll()
    assert old.uri not in reader.ids
    assert old.uri in backfill.ids
    assert ancient.uri not in backfill.ids


@pytest.mark.parametrize("seed", range(6))
async def test_however_posts_and_polls_interleave_every_post_is_read_once(fake: FakeAtproto, seed: int) -> None:
    chance = Random(seed)
    written: set[str] = set()
    async with behind_proxy(fake) as (account, reach, proxy):
        reader = Reader(account, reach, limit=chance.choice([1, 7, 50]))
        await reader.poll()
        for _ in range(60):
            step = chance.random()
            if step < 0.6:
                text = {"mention": "town"}
                written |= {fake.network.post("citizen", "q", **text).uri for _ in range(chance.randint(1, 6))}  # type: ignore[arg-type]
            elif step < 0.8:
                await reader.page()
            else:
                proxy.plan(Rule(chance.choice([Fault.CUT_AFTER, Fault.DROP_BEFORE, Fault.FAIL_AFTER]), path=LIST))
                with pytest.raises(Transient):
                    await reader.page()
        await reader.poll()
        await reader.poll()
    assert reader.ids == written


@given(
    st.builds(
        Sweep,
        newest=st.none() | INSTANTS,
        digests=st.lists(st.text("0123456789abcdef", max_size=16), max_size=5).map(tuple),
        page=st.none() | st.text(st.characters(codec="utf-8")),
        sweep_newest=st.none() | INSTANTS,
        passed=st.integers(0, 10_000),
    )
)
def test_a_cursor_survives_being_stored(state: Sweep) -> None:
    assert Sweep.from_text(state.to_text()) == state


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"newest": 7}', "not json", '{"digests": 1}'])
def test_a_cursor_that_cannot_be_read_starts_anew(text: str) -> None:
    assert Sweep.from_text(text) == Sweep()


async def test_an_unreadable_list_breaks_the_contract(fake: FakeAtproto) -> None:
    async with behind_proxy(fake) as (account, reach, proxy):
        proxy.plan(Rule(Fault.ANSWER, path=LIST, status=200, body=b'{"notifications": {}}'))
        with pytest.raises(ContractBroken):
            await Reader(account, reach).page()


async def test_one_unreadable_item_is_kept_and_hides_no_other(fake: FakeAtproto) -> None:
    good = {
        "uri": f"at://{fake.network.person('citizen').did}/app.bsky.feed.post/3l6oveex3ii2l",
        "cid": "bafy1",
        "reason": "mention",
        "record": {"text": "hello \ud83d\x00", "createdAt": "soon"},
        "indexedAt": "2026-11-01T09:00:00Z",
    }
    bad: list[object] = [7, "text", None, {}, {"uri": "at://x", "cid": "y"}, {**good, "cid": None}, {**good, "uri": 5}]
    body = json.dumps({"notifications": [*bad, good]}).encode()
    async with behind_proxy(fake) as (account, reach, proxy):
        proxy.plan(Rule(Fault.ANSWER, path=LIST, status=200, body=body, times=2))
        reader = Reader(account, reach)
        await reader.page()
        await reader.page()
    unknown = [event for event in reader.events.values() if event.kind == UNKNOWN_KIND]
    assert len(unknown) == len(bad), "each by its own hash, and again the same"
    for event in unknown:
        with pytest.raises(ContractBroken):
            BLUESKY.parse(event)
    [fact] = [fact for event in reader.events.values() if event.kind == "post" for fact in BLUESKY.parse(event)]
    assert fact.text == "hello ?\ufffd"
    assert fact.occurred_at == datetime(2026, 11, 1, 9, tzinfo=UTC)
