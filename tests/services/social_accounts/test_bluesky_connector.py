# SPDX-License-Identifier: EUPL-1.2
"""The Bluesky connector against a strict fake: sessions, figures and deletions."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from services.kernel.clock import utc_now
from services.social_accounts.networks import connector_for
from services.social_accounts.networks.bluesky import BlueskyConnector
from services.social_accounts.networks.errors import (
    AuthExpired,
    AuthRevoked,
    OutcomeUnknown,
    Rejected,
)
from services.social_accounts.networks.interface import (
    ConnectInput,
    Sent,
)
from tests.support.bluesky_accounts import (
    BLUESKY,
    TOWN,
    behind_proxy,
    connected,
    prepared,
    reach_to,
)
from tests.support.fake_atproto import FakeAtproto
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


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_the_registry_knows_the_connector_by_the_register_s_name() -> None:
    assert isinstance(connector_for("BLUESKY"), BlueskyConnector)
    assert connector_for("TIKTOK") is None


async def test_a_sign_in_gives_tokens_and_says_when_they_end(fake: FakeAtproto) -> None:
    async with reach_to(fake.url) as reach:
        given = ConnectInput(fake.url + "/", " @town.test ", fake.network.person("town").password)
        grant = await BLUESKY.finish_auth(given, reach)
    assert (grant.remote_id, grant.handle) == (fake.network.person("town").did, "town.test")
    assert grant.base_url == fake.url
    assert grant.expires_at is not None
    assert timedelta(hours=1) < grant.expires_at - utc_now() < timedelta(hours=3)
    assert "password" not in f"{grant!r} {given!r}"
    assert not any(token in repr(grant) for token in grant.credentials.values())


async def test_a_wrong_password_is_revoked_and_not_tried_again(fake: FakeAtproto) -> None:
    async with reach_to(fake.url) as reach:
        with pytest.raises(AuthRevoked) as caught:
            await BLUESKY.finish_auth(ConnectInput(fake.url, "town.test", "wrong"), reach)
    assert caught.value.code == "AuthenticationRequired"
    assert fake.called("com.atproto.server.createSession") == 1


async def test_an_expired_token_is_refreshed_once_and_the_stored_call_then_succeeds(fake: FakeAtproto) -> None:
    async with connected(fake) as (account, reach):
        fake.network.expire_access("town")
        post = prepared(account)
        with pytest.raises(AuthExpired):
            await BLUESKY.send(post, account, reach)
        grant = await BLUESKY.refresh(account, reach)
        assert isinstance(await BLUESKY.send(post, replace(account, credentials=grant.credentials), reach), Sent)
    assert len(fake.network.records("town")) == 1
    assert fake.network.sign_ins["town.test"] == 1


async def test_an_old_refresh_token_survives_a_lost_answer_and_needs_a_person_later(fake: FakeAtproto) -> None:
    async with connected(fake) as (account, reach):
        await BLUESKY.refresh(account, reach)
        await BLUESKY.refresh(account, reach)
        fake.network.end_grace("town")
        with pytest.raises(AuthRevoked):
            await BLUESKY.refresh(account, reach)


async def test_an_expired_refresh_token_needs_a_person(fake: FakeAtproto) -> None:
    async with connected(fake) as (account, reach):
        fake.network.expire_all("town")
        with pytest.raises(AuthRevoked) as caught:
            await BLUESKY.refresh(account, reach)
    assert caught.value.code == "ExpiredToken"


async def test_a_dead_token_is_revoked(fake: FakeAtproto) -> None:
    async with connected(fake) as (account, reach):
        fake.network.revoke("town")
        with pytest.raises(AuthRevoked) as caught:
            await BLUESKY.send(prepared(account), account, reach)
    assert caught.value.code == "InvalidToken"
    assert fake.network.records("town") == {}


async def test_an_account_without_credentials_is_revoked_before_any_call(fake: FakeAtproto) -> None:
    async with reach_to(fake.url) as reach:
        with pytest.raises(AuthRevoked):
            await BLUESKY.check(replace(TOWN, base_url=fake.url), reach)
    assert fake.calls == []


async def test_a_check_finds_a_changed_handle(fake: FakeAtproto) -> None:
    async with connected(fake) as (account, reach):
        assert (await BLUESKY.check(account, reach)).findings == ()
        health = await BLUESKY.check(replace(account, handle="old.test"), reach)
    assert [finding.code for finding in health.findings] == ["HANDLE_CHANGED"]


# --- delete and metrics -----------------------------------------------------------------------------------------------


async def test_deleting_twice_is_harmless_and_only_own_items_can_be_deleted(fake: FakeAtproto) -> None:
    question = fake.network.post("citizen", "hello", mention="town")
    async with connected(fake) as (account, reach):
        sent = await BLUESKY.send(prepared(account), account, reach)
        assert isinstance(sent, Sent)
        await BLUESKY.delete(sent.remote_id, account, reach)
        await BLUESKY.delete(sent.remote_id, account, reach)
        with pytest.raises(Rejected):
            await BLUESKY.delete(question.uri, account, reach)
    assert fake.network.records("town") == {}
    assert len(fake.network.records("citizen")) == 1


async def test_a_lost_answer_to_a_delete_is_unknown(fake: FakeAtproto) -> None:
    async with behind_proxy(fake) as (account, reach, proxy):
        sent = await BLUESKY.send(prepared(account), account, reach)
        assert isinstance(sent, Sent)
        proxy.plan(Rule(Fault.CUT_AFTER, path="deleteRecord"))
        with pytest.raises(OutcomeUnknown):
            await BLUESKY.delete(sent.remote_id, account, reach)


async def test_figures_come_back_for_each_post_that_is_still_there(fake: FakeAtproto) -> None:
    posts = [fake.network.post("town", f"news {number}") for number in range(30)]
    fake.network.like("citizen", posts[0])
    fake.network.like("neighbor", posts[0])
    fake.network.repost("citizen", posts[0])
    fake.network.post("citizen", "and when?", reply_to=posts[0])
    fake.network.post("citizen", "look", quote=posts[29])
    fake.network.delete(posts[5])
    async with connected(fake) as (account, reach):
        samples = await BLUESKY.metrics(account, [post.uri for post in posts], reach)
    figures = {(sample.remote_id, sample.name): sample.value for sample in samples}
    assert [figures[posts[0].uri, name] for name in ("like", "repost", "reply", "quote")] == [2, 1, 1, 0]
    assert figures[posts[29].uri, "quote"] == 1
    assert (posts[5].uri, "like") not in figures
    assert len(figures) == 29 * 4
    assert fake.called("app.bsky.feed.getPosts") == 2
