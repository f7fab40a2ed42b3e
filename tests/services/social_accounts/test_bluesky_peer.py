# SPDX-License-Identifier: EUPL-1.2
"""The Bluesky connector against the real servers, on loopback: the facts that the connector and the fake rest on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import orjson
import pytest

from services.kernel.clock import utc_now
from services.kernel.outbound import Answer, OutboundClient, OutboundLimits
from services.social_accounts.networks.bluesky_xrpc import ACCESS, REFRESH
from services.social_accounts.networks.errors import (
    AuthExpired,
    AuthRevoked,
    ContractBroken,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Transient,
)
from services.social_accounts.networks.interface import (
    Account,
    ConnectInput,
    Draft,
    Inbound,
    InboundKind,
    ItemRef,
    KnownItem,
    NotFound,
    Prepared,
    Publish,
    Reach,
    ReplyTarget,
    Sent,
)
from tests.support.bluesky_accounts import BLUESKY, PUT, Reader
from tests.support.fault_proxy import Fault, FaultProxy, Rule
from tests.support.peers.atproto_citizen import POST, Citizen, expired_token
from tests.support.peers.atproto_peer import Peer, install, running_peer
from tests.support.servers import Servers

pytestmark = [pytest.mark.peer("atproto"), pytest.mark.xdist_group("atproto")]

LATE_SECONDS_MAX = 20.0
LOOK_SECONDS = 0.1

T = TypeVar("T")


@pytest.fixture(scope="module")
async def peer(servers: Servers) -> AsyncIterator[Peer]:
    if reason := install():
        pytest.skip(f"the AT Protocol peer cannot be installed: {reason}")
    async with running_peer(servers.database_urls("postgres")["postgres"], servers.valkey) as running:
        yield running
    assert not Path(f"/proc/{running.pid}").exists(), "the peer outlived its test run"


@pytest.fixture(scope="module")
async def proxy(peer: Peer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(peer.pds_url) as standing:
        yield standing


@pytest.fixture(scope="module")
async def reach(peer: Peer, proxy: FaultProxy) -> AsyncIterator[Reach]:
    allowed = frozenset(url.removeprefix("http://") for url in (peer.pds_url, peer.app_view_url, proxy.url))
    async with OutboundClient(allowed=allowed, limits=OutboundLimits(read_seconds=20, total_seconds=30)) as outbound:
        yield Reach(outbound, utc_now)


@pytest.fixture(scope="module")
async def town(peer: Peer, proxy: FaultProxy, reach: Reach) -> Account:
    """The municipality's account: one sign-in for all tests, behind the fault proxy."""
    grant = await BLUESKY.finish_auth(ConnectInput(peer.pds_url, "@town.test", peer.accounts["town"].password), reach)
    assert grant.remote_id == peer.accounts["town"].did
    assert grant.expires_at is not None
    assert timedelta(hours=1.9) < grant.expires_at - utc_now() < timedelta(hours=2.1)
    return Account("a1", proxy.url, grant.remote_id, grant.handle, grant.credentials)


@pytest.fixture(scope="module")
async def citizen(peer: Peer, reach: Reach) -> Citizen:
    return await Citizen(peer, "citizen", reach.outbound).sign_in()


def prepared(town: Account, text: str = "We look into it.", reply_to: ReplyTarget | None = None) -> Prepared:
    publish = Publish.POST if reply_to is None else Publish.REPLY
    made = BLUESKY.prepare(Draft(uuid4(), publish, text, utc_now(), reply_to, ("nl",)), town)
    assert isinstance(made, Prepared)
    return made


async def soon(look: Callable[[], Awaitable[T | None]]) -> T:
    """What a look finds as soon as the servers have made it visible."""
    async with asyncio.timeout(LATE_SECONDS_MAX):
        while (found := await look()) is None:
            await asyncio.sleep(LOOK_SECONDS)
    return found


async def inbound(town: Account, reach: Reach, remote_id: str, stream: str = "notifications") -> Inbound:
    reader = Reader(town, reach, stream, limit=100)

    async def look() -> Inbound | None:
        await reader.poll()
        return next((fact for fact in reader.facts() if fact.remote_id == remote_id), None)

    return await soon(look)


async def count_of(peer: Peer, citizen: Citizen, send_key: str) -> int:
    """How many posts of the town have this record key, as the server lists them."""
    answer = await citizen.call(
        "com.atproto.repo.listRecords", None, repo=peer.accounts["town"].did, collection=POST, limit="100"
    )
    return sum(1 for record in orjson.loads(answer.body)["records"] if record["uri"].endswith(send_key))


# --- the whole way --------------------------------------------------------------------------------------------------


async def test_a_mention_comes_in_and_its_answer_is_visible_once_with_figures(
    peer: Peer, town: Account, citizen: Citizen, reach: Reach
) -> None:
    question = await citizen.mention(peer, "the lamp is broken")
    fact = await inbound(town, reach, question.remote_id)
    assert (fact.kind, fact.text, fact.version) == ("MESSAGE", "@town.test the lamp is broken", question.version)
    assert fact.author is not None
    assert (fact.author.remote_id, fact.author.handle) == (citizen.account.did, "citizen.test")
    answer = prepared(town, "We repair it: https://town.example.test/lamps", fact.reply_target)
    sent = await BLUESKY.send(answer, town, reach)
    assert isinstance(sent, Sent)
    echo = await inbound(town, reach, sent.remote_id, "own_posts")
    assert (echo.kind, echo.parent_id, echo.version) == ("ECHO", question.remote_id, sent.version)
    for collection in ("app.bsky.feed.like", "app.bsky.feed.repost"):
        await citizen.write(collection, {"subject": {"uri": sent.remote_id, "cid": sent.version}})
    reference = {"uri": sent.remote_id, "cid": sent.version}
    await citizen.write(POST, {"text": "thanks", "reply": {"root": _root(fact), "parent": reference}})
    await citizen.write(POST, {"text": "look", "embed": {"$type": "app.bsky.embed.record", "record": reference}})

    async def figures() -> dict[str, int] | None:
        samples = await BLUESKY.metrics(town, [sent.remote_id], reach)
        told = {sample.name: sample.value for sample in samples}
        return told if told == {"like": 1, "repost": 1, "reply": 1, "quote": 1} else None

    await soon(figures)
    assert await count_of(peer, citizen, answer.send_key) == 1


def _root(fact: Inbound) -> dict[str, str]:
    assert fact.reply_target is not None
    return {"uri": fact.reply_target.root.remote_id, "cid": fact.reply_target.root.version}


async def test_an_overwritten_post_is_an_edit_and_a_deleted_one_a_deletion(
    peer: Peer, town: Account, citizen: Citizen, reach: Reach
) -> None:
    post = await citizen.mention(peer, "the lmap is broken")
    await inbound(town, reach, post.remote_id)
    edited = await citizen.overwrite(post, "@town.test the lamp is broken")

    async def changed(known: ItemRef, kind: InboundKind) -> Inbound:
        async def look() -> Inbound | None:
            items = [KnownItem(known.remote_id, known.version)]
            page = await BLUESKY.fetch(town, "known_items", None, 25, reach, known=items)
            facts = [fact for event in page.events for fact in BLUESKY.parse(event)]
            return next((fact for fact in facts if fact.kind is kind), None)

        return await soon(look)

    fact = await changed(post, InboundKind.EDIT)
    assert (fact.text, fact.version) == ("@town.test the lamp is broken", edited.version)
    again = await inbound(town, reach, post.remote_id)
    assert again.version == edited.version, "the list of notifications shows the new version under the same address"
    await citizen.delete(edited)
    gone = await changed(edited, InboundKind.DELETE)
    assert (gone.remote_id, gone.text) == (post.remote_id, None)


async def test_notifications_are_newest_first_with_every_reason_and_pages_that_meet(
    peer: Peer, town: Account, citizen: Citizen, reach: Reach
) -> None:
    starter = await BLUESKY.send(prepared(town, "The pool opens."), town, reach)
    assert isinstance(starter, Sent)
    reference = {"uri": starter.remote_id, "cid": starter.version}
    written = [
        await citizen.write("app.bsky.feed.like", {"subject": reference}),
        await citizen.write("app.bsky.feed.repost", {"subject": reference}),
        await citizen.write(POST, {"text": "when?", "reply": {"root": reference, "parent": reference}}),
        await citizen.write(POST, {"text": "look", "embed": {"$type": "app.bsky.embed.record", "record": reference}}),
        await citizen.mention(peer, "and the lamp?"),
        await citizen.write("app.bsky.graph.follow", {"subject": town.remote_id}),
    ]
    ids = {item.remote_id for item in written}

    async def look() -> Reader | None:
        reader = Reader(town, reach, "backfill", limit=2)
        return reader if ids <= (await reader.poll()).ids else None

    reader = await soon(look)
    facts = {fact.remote_id: fact for fact in reader.facts()}
    told = [(facts[item.remote_id].kind, facts[item.remote_id].reaction) for item in written[:5]]
    assert told == [("REACTION", "like"), ("REACTION", "repost"), *[("MESSAGE", None)] * 3]
    assert [facts[item.remote_id].ingest for item in written[2:5]] == ["PUBLIC_COMMENT", "MENTION", "MENTION"]
    assert written[5].remote_id not in facts


# --- the guard ------------------------------------------------------------------------------------------------------


async def test_the_same_guarded_call_is_one_post_and_other_content_is_refused(
    peer: Peer, town: Account, citizen: Citizen, reach: Reach
) -> None:
    post = prepared(town)
    first, second = await BLUESKY.send(post, town, reach), await BLUESKY.send(post, town, reach)
    assert isinstance(first, Sent)
    assert isinstance(second, Sent)
    assert first.version == second.version
    other = replace(post, body=post.body.replace(b"look into", b"ignore"))
    with pytest.raises(ContractBroken) as caught:
        await BLUESKY.send(other, town, reach)
    assert caught.value.code == "InvalidSwap"
    assert await count_of(peer, citizen, post.send_key) == 1
    found = await BLUESKY.find_sent(post, town, utc_now(), reach)
    assert isinstance(found, Sent)
    assert found.version == first.version
    with pytest.raises(ContractBroken):
        await BLUESKY.find_sent(other, town, utc_now(), reach)


async def test_without_the_null_the_call_would_overwrite(town: Account, reach: Reach) -> None:
    post = prepared(town)
    await BLUESKY.send(post, town, reach)
    body = orjson.loads(post.body)
    del body["swapRecord"]
    body["record"]["text"] = "Something else."
    answer = await _raw(town, reach, PUT, body)
    assert answer.status == 200
    with pytest.raises(ContractBroken):
        await BLUESKY.find_sent(post, town, utc_now(), reach)


async def test_creating_on_a_used_key_answers_500_which_looks_repeatable(town: Account, reach: Reach) -> None:
    post = prepared(town)
    await BLUESKY.send(post, town, reach)
    body = orjson.loads(post.body)
    del body["swapRecord"]
    answer = await _raw(town, reach, "com.atproto.repo.createRecord", body)
    assert (answer.status, orjson.loads(answer.body)["error"]) == (500, "InternalServerError")


async def test_after_a_deletion_the_same_call_publishes_again(town: Account, reach: Reach) -> None:
    post = prepared(town)
    first = await BLUESKY.send(post, town, reach)
    assert isinstance(first, Sent)
    await BLUESKY.delete(first.remote_id, town, reach)
    await BLUESKY.delete(first.remote_id, town, reach)
    assert await BLUESKY.find_sent(post, town, utc_now(), reach) == NotFound(exact=True)
    again = await BLUESKY.send(post, town, reach)
    assert isinstance(again, Sent)
    assert again.version == first.version
    await BLUESKY.delete(first.remote_id, town, reach)


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.CUT_AFTER, Fault.CUT_INSIDE, Fault.FAIL_AFTER])
async def test_an_unknown_outcome_is_settled_by_the_same_call_and_is_one_post(
    peer: Peer, town: Account, citizen: Citizen, reach: Reach, proxy: FaultProxy, fault: Fault
) -> None:
    post = prepared(town, f"Through {fault}.")
    proxy.plan(Rule(fault, path=PUT))
    with pytest.raises(OutcomeUnknown):
        await BLUESKY.send(post, town, reach)
    there = await BLUESKY.find_sent(post, town, utc_now(), reach)
    assert isinstance(there, NotFound if fault is Fault.DROP_BEFORE else Sent)
    assert isinstance(await BLUESKY.send(post, town, reach), Sent)
    assert await count_of(peer, citizen, post.send_key) == 1


async def test_what_was_certainly_not_sent_is_not_there(
    town: Account, citizen: Citizen, peer: Peer, reach: Reach, proxy: FaultProxy
) -> None:
    refused, limited = prepared(town, "refused"), prepared(town, "limited")
    async with proxy.refusing():
        with pytest.raises(Transient):
            await BLUESKY.send(refused, town, reach)
    proxy.plan(Rule(Fault.ANSWER, path=PUT, status=429, headers={"retry-after": "9"}))
    with pytest.raises(RateLimited) as caught:
        await BLUESKY.send(limited, town, reach)
    assert caught.value.retry_after == timedelta(seconds=9)
    assert await count_of(peer, citizen, refused.send_key) == 0
    assert await count_of(peer, citizen, limited.send_key) == 0


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("a" * 300, True),
        ("a" * 301, False),
        ("👩‍👩‍👧‍👦" * 120, True),
        ("👩‍👩‍👧‍👦" * 121, False),
        ("e\u0301" * 300, True),
        ("🇳🇱" * 300, True),
        ("क्षि" * 200, True),
        ("\r\n" * 100 + "x", True),
    ],
)
async def test_the_server_counts_letters_as_we_do(town: Account, reach: Reach, text: str, accepted: bool) -> None:
    made = BLUESKY.prepare(Draft(uuid4(), Publish.POST, text, utc_now()), town)
    assert isinstance(made, Prepared) is accepted
    post = made if isinstance(made, Prepared) else _unchecked(town, text)
    if accepted:
        await BLUESKY.send(post, town, reach)
        found = await BLUESKY.find_sent(post, town, utc_now(), reach)
        assert isinstance(found, Sent), "the server keeps every letter as it was written"
    else:
        with pytest.raises(Rejected):
            await BLUESKY.send(post, town, reach)


def _unchecked(town: Account, text: str) -> Prepared:
    made = prepared(town, "short")
    body = orjson.loads(made.body)
    body["record"]["text"] = text
    return replace(made, body=orjson.dumps(body))


# --- sessions -------------------------------------------------------------------------------------------------------


async def test_wrong_passwords_and_bad_tokens_need_a_person(peer: Peer, town: Account, reach: Reach) -> None:
    with pytest.raises(AuthRevoked) as caught:
        await BLUESKY.finish_auth(ConnectInput(peer.pds_url, "town.test", "wrong"), reach)
    assert caught.value.code == "AuthenticationRequired"
    bad = replace(town, credentials={**town.credentials, ACCESS: "not.a.token"})
    with pytest.raises(AuthRevoked) as caught:
        await BLUESKY.check(bad, reach)
    assert caught.value.code == "InvalidToken"


async def test_an_expired_token_is_told_from_a_bad_one(peer: Peer, town: Account, reach: Reach) -> None:
    account = replace(town, credentials={ACCESS: expired_token(peer, town.credentials[ACCESS])})
    post = prepared(town)
    with pytest.raises(AuthExpired):
        await BLUESKY.send(post, account, reach)
    with pytest.raises(AuthExpired):
        await BLUESKY.fetch(account, "notifications", None, 10, reach)
    assert isinstance(await BLUESKY.find_sent(post, account, utc_now(), reach), NotFound)


async def test_a_session_that_was_ended_elsewhere_needs_a_person(peer: Peer, town: Account, reach: Reach) -> None:
    grant = await BLUESKY.finish_auth(ConnectInput(peer.pds_url, "town.test", peer.accounts["town"].password), reach)
    account = replace(town, credentials=grant.credentials)
    headers = {"authorization": f"Bearer {grant.credentials[REFRESH]}"}
    url = f"{peer.pds_url}/xrpc/com.atproto.server.deleteSession"
    assert (await reach.outbound.request("POST", url, headers=headers)).status == 200
    with pytest.raises(AuthRevoked):
        await BLUESKY.refresh(account, reach)


async def test_a_session_is_checked_and_refreshed_without_a_new_sign_in(
    peer: Peer, town: Account, reach: Reach
) -> None:
    grant = await BLUESKY.finish_auth(ConnectInput(peer.pds_url, "town.test", peer.accounts["town"].password), reach)
    account = replace(town, credentials=grant.credentials)
    renewed, again = await BLUESKY.refresh(account, reach), await BLUESKY.refresh(account, reach)
    assert renewed.remote_id == again.remote_id == town.remote_id, "an old refresh token has a time of grace"
    assert (await BLUESKY.check(replace(account, credentials=renewed.credentials), reach)).findings == ()
    assert (await BLUESKY.check(replace(account, handle="other.test"), reach)).findings[0].code == "HANDLE_CHANGED"


# --- the peer itself ------------------------------------------------------------------------------------------------


def test_the_peer_listens_on_loopback_only(peer: Peer) -> None:
    sockets = {link.readlink().name for link in Path(f"/proc/{peer.pid}/fd").iterdir() if link.is_symlink()}
    listening: list[str] = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{peer.pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and f"socket:[{columns[9]}]" in sockets:
                listening.append(columns[1].partition(":")[0])
    assert listening
    assert set(listening) == {"0100007F"}


async def _raw(town: Account, reach: Reach, method: str, body: dict[str, Any]) -> Answer:
    headers = {"authorization": f"Bearer {town.credentials[ACCESS]}", "content-type": "application/json"}
    url = f"{town.base_url}/xrpc/{method}"
    return await reach.outbound.request("POST", url, headers=headers, content=orjson.dumps(body))
