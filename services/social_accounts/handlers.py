# SPDX-License-Identifier: EUPL-1.2
"""What Belfry does with accounts by itself: sign in, poll, measure. Calls happen between transactions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from services.kernel import jobs
from services.kernel.access import Actor
from services.kernel.encryption import CannotOpen
from services.kernel.errors import Invalid, NotFound, PlatformRejected, PlatformUnavailable
from services.kernel.jobs import Ticket
from services.kernel.runtime import Runtime
from services.social_accounts import commands, queries
from services.social_accounts.models import IngestCursor, SocialAccount
from services.social_accounts.networks import connector_for
from services.social_accounts.networks.capabilities import StreamRule
from services.social_accounts.networks.errors import AuthRevoked, Blocked, NetworkError, RateLimited, Rejected
from services.social_accounts.networks.interface import (
    Account,
    AccountGrant,
    ConnectInput,
    Connector,
    KnownItem,
    Page,
    Reach,
)
from services.social_accounts.networks.session import signed_in
from services.social_accounts.rules import SECRET_LENGTH_MAX, URL_LENGTH_MAX, Connection

PAGE_LIMIT = 100
PAGES_PER_POLL = 5
RHYTHM_SECONDS = 30
"""The rhythm for which capabilities state their streams; BELFRY_POLL_SECONDS stretches all of them alike."""

log = structlog.get_logger()


async def connect(
    runtime: Runtime, actor: Actor, *, account_id: UUID, server_url: str, identifier: str, secret: str
) -> UUID:
    """Sign an account in and keep what it gave. A wrong password and an unreachable server are told apart at once."""
    async with runtime.database.unit_of_work(actor) as uow:
        account = await commands.check_connectable(uow, account_id=account_id)
        network = account.network
    if len(server_url) > URL_LENGTH_MAX or not server_url.startswith(("https://", "http://")):
        raise Invalid("Give the address of the server, beginning with https://.", field=("serverUrl",))
    if not identifier.strip() or not 0 < len(secret) <= SECRET_LENGTH_MAX:
        raise Invalid("Give the identifier and the secret of the account.", field=("secret",))
    connector = _connector(network)
    given = ConnectInput(
        base_url=server_url.rstrip("/"), identifier=identifier.strip().removeprefix("@"), secret=secret
    )
    try:
        grant = await connector.finish_auth(given, Reach(runtime.outbound, runtime.clock))
    except Rejected as error:
        raise PlatformRejected(
            "The server cannot be used ({problem}).", field=("serverUrl",), problem=error.code
        ) from error
    except (AuthRevoked, Blocked) as error:
        raise PlatformRejected("The network does not accept this identifier and secret.", field=("secret",)) from error
    except NetworkError as error:
        raise PlatformUnavailable(
            "The server did not answer as expected ({problem}).", field=("serverUrl",), problem=error.code
        ) from error
    async with runtime.database.unit_of_work(actor) as uow:
        await commands.connect(uow, runtime.vault, account_id=account_id, server_url=grant.base_url, grant=grant)
    return account_id


@dataclass(frozen=True, slots=True)
class _Stream:
    rule: StreamRule
    cursor: str | None


async def poll(runtime: Runtime, ticket: Ticket) -> None:
    """Read what is new in every stream of an account that is due, and come back after the rhythm."""
    actor = Actor.system(ticket.tenant_id, ticket.id)
    rhythm = timedelta(seconds=runtime.settings.poll_seconds)
    async with runtime.database.snapshot(actor) as snapshot:
        row = await queries.account(snapshot, ticket.subject_id)
        account = await queries.network_account(snapshot, runtime.vault, row.id)
        streams = _due(row, await queries.cursors(snapshot, row.id), snapshot.now, rhythm)
    if row.connection not in (Connection.CONNECTED, Connection.EXPIRING):
        async with runtime.database.unit_of_work(actor) as uow:
            await jobs.finish(uow, ticket)
        return
    connector = _connector(row.network)
    try:
        for stream in streams:
            await _read(runtime, actor, connector, account, row.id, stream)
            account = await _reopen(runtime, actor, row.id)
    except (AuthRevoked, Blocked) as error:
        async with runtime.database.unit_of_work(actor) as uow:
            await commands.revoke(uow, account_id=row.id, reason=error.code)
            await jobs.finish(uow, ticket)
        return
    except RateLimited as error:
        rhythm = max(rhythm, error.retry_after or rhythm)
    except (NetworkError, CannotOpen) as error:
        log.warning("poll_failed", tenant_id=str(ticket.tenant_id), account=str(row.id), error=type(error).__name__,
                    code=getattr(error, "code", ""))  # fmt: skip
    async with runtime.database.unit_of_work(actor) as uow:
        await commands.mark_polled(uow, account_id=row.id, at=uow.now)
        await jobs.postpone(uow, ticket, due_at=uow.now + rhythm)


def _due(row: SocialAccount, cursors: dict[str, IngestCursor], now: datetime, rhythm: timedelta) -> list[_Stream]:
    stretch = rhythm / timedelta(seconds=RHYTHM_SECONDS)
    due: list[_Stream] = []
    for rule in _connector(row.network).capabilities().streams:
        stored = cursors.get(rule.name)
        # Half a rhythm of slack: a stream that is due every rhythm must not miss every second one by milliseconds.
        if stored is None or now - stored.fetched_at >= rule.every * stretch - rhythm / 2:
            due.append(_Stream(rule, stored.cursor if stored else None))
    return due


async def _read(
    runtime: Runtime, actor: Actor, connector: Connector, account: Account, account_id: UUID, stream: _Stream
) -> None:
    cursor = stream.cursor
    for _ in range(PAGES_PER_POLL):
        if stream.rule.known_max:
            page, cursor = await _look_again(runtime, actor, connector, account, account_id, stream, cursor)
        else:
            page = await _fetch(runtime, actor, connector, account, account_id, stream.rule.name, cursor, ())
            cursor = page.next_cursor
        async with runtime.database.unit_of_work(actor) as uow:
            await commands.receive(uow, account_id=account_id, events=page.events)
            await commands.save_cursor(
                uow, account_id=account_id, stream=stream.rule.name, cursor=cursor, more=page.more
            )
        if not page.more:
            return


async def _look_again(
    runtime: Runtime,
    actor: Actor,
    connector: Connector,
    account: Account,
    account_id: UUID,
    stream: _Stream,
    cursor: str | None,
) -> tuple[Page, str | None]:
    """Ask for items we have, a batch at a time, round and round: the cursor is the last one asked for."""
    async with runtime.database.snapshot(actor) as snapshot:
        after = UUID(cursor) if cursor else None
        rule = stream.rule
        found = await queries.known_items(snapshot, account_id, kind=rule.known_kind, after=after, limit=rule.known_max)
    known = [item for _, item in found]
    if not known:
        return Page((), None, more=False), None
    page = await _fetch(runtime, actor, connector, account, account_id, stream.rule.name, None, known)
    full = len(found) == stream.rule.known_max
    return Page(page.events, None, more=full, quotas=page.quotas), str(found[-1][0]) if full else None


async def _fetch(
    runtime: Runtime,
    actor: Actor,
    connector: Connector,
    account: Account,
    account_id: UUID,
    stream: str,
    cursor: str | None,
    known: tuple[KnownItem, ...] | list[KnownItem],
) -> Page:
    reach = Reach(runtime.outbound, runtime.clock)

    async def keep(grant: AccountGrant) -> Account:
        return await keep_grant(runtime, actor, account_id, grant)

    return await signed_in(
        connector,
        account,
        reach,
        keep,
        lambda current: connector.fetch(current, stream, cursor, PAGE_LIMIT, reach, known=known),
    )


async def keep_grant(runtime: Runtime, actor: Actor, account_id: UUID, grant: AccountGrant) -> Account:
    """Store renewed credentials and give the account as it is now."""
    async with runtime.database.unit_of_work(actor) as uow:
        await commands.renew(uow, runtime.vault, account_id=account_id, grant=grant)
    return await _reopen(runtime, actor, account_id)


async def _reopen(runtime: Runtime, actor: Actor, account_id: UUID) -> Account:
    async with runtime.database.snapshot(actor) as snapshot:
        return await queries.network_account(snapshot, runtime.vault, account_id)


def _connector(network: str) -> Connector:
    connector = connector_for(network)
    if connector is None:
        raise NotFound("There is no connector for {network}.", network=network)
    return connector
