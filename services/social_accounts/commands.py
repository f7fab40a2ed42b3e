# SPDX-License-Identifier: EUPL-1.2
"""Acts on accounts: register, connect, keep their credentials, and store what comes in."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from services.kernel import jobs
from services.kernel.access import Permission
from services.kernel.database import UnitOfWork
from services.kernel.encryption import Vault
from services.kernel.errors import NotFound, NotPermitted, Taken
from services.kernel.isolation import owned
from services.kernel.serialization import to_json
from services.social_accounts import queries, rules
from services.social_accounts.events import (
    RawEventUnreadable,
    SocialAccountConnected,
    SocialAccountRegistered,
    SocialAccountRevoked,
)
from services.social_accounts.models import AccountCredential, IngestCursor, RawEvent, SocialAccount
from services.social_accounts.networks import connector_for
from services.social_accounts.networks.interface import AccountGrant
from services.social_accounts.networks.interface import RawEvent as Received
from services.social_accounts.rules import Connection, Lifecycle, Network, Purpose, RawEventState
from services.tenancy import queries as tenancy
from services.tenancy.rules import DepartmentIsUnknown

POLL = "social_account.poll"
DRAIN = "raw_events.drain"
MEASURE = "social_account.measure"
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

RECEIVE = text(
    """
    insert into belfry.raw_event (tenant_id, social_account_id, kind, external_id, version, occurred_at, body, state)
    select :tenant, :account, e.kind, e.external_id, e.version, e.occurred_at, e.body, 'WAITING'
    from unnest(cast(:kinds as text[]), cast(:external_ids as text[]), cast(:versions as text[]),
                cast(:instants as timestamptz[]), cast(:bodies as bytea[]))
        as e (kind, external_id, version, occurred_at, body)
    on conflict (tenant_id, social_account_id, kind, external_id, version) do nothing
    """
)


async def register(
    uow: UnitOfWork, *, network: Network, handle: str, department_id: UUID, purpose: Purpose
) -> SocialAccount:
    """Enter an account into the register, whether or not Belfry can connect to its network."""
    uow.actor.require(Permission.SOCIAL_ACCOUNT_REGISTER)
    handle = rules.check_handle(handle)
    try:
        department = await tenancy.department(uow, department_id)
    except NotFound as error:
        raise DepartmentIsUnknown(field=("departmentId",)) from error
    reach = uow.actor.range_of(Permission.SOCIAL_ACCOUNT_REGISTER)
    if not (reach.everywhere or department.id in reach.departments):
        raise NotPermitted("You may register accounts of your own departments only.", field=("departmentId",))
    account = SocialAccount(
        tenant_id=uow.tenant_id,
        network=network,
        handle=handle,
        owner_department_id=department.id,
        purpose=purpose,
        connection=Connection.CONNECTED if network is Network.WEBFORM else Connection.UNMANAGED,
        connected_at=uow.now if network is Network.WEBFORM else None,
    )
    if await queries.is_registered(uow, network, handle):
        raise Taken("This account is in the register already.", field=("handle",))
    uow.add(account)
    try:
        await uow.flush()
    except IntegrityError as error:  # somebody else registered it at this very moment
        raise Taken("This account is in the register already.", field=("handle",)) from error
    uow.emit(SocialAccountRegistered(social_account_id=account.id, network=network, owner_department_id=department.id))
    return account


async def check_connectable(uow: UnitOfWork, *, account_id: UUID) -> SocialAccount:
    """The account that is about to be signed in; refuses before anything leaves the house."""
    uow.actor.require(Permission.SOCIAL_ACCOUNT_CONNECT)
    account = await queries.visible_account(uow, account_id)
    reach = uow.actor.range_of(Permission.SOCIAL_ACCOUNT_CONNECT)
    if not (reach.everywhere or account.owner_department_id in reach.departments):
        raise NotPermitted
    if connector_for(account.network) is None or account.network is Network.WEBFORM:
        raise rules.NetworkCannotBeConnected
    rules.check_connectable(account.lifecycle)
    return account


async def connect(
    uow: UnitOfWork, vault: Vault, *, account_id: UUID, server_url: str, grant: AccountGrant
) -> SocialAccount:
    """Keep what a sign-in gave, sealed, and start to listen."""
    uow.actor.require(Permission.SOCIAL_ACCOUNT_CONNECT)
    account = await queries.account_for_update(uow, account_id)
    rules.check_connectable(account.lifecycle)
    await _seal(uow, vault, account_id, grant)
    account.server_url, account.remote_id, account.display_name = server_url, grant.remote_id, grant.display_name
    account.connection, account.connection_error = Connection.CONNECTED, None
    account.lifecycle, account.connected_at = Lifecycle.ACTIVE, uow.now
    await jobs.schedule(uow, POLL, account.id)
    await jobs.schedule(uow, MEASURE, account.id)
    uow.emit(SocialAccountConnected(social_account_id=account.id))
    return account


async def renew(uow: UnitOfWork, vault: Vault, *, account_id: UUID, grant: AccountGrant) -> None:
    """Replace the credentials after a refresh."""
    uow.actor.require(Permission.BELFRY_WORK)
    await _seal(uow, vault, account_id, grant)


async def revoke(uow: UnitOfWork, *, account_id: UUID, reason: str) -> None:
    """Stop an account whose credentials the network refuses."""
    uow.actor.require(Permission.BELFRY_WORK)
    account = await queries.account_for_update(uow, account_id)
    if account.connection is Connection.REVOKED:
        return
    account.connection, account.connection_error = Connection.REVOKED, reason
    await jobs.cancel(uow, MEASURE, account_id)
    uow.emit(SocialAccountRevoked(social_account_id=account_id, reason=reason))


async def receive(uow: UnitOfWork, *, account_id: UUID, events: Sequence[Received]) -> None:
    """Store raw events before anybody parses them, each once, and have them drained. Commit before you say 2xx."""
    uow.actor.require(Permission.BELFRY_WORK)
    if not events:
        return
    # Webhook and poll bring the same events at once: in one order they wait for each other instead of deadlocking.
    events = sorted(events, key=lambda event: (event.kind, event.external_id, event.version))
    await uow.write(
        RECEIVE,
        {
            "tenant": uow.tenant_id,
            "account": account_id,
            "kinds": [event.kind for event in events],
            "external_ids": [event.external_id for event in events],
            "versions": [event.version for event in events],
            "instants": [rules.plausible(event.occurred_at) if event.occurred_at else None for event in events],
            "bodies": [event.body for event in events],
        },
    )
    await jobs.schedule(uow, DRAIN, account_id)


async def save_cursor(uow: UnitOfWork, *, account_id: UUID, stream: str, cursor: str | None, more: bool) -> None:
    """Remember how far a stream was read, in the transaction that keeps what it gave; one with more is due at once."""
    uow.actor.require(Permission.BELFRY_WORK)
    values = {"cursor": cursor, "fetched_at": LONG_AGO if more else uow.now}
    statement = insert(IngestCursor).values(
        tenant_id=uow.tenant_id, social_account_id=account_id, stream=stream, **values
    )
    await uow.write(
        statement.on_conflict_do_update(index_elements=["tenant_id", "social_account_id", "stream"], set_=values)
    )


async def mark_polled(uow: UnitOfWork, *, account_id: UUID, at: datetime) -> None:
    """Note that the account answered, without touching its version: nobody edited it."""
    uow.actor.require(Permission.BELFRY_WORK)
    await uow.write(
        update(SocialAccount)
        .where(col(SocialAccount.tenant_id) == uow.tenant_id, col(SocialAccount.id) == account_id)
        .values(polled_at=at)
    )


async def mark_read(uow: UnitOfWork, *, account_id: UUID, done: Iterable[UUID], unreadable: dict[UUID, str]) -> None:
    """Close the raw events of a batch: their facts are in, or they are kept for a later version to read."""
    uow.actor.require(Permission.BELFRY_WORK)
    states = {RawEventState.DONE: sorted(done), RawEventState.FAILED: sorted(unreadable)}
    for state, ids in states.items():
        if ids:
            await uow.write(
                update(RawEvent)
                .where(col(RawEvent.tenant_id) == uow.tenant_id, col(RawEvent.id).in_(ids))
                .values(state=state)
            )
    for raw_event_id, error in sorted(unreadable.items()):
        await uow.write(
            update(RawEvent)
            .where(col(RawEvent.tenant_id) == uow.tenant_id, col(RawEvent.id) == raw_event_id)
            .values(error=error)
        )
        uow.emit(RawEventUnreadable(raw_event_id=raw_event_id, social_account_id=account_id))


async def erase_bodies(uow: UnitOfWork, *, external_ids: Iterable[str]) -> None:
    """Empty what was received of items that their authors deleted; the shell stays as evidence that it came in.

    What nobody has parsed yet keeps its words until then: its parser learns that it is deleted and calls this again.
    """
    uow.actor.require(Permission.BELFRY_WORK)
    ids = sorted(set(external_ids))
    if ids:
        await uow.write(
            update(RawEvent)
            .where(
                col(RawEvent.tenant_id) == uow.tenant_id,
                col(RawEvent.external_id).in_(ids),
                col(RawEvent.state) != RawEventState.WAITING,
            )
            .values(body=b"")
        )


async def _seal(uow: UnitOfWork, vault: Vault, account_id: UUID, grant: AccountGrant) -> None:
    credential = await uow.one_or_none(
        owned(AccountCredential, col(AccountCredential.social_account_id) == account_id).with_for_update()
    )
    if credential is None:
        credential = AccountCredential(
            tenant_id=uow.tenant_id, social_account_id=account_id, key_id="", nonce=b"", ciphertext=b""
        )
        uow.add(credential)
    sealed = vault.seal(to_json(dict(grant.credentials)), queries.place_of(credential))
    credential.key_id, credential.nonce, credential.ciphertext = sealed.key_id, sealed.nonce, sealed.ciphertext
