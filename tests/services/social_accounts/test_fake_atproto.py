# SPDX-License-Identifier: EUPL-1.2
"""The fake network is strict and has the real one's traps; `test_bluesky_peer.py` asks the same of the real one."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
import pytest

from services.kernel.outbound import OutboundClient
from services.social_accounts.networks.errors import OutcomeUnknown
from services.social_accounts.networks.interface import Sent
from tests.support.bluesky_accounts import BLUESKY, PUT, connected, prepared
from tests.support.fake_atproto import FakeAtproto, Trouble
from tests.support.fault_proxy import Fault, FaultProxy, Rule

CREATE = "com.atproto.repo.createRecord"
POST = "app.bsky.feed.post"


@pytest.fixture(scope="module")
def running_fake() -> Iterator[FakeAtproto]:
    with FakeAtproto().running() as running:
        yield running


@pytest.fixture
def fake(running_fake: FakeAtproto) -> FakeAtproto:
    running_fake.reset()
    running_fake.network.person("town")
    return running_fake


@pytest.fixture
async def outbound(fake: FakeAtproto) -> AsyncIterator[OutboundClient]:
    async with OutboundClient(allowed=frozenset({fake.url.removeprefix("http://")})) as client:
        yield client


def body_of(fake: FakeAtproto, **changes: Any) -> dict[str, Any]:
    record = {"$type": POST, "text": "hello", "createdAt": "2026-11-22T09:00:00.000Z"}
    body = {"repo": fake.network.person("town").did, "collection": POST, "rkey": "3l6oveex3ii2l", "record": record}
    return {**body, **changes}


async def answer(fake: FakeAtproto, outbound: OutboundClient, method: str, body: object) -> tuple[int, str | None]:
    access, _ = fake.network.new_tokens(fake.network.person("town").did)
    headers = {"authorization": f"Bearer {access}", "content-type": "application/json"}
    url = f"{fake.url}/xrpc/{method}"
    found = await outbound.request("POST", url, headers=headers, content=orjson.dumps(body))
    return found.status, orjson.loads(found.body).get("error")


async def test_creating_on_a_used_key_answers_500_and_a_put_without_guard_overwrites(
    fake: FakeAtproto, outbound: OutboundClient
) -> None:
    assert await answer(fake, outbound, CREATE, body_of(fake)) == (200, None)
    assert await answer(fake, outbound, CREATE, body_of(fake)) == (500, "InternalServerError")
    other = body_of(fake, record={**body_of(fake)["record"], "text": "other"})
    assert await answer(fake, outbound, PUT, {**other, "swapRecord": None}) == (400, "InvalidSwap")
    assert await answer(fake, outbound, PUT, other) == (200, None)
    assert fake.network.records("town")["3l6oveex3ii2l"].value["text"] == "other"


@pytest.mark.parametrize(
    "changes",
    [
        {"rkey": "not-a-tid"},
        {"extra": 1},
        {"collection": "app.bsky.feed.like"},
        {"record": {"$type": POST, "text": "a" * 301, "createdAt": "2026-11-22T09:00:00.000Z"}},
        {"record": {"$type": POST, "text": "hello"}},
        {"record": {"$type": POST, "text": "hello", "createdAt": "2026-11-22T09:00:00.000Z", "mood": "good"}},
        {"record": {"$type": POST, "text": "hello", "createdAt": "2026-11-22T09:00:00.000Z", "reply": {"root": {}}}},
    ],
)
async def test_what_the_protocol_does_not_know_is_refused(
    fake: FakeAtproto, outbound: OutboundClient, changes: dict[str, Any]
) -> None:
    assert await answer(fake, outbound, PUT, body_of(fake, **changes)) == (400, "InvalidRequest")


async def test_an_unknown_route_a_missing_token_and_a_foreign_repository_are_refused(
    fake: FakeAtproto, outbound: OutboundClient
) -> None:
    assert await answer(fake, outbound, "app.bsky.feed.nonsense", {}) == (501, "MethodNotImplemented")
    foreign = body_of(fake, repo=fake.network.person("citizen").did)
    assert await answer(fake, outbound, PUT, foreign) == (401, "AuthenticationRequired")
    found = await outbound.request("GET", f"{fake.url}/xrpc/com.atproto.server.getSession")
    assert (found.status, orjson.loads(found.body)["error"]) == (401, "AuthMissing")


async def test_a_fault_of_the_server_itself_may_come_after_success(fake: FakeAtproto) -> None:
    async with connected(fake) as (account, reach):
        fake.trouble(Trouble(PUT, 500, after=True))
        post = prepared(account)
        with pytest.raises(OutcomeUnknown):
            await BLUESKY.send(post, account, reach)
        assert len(fake.network.records("town")) == 1
        assert isinstance(await BLUESKY.send(post, account, reach), Sent)
    assert fake.network.accepted(str(post.remote_id)) == 1


def test_the_fault_proxy_stands_only_on_loopback() -> None:
    for url in ("http://town.example.test:80", "https://127.0.0.1:443", "http://192.0.2.1:80", "http://127.0.0.1"):
        with pytest.raises(ValueError, match="loopback"):
            FaultProxy(url)


async def test_the_fault_proxy_counts_what_it_did_and_what_reached_the_server(fake: FakeAtproto) -> None:
    allowed = fake.url.removeprefix("http://")
    async with FaultProxy(fake.url) as proxy, OutboundClient(allowed=frozenset({allowed, proxy.url[7:]})) as outbound:
        proxy.plan(Rule(Fault.ANSWER, path="getSession", status=429), Rule(Fault.PASS, times=5))
        url = f"{proxy.url}/xrpc/com.atproto.server.getSession"
        statuses = [(await outbound.request("GET", url)).status for _ in range(2)]
    assert statuses == [429, 401]
    assert (proxy.counts[Fault.ANSWER], proxy.counts[Fault.PASS], proxy.forwarded("getSession")) == (1, 1, 1)
