# SPDX-License-Identifier: EUPL-1.2
"""What every test of the Bluesky connector starts with: an account signed in at a server, and ready-made drafts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

from services.kernel.clock import utc_now
from services.kernel.outbound import OutboundClient, OutboundLimits
from services.social_accounts.networks.bluesky import BlueskyConnector
from services.social_accounts.networks.interface import (
    Account,
    ConnectInput,
    Draft,
    Inbound,
    ItemRef,
    Prepared,
    Publish,
    RawEvent,
    Reach,
    ReplyTarget,
)
from tests.support.fake_atproto import FakeAtproto
from tests.support.fake_atproto_state import Stored
from tests.support.fault_proxy import FaultProxy

BLUESKY = BlueskyConnector()
NOW = datetime(2026, 11, 22, 9, 30, 15, 250_000, tzinfo=UTC)
PUT = "com.atproto.repo.putRecord"
TOWN = Account(key="a1", base_url="http://127.0.0.1:1", remote_id="did:plc:" + "a" * 24, handle="town.test")
SOMEBODY = ReplyTarget(
    ItemRef("at://did:plc:" + "b" * 24 + "/app.bsky.feed.post/3l6oveex3ii2l", "bafyroot"),
    ItemRef("at://did:plc:" + "b" * 24 + "/app.bsky.feed.post/3l6oveex3ii3a", "bafyparent"),
)


@asynccontextmanager
async def reach_to(*urls: str) -> AsyncIterator[Reach]:
    allowed = frozenset(url.removeprefix("http://") for url in urls)
    limits = OutboundLimits(connect_seconds=2, read_seconds=3, total_seconds=6)
    async with OutboundClient(allowed=allowed, limits=limits) as outbound:
        yield Reach(outbound, utc_now)


async def signed_in(fake: FakeAtproto, reach: Reach, url: str | None = None) -> Account:
    given = ConnectInput(fake.url, "@town.test", fake.network.person("town").password)
    grant = await BLUESKY.finish_auth(given, reach)
    return Account("a1", url or fake.url, grant.remote_id, grant.handle, grant.credentials)


@asynccontextmanager
async def connected(fake: FakeAtproto) -> AsyncIterator[tuple[Account, Reach]]:
    async with reach_to(fake.url) as reach:
        yield await signed_in(fake, reach), reach


@asynccontextmanager
async def behind_proxy(fake: FakeAtproto) -> AsyncIterator[tuple[Account, Reach, FaultProxy]]:
    async with FaultProxy(fake.url) as proxy, reach_to(fake.url, proxy.url) as reach:
        yield await signed_in(fake, reach, proxy.url), reach, proxy


def draft_of(text: str, reply_to: ReplyTarget | None = None, *, delivery: UUID | None = None) -> Draft:
    publish = Publish.POST if reply_to is None else Publish.REPLY
    return Draft(delivery or uuid4(), publish, text, NOW, reply_to, languages=("nl",))


def prepared(account: Account, text: str = "The lamp is repaired.", reply_to: ReplyTarget | None = None) -> Prepared:
    made = BLUESKY.prepare(draft_of(text, reply_to), account)
    assert isinstance(made, Prepared)
    return made


def target_of(stored: Stored) -> ReplyTarget:
    root = stored.value.get("reply", {}).get("root", {"uri": stored.uri, "cid": stored.cid})
    return ReplyTarget(ItemRef(root["uri"], root["cid"]), ItemRef(stored.uri, stored.cid))


class Reader:
    """A worker in miniature: keeps the cursor of a stream and every event it was given, by key."""

    def __init__(self, account: Account, reach: Reach, stream: str = "notifications", limit: int = 50) -> None:
        self.account, self.reach, self.stream, self.limit = account, reach, stream, limit
        self.cursor: str | None = None
        self.events: dict[tuple[str, str, str], RawEvent] = {}
        self.given = 0

    async def page(self) -> bool:
        page = await BLUESKY.fetch(self.account, self.stream, self.cursor, self.limit, self.reach)
        self.cursor = page.next_cursor
        self.given += len(page.events)
        for event in page.events:
            self.events.setdefault((event.kind, event.external_id, event.version), event)
        return page.more

    async def poll(self) -> "Reader":
        while await self.page():
            pass
        return self

    @property
    def ids(self) -> set[str]:
        return {external_id for _, external_id, _ in self.events}

    def facts(self) -> list[Inbound]:
        return [fact for event in self.events.values() for fact in BLUESKY.parse(event)]
