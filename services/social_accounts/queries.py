# SPDX-License-Identifier: EUPL-1.2
"""Reads of the account register, and who may see which account."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, Text, Uuid, and_, any_, cast, func, or_, select
from sqlmodel import col

from services.kernel.access import Permission
from services.kernel.database import Snapshot
from services.kernel.encryption import Place, Sealed, Vault
from services.kernel.isolation import ACTOR, owned
from services.kernel.lines import Lines, Rows, id_of
from services.kernel.serialization import from_json
from services.social_accounts.models import AccountCredential, IngestCursor, RawEvent, SocialAccount
from services.social_accounts.networks.interface import Account, KnownItem
from services.social_accounts.networks.webform import AFTER_FOLLOW_UPS, FOLLOW_UP_MARK, SUBMISSION_KIND
from services.social_accounts.rules import Connection, Lifecycle, Network, Purpose, RawEventState

KNOWN_FOR = timedelta(days=14)
"""How long items are looked at again for edits and deletions."""

SOCIAL_ACCOUNT_IS_VISIBLE = or_(
    ACTOR.everywhere(Permission.SOCIAL_ACCOUNT_READ),
    col(SocialAccount.owner_department_id) == any_(ACTOR.departments(Permission.SOCIAL_ACCOUNT_READ)),
)

SOCIAL_ACCOUNT_LINES = Lines(
    Rows(SocialAccount, SOCIAL_ACCOUNT_IS_VISIBLE),
    SocialAccount.created_at,
    {
        "id": id_of("SA", SocialAccount.id),
        "network": SocialAccount.network,
        "handle": SocialAccount.handle,
        "serverHost": SocialAccount.server_host,
        "displayName": SocialAccount.display_name,
        "ownerDepartmentId": id_of("DP", SocialAccount.owner_department_id),
        "deputyEmail": SocialAccount.deputy_email,
        "purpose": SocialAccount.purpose,
        "audiences": SocialAccount.audiences,
        "connection": SocialAccount.connection,
        "lifecycle": SocialAccount.lifecycle,
        "experimentUntil": SocialAccount.experiment_until,
        "reviewOn": SocialAccount.review_on,
        "connectedAt": SocialAccount.connected_at,
        "polledAt": SocialAccount.polled_at,
        "createdAt": SocialAccount.created_at,
        "version": SocialAccount.version,
    },
    {},
)


async def visible_account(snapshot: Snapshot, account_id: UUID) -> SocialAccount:
    """An account that the actor may see. Raises NotFound."""
    return await snapshot.one(owned(SocialAccount, col(SocialAccount.id) == account_id, SOCIAL_ACCOUNT_IS_VISIBLE))


async def visible_versions(snapshot: Snapshot, account_ids: Collection[UUID]) -> dict[UUID, int]:
    """Of some accounts those that the actor may see, with their versions."""
    found = await snapshot.rows(
        owned(SocialAccount, col(SocialAccount.id).in_(account_ids), SOCIAL_ACCOUNT_IS_VISIBLE).with_only_columns(
            col(SocialAccount.id), col(SocialAccount.version)
        )
    )
    return {row.id: row.version for row in found}


async def account(snapshot: Snapshot, account_id: UUID) -> SocialAccount:
    """An account, for Belfry's own work. Raises NotFound."""
    return await snapshot.one(owned(SocialAccount, col(SocialAccount.id) == account_id))


async def account_for_update(snapshot: Snapshot, account_id: UUID) -> SocialAccount:
    """The same, locked until the unit of work ends."""
    return await snapshot.one(owned(SocialAccount, col(SocialAccount.id) == account_id).with_for_update())


async def form_account(snapshot: Snapshot) -> SocialAccount | None:
    """The account of the organization's own contact form, when it is open."""
    return await snapshot.one_or_none(
        owned(
            SocialAccount,
            col(SocialAccount.network) == Network.WEBFORM,
            col(SocialAccount.connection) == Connection.CONNECTED,
            col(SocialAccount.lifecycle) == Lifecycle.ACTIVE,
        )
        .order_by(col(SocialAccount.created_at))
        .limit(1)
    )


async def submissions(snapshot: Snapshot, thread: str, *, limit: int) -> list[RawEvent]:
    """The raw event that began a thread of the contact form and its newest follow-ups; oldest first."""
    forms = owned(SocialAccount, col(SocialAccount.network) == Network.WEBFORM)
    began = col(RawEvent.external_id) == thread
    rows = await snapshot.scalars(
        owned(
            RawEvent,
            col(RawEvent.social_account_id).in_(forms.with_only_columns(col(SocialAccount.id))),
            col(RawEvent.kind) == SUBMISSION_KIND,
            or_(
                began,
                and_(
                    col(RawEvent.external_id) > f"{thread}{FOLLOW_UP_MARK}",
                    col(RawEvent.external_id) < f"{thread}{AFTER_FOLLOW_UPS}",
                ),
            ),
        )
        .order_by(began.desc(), col(RawEvent.occurred_at).desc(), col(RawEvent.id).desc())
        .limit(limit + 1)
    )
    return [*rows[:1], *rows[:0:-1]]


async def is_registered(snapshot: Snapshot, network: Network, handle: str) -> bool:
    """Whether the register holds this account already."""
    found = await snapshot.scalars(
        owned(SocialAccount, col(SocialAccount.network) == network, col(SocialAccount.handle) == handle).limit(1)
    )
    return bool(found)


def place_of(credential: AccountCredential) -> Place:
    """Where an account's credentials live: a sealed value opens nowhere else."""
    return Place(credential.tenant_id, "account_credential", "ciphertext", credential.id)


async def network_account(snapshot: Snapshot, vault: Vault, account_id: UUID) -> Account:
    """The account as a connector needs it, credentials opened. Raises NotFound for an unknown account."""
    row = await account(snapshot, account_id)
    credential = await snapshot.one_or_none(
        owned(AccountCredential, col(AccountCredential.social_account_id) == account_id)
    )
    credentials: dict[str, str] = {}
    if credential is not None:
        sealed = Sealed(credential.key_id, credential.nonce, credential.ciphertext)
        credentials = from_json(vault.open(sealed, place_of(credential)))
    return Account(
        key=str(row.id),
        base_url=row.server_url or "",
        remote_id=row.remote_id or "",
        handle=row.handle,
        credentials=credentials,
    )


async def cursors(snapshot: Snapshot, account_id: UUID) -> dict[str, IngestCursor]:
    """How far each stream of an account has been read, and when."""
    rows = await snapshot.scalars(owned(IngestCursor, col(IngestCursor.social_account_id) == account_id))
    return {row.stream: row for row in rows}


async def waiting_raw_events(snapshot: Snapshot, account_id: UUID, *, limit: int) -> list[RawEvent]:
    """The oldest raw events that nobody has parsed, locked; those that another worker has now are left out."""
    return await snapshot.scalars(
        owned(RawEvent, col(RawEvent.social_account_id) == account_id, col(RawEvent.state) == RawEventState.WAITING)
        .order_by(col(RawEvent.created_at), col(RawEvent.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


async def known_items(
    snapshot: Snapshot, account_id: UUID, *, kind: str, after: UUID | None, limit: int
) -> Sequence[tuple[UUID, KnownItem]]:
    """Items received before, oldest first after an id, each in its latest version: to see what changed since."""
    newest = (
        select(
            col(RawEvent.external_id),
            func.max(cast(col(RawEvent.id), Text)).label("id"),
        )
        .where(
            col(RawEvent.tenant_id) == ACTOR.tenant,
            col(RawEvent.social_account_id) == account_id,
            col(RawEvent.kind) == kind,
            col(RawEvent.state) == RawEventState.DONE,
            col(RawEvent.created_at) > snapshot.now - KNOWN_FOR,
        )
        .group_by(col(RawEvent.external_id))
        .subquery()
    )
    statement = (
        owned(RawEvent, col(RawEvent.id) == cast(newest.c.id, Uuid))
        .join(newest, col(RawEvent.external_id) == newest.c.external_id)
        .order_by(col(RawEvent.id))
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(col(RawEvent.id) > after)
    rows = await snapshot.scalars(statement)
    return [(row.id, KnownItem(row.external_id, row.version)) for row in rows]


async def preference(snapshot: Snapshot) -> dict[UUID, tuple[bool, datetime, UUID]]:
    """How accounts rank when one item reaches several: the SERVICE account first, else the oldest."""
    rows = await snapshot.scalars(owned(SocialAccount))
    return {row.id: (row.purpose is not Purpose.SERVICE, row.created_at, row.id) for row in rows}


async def own_remote_ids(snapshot: Snapshot, network: Network) -> dict[str, UUID]:
    """The organization's own accounts on a network by the network's ids: what these write is never a citizen's."""
    rows = await snapshot.scalars(
        owned(SocialAccount, col(SocialAccount.network) == network, col(SocialAccount.remote_id).is_not(None)).order_by(
            col(SocialAccount.created_at).desc(), col(SocialAccount.id).desc()
        )
    )
    return {row.remote_id: row.id for row in rows if row.remote_id is not None}


def owners() -> Select[UUID, UUID]:
    """Which department answers for which account: (id, owner_department_id), for figures about what was published."""
    return select(col(SocialAccount.id), col(SocialAccount.owner_department_id)).where(
        col(SocialAccount.tenant_id) == ACTOR.tenant
    )
