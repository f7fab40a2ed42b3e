# SPDX-License-Identifier: EUPL-1.2
"""Sending and finding out. Every call to a network happens between two transactions, never inside one."""

from uuid import UUID

from services.deliveries import commands
from services.deliveries.commands import Attempt
from services.kernel import jobs
from services.kernel.access import Actor
from services.kernel.database import UnitOfWork
from services.kernel.encryption import CannotOpen
from services.kernel.jobs import Ticket
from services.kernel.runtime import Runtime
from services.social_accounts import commands as account_commands
from services.social_accounts import queries as accounts
from services.social_accounts.networks import connector_for
from services.social_accounts.networks.errors import (
    AuthExpired,
    AuthRevoked,
    Blocked,
    MissingScope,
    NetworkError,
    QuotaSpent,
    RateLimited,
    Rejected,
    TargetGone,
    Transient,
    WindowClosed,
)
from services.social_accounts.networks.interface import (
    Account,
    AccountGrant,
    CannotTell,
    Connector,
    NotFound,
    Pending,
    Reach,
    Sent,
)
from services.social_accounts.networks.session import signed_in

REFUSED = (MissingScope, Rejected, WindowClosed, TargetGone, AuthRevoked, Blocked, AuthExpired)
NOT_SENT = (Transient, RateLimited, QuotaSpent)


async def send(runtime: Runtime, ticket: Ticket) -> None:
    """Publish one delivery: commit the intent, make the one call, commit what came of it."""
    actor = Actor.system(ticket.tenant_id, ticket.id)
    async with runtime.database.unit_of_work(actor) as uow:
        attempt = await commands.begin(
            uow, delivery_id=ticket.subject_id, check_schedule=runtime.settings.verify_seconds
        )
        if attempt is None:
            await jobs.finish(uow, ticket)
            return
    try:
        sent = await _call_send(runtime, actor, attempt)
    except NetworkError as error:
        async with runtime.database.unit_of_work(actor) as uow:
            await _record(uow, runtime, attempt, error)
            await jobs.finish(uow, ticket)
        return
    async with runtime.database.unit_of_work(actor) as uow:
        if isinstance(sent, Sent):
            await commands.record_sent(uow, attempt, sent)
        else:
            await commands.record_unknown(uow, attempt, "PENDING", runtime.settings.verify_seconds)
        await jobs.finish(uow, ticket)


async def verify(runtime: Runtime, ticket: Ticket) -> None:
    """Find out what came of a delivery whose outcome is unknown."""
    actor = Actor.system(ticket.tenant_id, ticket.id)
    schedule = runtime.settings.verify_seconds
    async with runtime.database.unit_of_work(actor) as uow:
        attempt = await commands.to_check(uow, delivery_id=ticket.subject_id)
        if attempt is None:
            await jobs.finish(uow, ticket)
            return
    try:
        found = await _call_find(runtime, actor, attempt)
    except NetworkError as error:
        found = CannotTell(error.code)
    async with runtime.database.unit_of_work(actor) as uow:
        if isinstance(found, Sent):
            await commands.record_found(uow, attempt, found)
        elif isinstance(found, NotFound):
            await commands.record_absent(uow, attempt, found, schedule)
        else:
            await commands.record_cannot_tell(uow, attempt, schedule)
        await jobs.finish(uow, ticket)


async def _record(uow: UnitOfWork, runtime: Runtime, attempt: Attempt, error: NetworkError) -> None:
    if isinstance(error, NOT_SENT):
        await commands.record_not_sent(uow, attempt, error.code, error.retry_after)
    elif isinstance(error, REFUSED):
        await commands.record_refused(uow, attempt, error.code)
        if isinstance(error, AuthRevoked | Blocked):
            await account_commands.revoke(uow, account_id=attempt.account_id, reason=error.code)
    else:
        await commands.record_unknown(uow, attempt, error.code, runtime.settings.verify_seconds)


async def _call_send(runtime: Runtime, actor: Actor, attempt: Attempt) -> Sent | Pending:
    connector, account = await _open(runtime, actor, attempt.account_id)
    reach = Reach(runtime.outbound, runtime.clock)

    async def keep(grant: AccountGrant) -> Account:
        return await _keep(runtime, actor, attempt.account_id, grant)

    return await signed_in(
        connector, account, reach, keep, lambda current: connector.send(attempt.prepared, current, reach)
    )


async def _call_find(runtime: Runtime, actor: Actor, attempt: Attempt) -> Sent | NotFound | CannotTell:
    connector, account = await _open(runtime, actor, attempt.account_id)
    reach = Reach(runtime.outbound, runtime.clock)

    async def keep(grant: AccountGrant) -> Account:
        return await _keep(runtime, actor, attempt.account_id, grant)

    return await signed_in(
        connector,
        account,
        reach,
        keep,
        lambda current: connector.find_sent(attempt.prepared, current, attempt.sent_at, reach),
    )


async def _open(runtime: Runtime, actor: Actor, account_id: UUID) -> tuple[Connector, Account]:
    async with runtime.database.snapshot(actor) as snapshot:
        row = await accounts.account(snapshot, account_id)
        try:
            account = await accounts.network_account(snapshot, runtime.vault, account_id)
        except CannotOpen as error:  # nothing leaves the house, and nobody can look either
            raise Transient(row.network, "CREDENTIALS_UNREADABLE") from error
    connector = connector_for(row.network)
    if connector is None:
        raise Rejected(row.network, "NO_CONNECTOR")
    return connector, account


async def _keep(runtime: Runtime, actor: Actor, account_id: UUID, grant: AccountGrant) -> Account:
    async with runtime.database.unit_of_work(actor) as uow:
        await account_commands.renew(uow, runtime.vault, account_id=account_id, grant=grant)
    return (await _open(runtime, actor, account_id))[1]
