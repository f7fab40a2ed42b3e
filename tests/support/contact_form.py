# SPDX-License-Identifier: EUPL-1.2
"""The contact form over real HTTP: its routes alone behind a server on loopback, and what stands in the database."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx2
import uvicorn
from sqlmodel import col
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from services.assignments import commands as assignments
from services.conversations import commands
from services.conversations.models import Conversation, Message
from services.conversations.routes import routes
from services.conversations.rules import AuthorKind, ReplyPurpose
from services.deliveries import commands as deliveries
from services.kernel.access import Role
from services.kernel.isolation import owned
from services.kernel.runtime import Runtime, open_runtime
from services.kernel.settings import Settings
from services.social_accounts import commands as social_accounts
from services.social_accounts.models import RawEvent
from services.social_accounts.networks.interface import Sent
from services.social_accounts.rules import Network, Purpose
from tests.support.organizations import DESK, TestOrganization

PUBLIC_URL = "https://belfry.example.test"
ADDRESS_HEADER = "x-test-address"
START_SECONDS_MAX = 20.0
_addresses = (f"10.{a}.{b}.{c}" for a, b, c in itertools.product(range(1, 250), range(250), range(1, 250)))


def new_address() -> str:
    """An address that nobody has counted yet in this process."""
    return next(_addresses)


class Addresses:
    """Lets a test come from many addresses: the peer of a connection is always this machine."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(ADDRESS_HEADER.encode())
        if given:
            scope["client"] = (given.decode(), 1)
        await self.app(scope, receive, send)


class QuietServer(uvicorn.Server):
    """A server that leaves the signals to pytest."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True)
class Served:
    """The running form."""

    runtime: Runtime
    url: str

    def client(self, address: str | None = None, **options: Any) -> httpx2.AsyncClient:
        """A sender with an address of their own."""
        headers = {ADDRESS_HEADER: address or new_address()} | options.pop("headers", {})
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=20, **options)


@asynccontextmanager
async def served(settings: Settings, *, trusted_proxy: str | None = None) -> AsyncIterator[Served]:
    """Serve the routes on a free port of loopback. Forwarding headers count only when they come from the proxy."""
    changed = settings.model_copy(update={"public_url": PUBLIC_URL})
    async with open_runtime(changed) as runtime:
        app: Any = Starlette(routes=routes(runtime))
        if trusted_proxy is not None:
            app = ProxyHeadersMiddleware(app, trusted_hosts=trusted_proxy)
        config = uvicorn.Config(
            Addresses(app),
            host="127.0.0.1",
            port=0,
            lifespan="off",
            log_level="warning",
            proxy_headers=False,
            ws="none",
        )
        server = QuietServer(config)
        running = asyncio.create_task(server.serve())
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                while not server.started:
                    await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield Served(runtime, f"http://127.0.0.1:{port}")
        finally:
            server.should_exit = True
            await running


async def open_form(runtime: Runtime, organization: TestOrganization) -> UUID:
    """Give an organization its contact form; the id of the account."""
    async with runtime.database.unit_of_work(organization.actor(Role.COORDINATOR)) as uow:
        account = await social_accounts.register(
            uow,
            network=Network.WEBFORM,
            handle="contact",
            department_id=organization.departments[DESK],
            purpose=Purpose.SERVICE,
        )
    return account.id


async def drain(runtime: Runtime, organization: TestOrganization, account_id: UUID) -> None:
    """Take in what waits, as the worker does."""
    more = True
    while more:
        async with runtime.database.unit_of_work(organization.system) as uow:
            more = await commands.drain(uow, account_id=account_id)


async def raw_events(runtime: Runtime, organization: TestOrganization) -> list[RawEvent]:
    """Everything the form has kept, oldest first."""
    async with runtime.database.snapshot(organization.system) as snapshot:
        return await snapshot.scalars(owned(RawEvent).order_by(col(RawEvent.occurred_at), col(RawEvent.id)))


async def conversations(runtime: Runtime, organization: TestOrganization) -> list[Conversation]:
    """All conversations, oldest first."""
    async with runtime.database.snapshot(organization.system) as snapshot:
        return await snapshot.scalars(owned(Conversation).order_by(col(Conversation.opened_at), col(Conversation.id)))


async def messages(runtime: Runtime, organization: TestOrganization) -> list[Message]:
    """All messages, oldest first."""
    async with runtime.database.snapshot(organization.system) as snapshot:
        return await snapshot.scalars(owned(Message).order_by(col(Message.occurred_at), col(Message.id)))


async def reply(
    runtime: Runtime, organization: TestOrganization, text: str, purpose: ReplyPurpose = ReplyPurpose.ANSWER
) -> UUID:
    """Claim the newest conversation and answer it; the id of the delivery, which has not gone out."""
    conversation = (await conversations(runtime, organization))[-1]
    asked = [each for each in await messages(runtime, organization) if each.author_kind is AuthorKind.CITIZEN]
    coordinator = organization.actor(Role.COORDINATOR)
    async with runtime.database.unit_of_work(coordinator) as uow:
        await assignments.claim(uow, conversation_id=conversation.id)
    claimed = (await conversations(runtime, organization))[-1]
    async with runtime.database.unit_of_work(coordinator) as uow:
        await commands.reply(
            uow,
            conversation_id=conversation.id,
            text=text,
            purpose=purpose,
            last_seen_message_id=asked[-1].id,
            fence=claimed.fence,
        )
    ours = [each.delivery_id for each in await messages(runtime, organization) if each.delivery_id is not None]
    return ours[-1]


async def publish(runtime: Runtime, organization: TestOrganization, delivery_id: UUID) -> None:
    """Let a reply go out, as the worker does."""
    async with runtime.database.unit_of_work(organization.system) as uow:
        attempt = await deliveries.begin(uow, delivery_id=delivery_id, check_schedule=(10,))
    assert attempt is not None
    async with runtime.database.unit_of_work(organization.system) as uow:
        sent = Sent(attempt.prepared.send_key, "1", None, uow.now)
        assert await deliveries.record_sent(uow, attempt, sent)
    async with runtime.database.unit_of_work(organization.system) as uow:
        await commands.record_published(uow, delivery_id=delivery_id)


def path_of(status_url: str) -> str:
    """The path of a public address, for a client of the test server."""
    assert status_url.startswith(f"{PUBLIC_URL}/contact/")
    return urlsplit(status_url).path
