# SPDX-License-Identifier: EUPL-1.2
"""The whole way on the real AT Protocol servers, through HTTP and GraphQL: mention, conversation, claim, reply, seen
once; likes and replies come back; a delete upstream leaves a tombstone; an unknown outcome, still exactly one post.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from services.kernel.outbound import OutboundClient
from services.social_accounts.networks.interface import ItemRef
from tests.support.bluesky_journey import connected
from tests.support.fault_proxy import Fault, FaultProxy, Rule
from tests.support.installation import Client, eventually, running_installation
from tests.support.peers.atproto_citizen import Citizen
from tests.support.peers.atproto_peer import Peer, install, running_peer
from tests.support.servers import Servers
from tests.support.stories import answer, arrives, wait_for, words

pytestmark = [pytest.mark.peer("atproto"), pytest.mark.xdist_group("atproto")]

PUT = "com.atproto.repo.putRecord"
LIKE = "app.bsky.feed.like"
POST = "app.bsky.feed.post"


@dataclass
class Town:
    """A municipality whose account on the real server is connected, and a citizen of it."""

    peer: Peer
    proxy: FaultProxy
    citizen: Citizen
    coordinator: Client

    async def posts(self, text: str) -> list[dict[str, Any]]:
        """The town's own records with these words, as the server has them."""
        did = self.peer.accounts["town"].did
        listed = await self.citizen.call("com.atproto.repo.listRecords", None, repo=did, collection=POST, limit="100")
        return [record for record in orjson.loads(listed.body)["records"] if record["value"]["text"] == text]


@pytest.fixture(scope="session")
async def town(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    if reason := await asyncio.to_thread(install):
        pytest.skip(reason)
    admin = servers.database_urls("postgres")["postgres"]
    async with running_peer(admin, servers.valkey) as peer, FaultProxy(peer.pds_url) as proxy:
        environment = {
            "BELFRY_OUTBOUND_ALLOW": f"127.0.0.1:{proxy.port}",
            "BELFRY_POLL_SECONDS": "1",
            "BELFRY_VERIFY_SECONDS": "1,3,6",
        }
        running = running_installation(tmp_path_factory.mktemp("peer") / "data", environment)
        installation = await asyncio.to_thread(running.__enter__)
        try:
            allowed = frozenset({peer.pds_url.removeprefix("http://")})
            async with (
                installation.person("molendam", "coordinator") as coordinator,
                OutboundClient(allowed=allowed) as outbound,
            ):
                account = peer.accounts["town"]
                await connected(coordinator, account.handle, proxy.url, account.handle, account.password)
                yield Town(peer, proxy, await Citizen(peer, "citizen", outbound).sign_in(), coordinator)
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)


async def test_a_mention_becomes_an_answer_that_is_on_the_network_once(town: Town) -> None:
    question, said = words(), words()
    await town.citizen.mention(town.peer, question)
    conversation = await arrives(town.coordinator, question)
    await answer(town.coordinator, conversation, said)
    (post,) = await town.posts(said)

    ours = ItemRef(post["uri"], post["cid"])
    subject = {"uri": ours.remote_id, "cid": ours.version}
    await town.citizen.write(LIKE, {"subject": subject})
    reference = {"root": post["value"]["reply"]["root"], "parent": subject}
    await town.citizen.write(POST, {"text": words(), "reply": reference})

    def counted(found: dict[str, Any]) -> bool:
        mine = [each for each in found["messages"]["nodes"] if each["text"] == said]
        return bool(mine) and (mine[0]["likeCount"], mine[0]["replyCount"]) == (1, 1)

    await wait_for(town.coordinator, conversation["id"], counted)


async def test_a_delete_upstream_leaves_a_tombstone_here(town: Town) -> None:
    question = words()
    asked = await town.citizen.mention(town.peer, question)
    conversation = await arrives(town.coordinator, question)
    await town.citizen.delete(asked)

    def gone(found: dict[str, Any]) -> bool:
        first = found["messages"]["nodes"][0]
        return bool(first["deletedAt"]) and first["text"] == ""

    await wait_for(town.coordinator, conversation["id"], gone)


@pytest.mark.parametrize("fault", [Fault.CUT_AFTER, Fault.FAIL_AFTER, Fault.DROP_BEFORE])
async def test_when_the_outcome_is_unknown_there_is_still_exactly_one_post(town: Town, fault: Fault) -> None:
    question, said = words(), words()
    await town.citizen.mention(town.peer, question)
    conversation = await arrives(town.coordinator, question)
    town.proxy.plan(Rule(fault, path=PUT, method="POST", status=502))
    await answer(town.coordinator, conversation, said)

    async def look() -> bool:
        return len(await town.posts(said)) == 1

    await eventually(look)
