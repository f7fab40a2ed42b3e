# SPDX-License-Identifier: EUPL-1.2
"""Sending through the fault proxy: what each way of going wrong means, and never the same post twice."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from services.kernel.clock import utc_now
from services.kernel.outbound import OutboundClient, OutboundLimits
from services.social_accounts.networks.errors import (
    AuthExpired,
    AuthRevoked,
    Blocked,
    ContractBroken,
    MissingScope,
    NetworkError,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Transient,
)
from services.social_accounts.networks.interface import (
    ConnectInput,
    NotFound,
    Prepared,
    Reach,
    Sent,
)
from tests.support.bluesky_accounts import (
    BLUESKY,
    NOW,
    PUT,
    behind_proxy,
    connected,
    draft_of,
    prepared,
    signed_in,
    target_of,
)
from tests.support.fake_atproto import FakeAtproto, Trouble
from tests.support.fault_proxy import Fault, FaultProxy, Rule


@pytest.fixture(scope="module")
def running_fake() -> Iterator[FakeAtproto]:
    with FakeAtproto().running() as running:
        yield running


@pytest.fixture
def fake(running_fake: FakeAtproto) -> FakeAtproto:
    running_fake.reset()
    running_fake.network.person("town")
    return running_fake


# --- send, once -------------------------------------------------------------------------------------------------------


async def test_a_reply_appears_under_the_citizen_s_post(fake: FakeAtproto) -> None:
    question = fake.network.post("citizen", "the lamp is broken", mention="town")
    async with connected(fake) as (account, reach):
        post = prepared(account, "We repair it: https://town.example.test", target_of(question))
        sent = await BLUESKY.send(post, account, reach)
    stored = fake.network.records("town")[post.send_key]
    assert isinstance(sent, Sent)
    assert (sent.remote_id, sent.version) == (stored.uri, stored.cid) == (post.remote_id, stored.cid)
    assert sent.permalink == f"https://bsky.app/profile/{account.remote_id}/post/{post.send_key}"
    assert stored.value["reply"]["parent"] == {"uri": question.uri, "cid": question.cid}
    assert stored.value["facets"][0]["features"][0]["uri"] == "https://town.example.test"
    assert (sent.quotas[0].limit, sent.quotas[0].used) == (3000, 10)


async def test_sending_twice_is_one_post_with_the_same_version(fake: FakeAtproto) -> None:
    async with connected(fake) as (account, reach):
        post = prepared(account)
        first, second = await BLUESKY.send(post, account, reach), await BLUESKY.send(post, account, reach)
    assert isinstance(first, Sent)
    assert isinstance(second, Sent)
    assert first.version == second.version
    assert fake.network.accepted(first.remote_id) == 1


async def test_other_content_on_the_key_breaks_the_contract_and_stays(fake: FakeAtproto) -> None:
    async with connected(fake) as (account, reach):
        delivery = uuid4()
        first = BLUESKY.prepare(draft_of("one", delivery=delivery), account)
        second = BLUESKY.prepare(draft_of("two", delivery=delivery), account)
        assert isinstance(first, Prepared)
        assert isinstance(second, Prepared)
        assert first.send_key == second.send_key
        await BLUESKY.send(first, account, reach)
        with pytest.raises(ContractBroken) as caught:
            await BLUESKY.send(second, account, reach)
    assert caught.value.code == "InvalidSwap"
    assert [stored.value["text"] for stored in fake.network.records("town").values()] == ["one"]


@pytest.mark.parametrize("fault", [Fault.CUT_AFTER, Fault.CUT_INSIDE, Fault.FAIL_AFTER])
async def test_an_answer_lost_after_the_post_was_made_is_unknown_and_the_same_call_settles_it(
    fake: FakeAtproto, fault: Fault
) -> None:
    async with behind_proxy(fake) as (account, reach, proxy):
        proxy.plan(Rule(fault, path=PUT, status=502))
        post = prepared(account)
        with pytest.raises(OutcomeUnknown):
            await BLUESKY.send(post, account, reach)
        assert proxy.forwarded(PUT) == 1, "the connector itself never repeats"
        sent = await BLUESKY.send(post, account, reach)
    assert isinstance(sent, Sent)
    assert fake.network.accepted(sent.remote_id) == 1
    assert len(fake.network.records("town")) == 1


async def test_a_request_cut_before_the_server_had_it_is_unknown_and_then_published_once(fake: FakeAtproto) -> None:
    async with behind_proxy(fake) as (account, reach, proxy):
        proxy.plan(Rule(Fault.DROP_BEFORE, path=PUT))
        post = prepared(account)
        with pytest.raises(OutcomeUnknown):
            await BLUESKY.send(post, account, reach)
        assert fake.network.records("town") == {}
        assert isinstance(await BLUESKY.find_sent(post, account, NOW, reach), NotFound)
        await BLUESKY.send(post, account, reach)
    assert len(fake.network.records("town")) == 1


async def test_a_refused_connection_is_certainly_not_sent(fake: FakeAtproto) -> None:
    async with behind_proxy(fake) as (account, reach, proxy):
        post = prepared(account)
        async with proxy.refusing():
            with pytest.raises(Transient) as caught:
                await BLUESKY.send(post, account, reach)
        assert caught.value.code == "CONNECTION_FAILED"
        assert isinstance(await BLUESKY.send(post, account, reach), Sent)


async def test_a_slow_answer_is_unknown_when_time_is_up(fake: FakeAtproto) -> None:
    async with FaultProxy(fake.url) as proxy:
        allowed = frozenset({fake.url.removeprefix("http://"), proxy.url.removeprefix("http://")})
        async with OutboundClient(allowed=allowed, limits=OutboundLimits(read_seconds=0.3)) as outbound:
            reach = Reach(outbound, utc_now)
            account = await signed_in(fake, reach, proxy.url)
            proxy.plan(Rule(Fault.DELAY, path=PUT, seconds=1.0))
            with pytest.raises(OutcomeUnknown):
                await BLUESKY.send(prepared(account), account, reach)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "17"}, 17),
        ({"retry-after": "Sun, 22 Nov 2099 09:30:15 GMT"}, 86_400),
        ({"retry-after": "Sun, 22 Nov 2009 09:30:15 GMT"}, 1),
        ({"retry-after": "soon"}, 60),
        ({"ratelimit-reset": "4102444800"}, 86_400),
        ({"ratelimit-reset": "1"}, 1),
        ({}, 60),
    ],
)
async def test_a_rate_limit_says_how_long_and_nothing_was_published(
    fake: FakeAtproto, headers: dict[str, str], seconds: int
) -> None:
    async with connected(fake) as (account, reach):
        fake.trouble(Trouble(PUT, 429, "RateLimitExceeded", headers=headers))
        with pytest.raises(RateLimited) as caught:
            await BLUESKY.send(prepared(account), account, reach)
    assert caught.value.retry_after == timedelta(seconds=seconds)
    assert fake.network.records("town") == {}


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, "ExpiredToken", AuthExpired),
        (400, "InvalidToken", AuthRevoked),
        (401, "AuthenticationRequired", AuthRevoked),
        (401, "SomethingNew", AuthRevoked),
        (401, "AccountTakedown", Blocked),
        (403, "ScopeMissing", MissingScope),
        (400, "InvalidRequest", Rejected),
        (413, "PayloadTooLarge", Rejected),
        (400, "InvalidSwap", ContractBroken),
        (408, "RequestTimeout", OutcomeUnknown),
        (500, "InternalServerError", OutcomeUnknown),
        (501, "MethodNotImplemented", OutcomeUnknown),
        (503, "NotEnoughResources", OutcomeUnknown),
    ],
)
async def test_what_each_answer_to_a_send_means(
    fake: FakeAtproto, status: int, error: str, expected: type[NetworkError]
) -> None:
    async with connected(fake) as (account, reach):
        fake.trouble(Trouble(PUT, status, error))
        with pytest.raises(NetworkError) as caught:
            await BLUESKY.send(prepared(account), account, reach)
    assert type(caught.value) is expected
    assert (caught.value.platform, caught.value.code) == ("BLUESKY", error)
    assert caught.value.remote_body_digest is not None


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"ok"), (200, b"[]"), (302, b""), (400, b"<html>"), (403, b"{}"), (404, b"")]
)
async def test_an_answer_that_is_not_the_protocol_s_leaves_a_send_unknown_and_breaks_a_read(
    fake: FakeAtproto, status: int, body: bytes
) -> None:
    async with behind_proxy(fake) as (account, reach, proxy):
        proxy.plan(Rule(Fault.ANSWER, status=status, body=body, times=2))
        with pytest.raises(OutcomeUnknown):
            await BLUESKY.send(prepared(account), account, reach)
        with pytest.raises(ContractBroken):
            await BLUESKY.check(account, reach)


@pytest.mark.parametrize("body", [b"{}", b'{"uri": "at://elsewhere", "cid": "bafy"}', b'{"uri": 7, "cid": "bafy"}'])
async def test_a_yes_to_something_else_leaves_a_send_unknown(fake: FakeAtproto, body: bytes) -> None:
    async with behind_proxy(fake) as (account, reach, proxy):
        proxy.plan(Rule(Fault.ANSWER, path=PUT, status=200, body=body))
        with pytest.raises(OutcomeUnknown):
            await BLUESKY.send(prepared(account), account, reach)


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.CUT_AFTER, Fault.CUT_INSIDE, Fault.FAIL_AFTER])
async def test_a_read_without_an_answer_is_only_transient(fake: FakeAtproto, fault: Fault) -> None:
    async with behind_proxy(fake) as (account, reach, proxy):
        proxy.plan(Rule(fault))
        with pytest.raises(Transient):
            await BLUESKY.fetch(account, "notifications", None, 50, reach)


async def test_a_server_inside_the_house_is_refused_and_never_called(fake: FakeAtproto) -> None:
    async with OutboundClient() as outbound:
        reach = Reach(outbound, utc_now)
        for url in (fake.url, "https://127.0.0.1", "https://127.1", "https://localhost", "ftp://example.test"):
            with pytest.raises(Rejected) as caught:
                await BLUESKY.finish_auth(ConnectInput(url, "town.test", "password"), reach)
            assert caught.value.problems[0].field == "server_url"
    assert fake.calls == []


async def test_no_error_carries_a_body_or_a_token(fake: FakeAtproto) -> None:
    async with behind_proxy(fake) as (account, reach, proxy):
        proxy.plan(Rule(Fault.ANSWER, path=PUT, status=400, body=b'{"error":"X","message":"secret citizen"}'))
        with pytest.raises(NetworkError) as caught:
            await BLUESKY.send(prepared(account, "secret text"), account, reach)
    shown = f"{caught.value} {caught.value!r} {vars(caught.value)}"
    assert "secret" not in shown
    assert not any(token in shown for token in account.credentials.values())
    assert "secret" not in repr(prepared(account, "secret text"))


# --- find_sent --------------------------------------------------------------------------------------------------------


async def test_a_sent_post_is_found_by_its_key_even_with_a_dead_token(fake: FakeAtproto) -> None:
    async with connected(fake) as (account, reach):
        post = prepared(account)
        sent = await BLUESKY.send(post, account, reach)
        fake.network.revoke("town")
        found = await BLUESKY.find_sent(post, account, NOW, reach)
    assert isinstance(sent, Sent)
    assert isinstance(found, Sent)
    assert (found.remote_id, found.version, found.accepted_at) == (sent.remote_id, sent.version, NOW)


async def test_a_post_that_shows_late_is_absent_first_and_found_then(fake: FakeAtproto) -> None:
    async with connected(fake) as (account, reach):
        post = prepared(account)
        fake.network.freeze_view()
        await BLUESKY.send(post, account, reach)
        assert await BLUESKY.find_sent(post, account, NOW, reach) == NotFound(exact=True)
        fake.network.thaw_view()
        assert isinstance(await BLUESKY.find_sent(post, account, NOW, reach), Sent)


async def test_altered_words_under_our_key_are_not_called_sent(fake: FakeAtproto) -> None:
    async with connected(fake) as (account, reach):
        fake.trouble(Trouble(PUT, alter=str.upper))
        post = prepared(account)
        await BLUESKY.send(post, account, reach)
        with pytest.raises(ContractBroken) as caught:
            await BLUESKY.find_sent(post, account, NOW, reach)
    assert caught.value.code == "OTHER_CONTENT"


async def test_a_look_that_fails_says_so_and_never_says_absent(fake: FakeAtproto) -> None:
    async with behind_proxy(fake) as (account, reach, proxy):
        proxy.plan(Rule(Fault.CUT_AFTER), Rule(Fault.ANSWER, status=500), Rule(Fault.ANSWER, status=404, body=b"gone"))
        post = prepared(account)
        for expected in (Transient, Transient, ContractBroken):
            with pytest.raises(expected):
                await BLUESKY.find_sent(post, account, NOW, reach)


async def test_a_repeat_after_a_deletion_would_publish_again(fake: FakeAtproto) -> None:
    """Documentation of the trap: this is why only verification may repeat, and never after a delete."""
    async with connected(fake) as (account, reach):
        post = prepared(account)
        sent = await BLUESKY.send(post, account, reach)
        assert isinstance(sent, Sent)
        await BLUESKY.delete(sent.remote_id, account, reach)
        assert fake.network.records("town") == {}
        await BLUESKY.send(post, account, reach)
    assert fake.network.accepted(sent.remote_id) == 2
