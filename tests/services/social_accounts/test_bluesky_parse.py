# SPDX-License-Identifier: EUPL-1.2
"""What raw events of Bluesky mean: messages, echoes, reactions, edits and deletions."""

from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.social_accounts.networks.errors import ContractBroken
from services.social_accounts.networks.interface import (
    Channel,
    Inbound,
    InboundKind,
    Ingest,
    KnownItem,
    RawEvent,
)
from tests.support.bluesky_accounts import BLUESKY, Reader, behind_proxy, connected
from tests.support.fake_atproto import FakeAtproto
from tests.support.fake_atproto_state import FakeNetwork, Stored
from tests.support.fault_proxy import Fault, Rule


@pytest.fixture(scope="module")
def running_fake() -> Iterator[FakeAtproto]:
    with FakeAtproto().running() as running:
        yield running


@pytest.fixture
def fake(running_fake: FakeAtproto) -> FakeAtproto:
    running_fake.reset()
    running_fake.network.person("town")
    return running_fake


async def facts_of(fake: FakeAtproto, stream: str = "notifications") -> dict[str, Inbound]:
    async with connected(fake) as (account, reach):
        reader = await Reader(account, reach, stream).poll()
    return {fact.remote_id: fact for fact in reader.facts()}


async def test_a_mention_is_a_public_message_with_its_words_and_its_writer(fake: FakeAtproto) -> None:
    post = fake.network.post("citizen", "the lamp is broken", mention="town", langs=["nl"])
    fact = (await facts_of(fake))[post.uri]
    assert (fact.kind, fact.channel, fact.ingest) == (InboundKind.MESSAGE, Channel.PUBLIC, Ingest.MENTION)
    assert fact.text == "@town.test the lamp is broken"
    assert (fact.version, fact.languages, fact.server_host) == (post.cid, ("nl",), "")
    assert fact.author is not None
    assert (fact.author.remote_id, fact.author.handle) == (fake.network.person("citizen").did, "citizen.test")
    assert (fact.root_id, fact.parent_id, fact.root_is_own) == (post.uri, None, False)
    assert fact.permalink == f"https://bsky.app/profile/{post.repo}/post/{post.rkey}"
    assert fact.occurred_at == datetime.fromisoformat(post.value["createdAt"])
    assert fact.reply_target is not None
    assert fact.reply_target.parent.version == post.cid


async def test_a_reply_under_our_post_names_root_and_parent(fake: FakeAtproto) -> None:
    news = fake.network.post("town", "the pool opens")
    reply = fake.network.post("citizen", "when?", reply_to=news)
    deeper = fake.network.post("neighbor", "yes, when?", reply_to=reply)
    facts = await facts_of(fake)
    assert (facts[reply.uri].ingest, facts[reply.uri].root_is_own) == (Ingest.PUBLIC_COMMENT, True)
    assert (facts[reply.uri].root_id, facts[reply.uri].parent_id) == (news.uri, news.uri)
    assert (facts[deeper.uri].root_id, facts[deeper.uri].parent_id) == (news.uri, reply.uri)
    assert (facts[deeper.uri].parent_is_own, facts[deeper.uri].root_is_own) == (False, True)
    target = facts[deeper.uri].reply_target
    assert target is not None
    assert (target.root.remote_id, target.root.version) == (news.uri, news.cid)
    assert (target.parent.remote_id, target.parent.version) == (deeper.uri, deeper.cid)


async def test_quotes_are_words_and_likes_and_reposts_are_reactions_and_follows_are_nothing(fake: FakeAtproto) -> None:
    news = fake.network.post("town", "the pool opens")
    quote = fake.network.post("citizen", "at last", quote=news)
    like, repost = fake.network.like("citizen", news), fake.network.repost("citizen", news)
    follow = fake.network.follow("citizen", "town")
    facts = await facts_of(fake)
    assert (facts[quote.uri].kind, facts[quote.uri].quoted_id) == (InboundKind.MESSAGE, news.uri)
    assert (facts[like.uri].kind, facts[like.uri].reaction, facts[like.uri].parent_id) == ("REACTION", "like", news.uri)
    assert (facts[repost.uri].kind, facts[repost.uri].reaction) == (InboundKind.REACTION, "repost")
    assert facts[repost.uri].text is None
    assert follow.uri not in facts


async def test_own_posts_are_echoes_that_tell_starters_replies_and_reshares_apart(fake: FakeAtproto) -> None:
    question = fake.network.post("citizen", "when?", mention="town")
    starter = fake.network.post("town", "the pool opens")
    thread = fake.network.post("town", "and closes at ten", reply_to=starter)
    answer = fake.network.post("town", "tomorrow", reply_to=question)
    reshare = fake.network.repost("town", question)
    facts = await facts_of(fake, "own_posts")
    assert {fact.kind for fact in facts.values()} == {InboundKind.ECHO}
    assert {fact.ingest for fact in facts.values()} == {Ingest.OWN_ECHO}
    assert set(facts) == {starter.uri, thread.uri, answer.uri, reshare.uri}
    assert (facts[starter.uri].parent_id, facts[starter.uri].is_repost) == (None, False)
    assert (facts[thread.uri].parent_is_own, facts[answer.uri].parent_is_own) == (True, False)
    assert (facts[answer.uri].root_id, facts[answer.uri].parent_id) == (question.uri, question.uri)
    shared = facts[reshare.uri]
    assert (shared.is_repost, shared.text, shared.parent_id) == (True, None, question.uri)


async def look_again(fake: FakeAtproto, *posts: Stored) -> list[RawEvent]:
    async with connected(fake) as (account, reach):
        known = [KnownItem(post.uri, post.cid) for post in posts]
        return list((await BLUESKY.fetch(account, "known_items", None, 25, reach, known=known)).events)


async def test_an_overwritten_post_is_an_edit_with_its_new_version(fake: FakeAtproto) -> None:
    same, changed = (fake.network.post("citizen", text, mention="town") for text in ("stays", "typo"))
    edited = fake.network.edit(changed, "corrected")
    [event] = await look_again(fake, same, changed)
    [fact] = BLUESKY.parse(event)
    assert (fact.kind, fact.remote_id, fact.version, fact.text) == ("EDIT", changed.uri, edited.cid, "corrected")
    assert (event.kind, event.version) == ("post", edited.cid)


async def test_an_edit_has_one_key_on_every_stream(fake: FakeAtproto) -> None:
    post = fake.network.post("citizen", "typo", mention="town")
    fake.network.edit(post, "@town.test corrected")
    [event] = await look_again(fake, post)
    async with connected(fake) as (account, reach):
        reader = await Reader(account, reach).poll()
    assert (event.kind, event.external_id, event.version) in reader.events


async def test_a_deleted_post_is_a_deletion_and_one_that_only_shows_late_is_not(fake: FakeAtproto) -> None:
    gone, there = (fake.network.post("citizen", text, mention="town") for text in ("gone", "there"))
    fake.network.delete(gone)
    [event] = await look_again(fake, gone, there)
    [fact] = BLUESKY.parse(event)
    assert (fact.kind, fact.remote_id, fact.text) == (InboundKind.DELETE, gone.uri, None)
    assert event.external_id == gone.uri


async def test_a_list_that_lacks_a_post_is_not_believed_alone(fake: FakeAtproto) -> None:
    post = fake.network.post("citizen", "still there", mention="town")
    async with behind_proxy(fake) as (account, reach, proxy):
        known = [KnownItem(post.uri, post.cid)]
        proxy.plan(Rule(Fault.ANSWER, path="getPosts", status=200, body=b'{"posts": []}', times=2))
        assert (await BLUESKY.fetch(account, "known_items", None, 25, reach, known=known)).events == ()
        refusal = orjson.dumps({"error": "InvalidRequest", "message": "Could not find repo"})
        proxy.plan(Rule(Fault.ANSWER, path="getRecord", status=400, body=refusal))
        assert (await BLUESKY.fetch(account, "known_items", None, 25, reach, known=known)).events == ()


async def test_more_known_items_than_the_table_allows_are_a_mistake_of_the_caller(fake: FakeAtproto) -> None:
    async with connected(fake) as (account, reach):
        known = [KnownItem("at://did:plc:x/app.bsky.feed.post/1", "v")] * 26
        for stream in ("known_items", "nonsense"):
            with pytest.raises(ValueError, match="stream"):
                await BLUESKY.fetch(account, stream, None, 25, reach, known=known)


def test_parsing_again_gives_the_same_facts_and_media_is_told() -> None:
    network = FakeNetwork()
    repo = network.person("citizen").did
    blob = {"ref": {"$link": "bafyblob"}, "mimeType": "image/jpeg", "size": 9}
    images = {"$type": "app.bsky.embed.images", "images": [{"image": blob, "alt": "a lamp"}]}
    quoted = {"uri": f"at://{repo}/app.bsky.feed.post/3l6oveex3ii2l", "cid": "bafyq"}
    embed = {"$type": "app.bsky.embed.recordWithMedia", "media": images, "record": {"record": quoted}}
    record = {"text": "look", "embed": embed, "createdAt": "2999-01-01T00:00:00Z", "langs": ["nl", 7]}
    uri = f"at://{repo}/app.bsky.feed.post/3l6oveex3ii3a"
    item = {"uri": uri, "cid": "bafy", "record": record, "reason": "mention"}
    body = {"source": "notification", "own": "did:plc:town", "observedAt": "2026-11-22T10:00:00Z", "item": item}
    raw = RawEvent("a1", "post", uri, "bafy", None, orjson.dumps(body))
    [fact] = BLUESKY.parse(raw)
    assert BLUESKY.parse(raw) == [fact]
    assert [(media.kind, media.remote_id, media.mime_type, media.alt) for media in fact.media] == [
        ("IMAGE", "bafyblob", "image/jpeg", "a lamp")
    ]
    assert fact.quoted_id == quoted["uri"]
    assert fact.languages == ("nl",)
    assert fact.occurred_at == datetime(2026, 11, 22, 10, tzinfo=UTC), "a time from the future is not believed"


FIELDS = [
    "item",
    "record",
    "text",
    "reply",
    "root",
    "uri",
    "cid",
    "embed",
    "author",
    "subject",
    "post",
    "reason",
    "observedAt",
    "source",
    "facets",
    "langs",
]
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=20,
)


@given(ANY_JSON, st.sampled_from(["post", "like", "repost", "delete", "UNKNOWN", "odd"]))
def test_no_body_makes_parsing_fail_in_any_other_way(odd: object, kind: str) -> None:
    around = {"source": "notification", "own": "x", "observedAt": "2026-11-22T10:00:00Z"}
    feed = {**around, "source": "feed"}
    shapes = [
        odd,
        {**around, "item": odd},
        {**around, "item": {"record": odd, "x": 1}},
        {**feed, "item": {"post": odd}},
    ]
    for shape in shapes:
        raw = RawEvent("a1", kind, "at://did:plc:abc/app.bsky.feed.post/3l6oveex3ii3a", "v", None, orjson.dumps(shape))
        try:
            facts = BLUESKY.parse(raw)
        except ContractBroken:
            continue
        assert all(isinstance(fact, Inbound) for fact in facts)
