# SPDX-License-Identifier: EUPL-1.2
"""From raw events to messages, contacts and conversations, in batches: one statement per table, however many events.

Everything is found under locks in one order (contacts, conversations, messages) and merged by `rules.items`, so that
1 or 1,000 deliveries in any order, from any number of accounts, give the same rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, text, tuple_
from sqlmodel import col

from services.conversations import rules
from services.conversations.commands import adopting, threads
from services.conversations.events import MessageChanged, MessageReceived
from services.conversations.models import Contact, Message
from services.conversations.rules import AuthorKind, ChannelKind, Direction, ReplyPurpose, Visibility
from services.conversations.rules.items import Item, Writer, merge, naming
from services.kernel import identifiers
from services.kernel.access import Permission
from services.kernel.batches import insert_new
from services.kernel.database import UnitOfWork
from services.kernel.isolation import owned
from services.social_accounts import queries as accounts
from services.social_accounts.rules import Network, OutboundKind

CONTACTS = text(
    """
    insert into belfry.contact (tenant_id, network, server_host, external_id, handle, display_name, email, seen_at,
                                opted_out, blocked, version)
    select :tenant, :network, c.server_host, c.external_id, c.handle, c.display_name, c.email, c.seen_at,
           false, false, 1
    from unnest(cast(:hosts as text[]), cast(:external_ids as text[]), cast(:handles as text[]),
                cast(:names as text[]), cast(:emails as text[]), cast(:seen as timestamptz[]))
        as c (server_host, external_id, handle, display_name, email, seen_at)
    on conflict (tenant_id, network, server_host, external_id) do update
    set handle = excluded.handle, display_name = excluded.display_name, email = excluded.email,
        seen_at = excluded.seen_at, version = contact.version + 1
    where (excluded.seen_at, coalesce(excluded.handle, ''), coalesce(excluded.display_name, ''),
           coalesce(excluded.email, ''))
        > (contact.seen_at, coalesce(contact.handle, ''), coalesce(contact.display_name, ''),
           coalesce(contact.email, ''))
    """
)


@dataclass
class Batch:
    """One batch on its way in. `items` by external id; `stored` are the rows that exist already.

    `own_accounts` are the organization's accounts by the network's ids; `deleted` are the items that are gone.
    """

    account_id: UUID
    network: Network
    items: dict[str, Item]
    own_accounts: Mapping[str, UUID] = field(default_factory=dict[str, UUID])
    preferred: Mapping[UUID, Any] = field(default_factory=dict[UUID, Any])
    contacts: dict[tuple[str, str], UUID] = field(default_factory=dict[tuple[str, str], UUID])
    stored: dict[str, Message] = field(default_factory=dict[str, Message])
    touched: set[UUID] = field(default_factory=set[UUID])
    deleted: set[str] = field(default_factory=set[str])

    def account_of(self, item: Item) -> UUID:
        """The account whose item it is: for one of our own, the one that wrote it, whoever saw it."""
        if item.is_own and item.writer is not None:
            return self.own_accounts.get(item.writer.external_id, self.account_id)
        return self.account_id

    def contact_of(self, item: Item) -> UUID | None:
        return None if item.writer is None else self.contacts.get((item.server_host, item.writer.external_id))


async def take_in(uow: UnitOfWork, batch: Batch) -> None:
    """Store the items of a batch and bring every conversation they touch up to date."""
    uow.actor.require(Permission.BELFRY_WORK)
    if not batch.items:
        return
    batch.preferred = await accounts.preference(uow)
    await _contacts(uow, batch)
    await _known_conversations(uow, batch)
    openings = _openings(batch)
    locked = await threads.lock(uow, batch.touched, openings)
    await _stored(uow, batch)
    openings = [each for each in openings if not _has_conversation(batch, each.external_id)]
    conversations = await threads.open_missing(uow, batch.account_id, batch.network, openings, locked)
    received = await _insert(uow, batch, conversations)
    changed = _change(batch, conversations)
    written = set(conversations.values())
    batch.touched |= written
    await adopting.adopt(uow, batch.network, batch.items, batch.touched)
    await threads.refresh(uow, batch.touched, written=written, preferred=batch.preferred)
    for event in [*received, *changed]:
        uow.emit(event)


async def _contacts(uow: UnitOfWork, batch: Batch) -> None:
    newest: dict[tuple[str, str], Writer] = {}
    for item in batch.items.values():
        if item.writer is not None and not item.is_own:
            key = (item.server_host, item.writer.external_id)
            newest[key] = max(newest.get(key, item.writer), item.writer, key=naming)
    if not newest:
        return
    keys = sorted(newest)
    writers = [newest[key] for key in keys]
    await uow.write(
        CONTACTS,
        {
            "tenant": uow.tenant_id,
            "network": batch.network.value,
            "hosts": [host for host, _ in keys],
            "external_ids": [external_id for _, external_id in keys],
            "handles": [writer.handle for writer in writers],
            "names": [writer.display_name for writer in writers],
            "emails": [writer.email for writer in writers],
            "seen": [writer.seen_at or uow.now for writer in writers],
        },
    )
    rows = await uow.rows(
        owned(
            Contact,
            col(Contact.network) == batch.network,
            tuple_(col(Contact.server_host), col(Contact.external_id)).in_(keys),
        ).with_only_columns(col(Contact.server_host), col(Contact.external_id), col(Contact.id))
    )
    batch.contacts = {(row.server_host, row.external_id): row.id for row in rows}


def _these_messages(batch: Batch, items: Iterable[tuple[str, str]] = ()) -> tuple[ColumnElement[bool], ...]:
    keys = {(item.server_host, item.external_id) for item in batch.items.values()}
    return (
        col(Message.network) == batch.network,
        tuple_(col(Message.server_host), col(Message.external_id)).in_(sorted(keys.union(items))),
    )


async def _known_conversations(uow: UnitOfWork, batch: Batch) -> None:
    """Which conversations hold items of the batch, or what our own items of it answer.

    Looked up without a lock, because conversations are locked before messages.
    """
    above = {(each.server_host, each.parent_id) for each in batch.items.values() if each.is_own and each.parent_id}
    statement = owned(Message, *_these_messages(batch, above)).with_only_columns(col(Message.conversation_id))
    batch.touched = {each for each in await uow.scalars(statement) if each is not None}


async def _stored(uow: UnitOfWork, batch: Batch) -> None:
    rows = await uow.scalars(owned(Message, *_these_messages(batch)).order_by(col(Message.id)).with_for_update())
    batch.stored = {row.external_id: row for row in rows if row.external_id is not None}
    if {row.conversation_id for row in rows if row.conversation_id} - batch.touched:
        raise threads.Collision


def _has_conversation(batch: Batch, external_id: str) -> bool:
    known = batch.stored.get(external_id)
    return known is not None and known.conversation_id is not None


def _openings(batch: Batch) -> list[threads.Opening]:
    """What citizens wrote, earliest first, each with the thread it belongs to."""
    openings: list[threads.Opening] = []
    for item in batch.items.values():
        contact_id = batch.contact_of(item)
        if item.is_created and not item.is_own and contact_id is not None:
            openings.append(
                threads.Opening(
                    external_id=item.external_id,
                    thread_key=item.root_id or item.external_id,
                    contact_id=contact_id,
                    server_host=item.server_host,
                    channel=item.channel,
                    written_at=item.occurred_at,
                    language=item.language,
                    reference=rules.reference_of(item.root_id or "") if item.channel is ChannelKind.FORM else None,
                )
            )
    return sorted(openings, key=lambda opening: (opening.written_at, opening.external_id))


async def _insert(uow: UnitOfWork, batch: Batch, conversations: Mapping[str, UUID]) -> list[MessageReceived]:
    """Insert what is new, in one statement. Somebody else's insert of the same item at this moment is a Collision."""
    new = [item for item in batch.items.values() if item.external_id not in batch.stored]
    batch.deleted |= {item.external_id for item in new if item.deleted_at is not None}
    rows = [_row(uow, batch, item, conversations.get(item.external_id)) for item in new]
    if not rows:
        return []
    if await insert_new(uow, Message, rows) != len(rows):
        raise threads.Collision
    return [
        MessageReceived(conversation_id=row["conversation_id"], message_id=row["id"])
        for row in rows
        if row["conversation_id"] is not None
    ]


def _row(uow: UnitOfWork, batch: Batch, item: Item, conversation_id: UUID | None) -> dict[str, Any]:
    own = item.is_own
    return {
        "tenant_id": uow.tenant_id,
        "id": identifiers.new(),
        "created_at": uow.now,
        "version": 1,
        "conversation_id": conversation_id,
        "social_account_id": batch.account_of(item),
        "network": batch.network,
        "server_host": item.server_host,
        "external_id": item.external_id,
        **_facts(item),
        "direction": Direction.OUTBOUND if own else Direction.INBOUND,
        "visibility": Visibility.PUBLIC if item.channel is ChannelKind.PUBLIC else Visibility.DIRECT,
        "author_kind": AuthorKind.EXTERNAL if own else AuthorKind.CITIZEN,
        "contact_id": None if own else batch.contact_of(item),
        "published_at": item.occurred_at if own and item.is_created else None,
        "outbound_kind": _outbound_kind(item) if own else None,
        "purpose": ReplyPurpose.ANSWER if own and _outbound_kind(item) is OutboundKind.REPLY else None,
    }


def _facts(item: Item) -> dict[str, Any]:
    return {
        "version_tag": item.version,
        "root_external_id": item.root_id,
        "parent_external_id": item.parent_id,
        "reply_target": item.reply_target,
        "language": item.language,
        "text": item.text,
        "text_at": item.text_at,
        "occurred_at": item.occurred_at,
        "permalink": item.permalink,
        "first_text_at": item.first[0] if item.first else None,
        "first_version_tag": item.first[1] if item.first else None,
        "edited_at": item.edited_at,
        "deleted_at": item.deleted_at,
    }


def _outbound_kind(item: Item) -> OutboundKind | None:
    """How an item of our own counts: a continuation of our own thread counts once, with its beginning."""
    if item.is_repost:
        return OutboundKind.RESHARE
    if item.parent_id is None:
        return OutboundKind.STARTER
    return None if item.parent_is_own else OutboundKind.REPLY


def _change(batch: Batch, conversations: Mapping[str, UUID]) -> list[MessageChanged]:
    """Merge what came in with the rows that exist; give an event for each whose words changed."""
    changed: list[MessageChanged] = []
    for external_id, row in batch.stored.items():
        before, item = _known(row, batch), batch.items[external_id]
        after = merge(before, item)
        if after.deleted_at is not None:
            batch.deleted.add(external_id)
        if row.delivery_id is None:
            row.social_account_id = _account(row, batch, after)
        if row.conversation_id is None and external_id in conversations:
            row.conversation_id = conversations[external_id]
            row.contact_id = batch.contact_of(after)
            row.visibility = Visibility.PUBLIC if after.channel is ChannelKind.PUBLIC else Visibility.DIRECT
        if after == before:
            continue
        for name, value in _facts(after).items():
            setattr(row, name, value)
        if after.is_own and row.delivery_id is None:
            _make_own(row, after)
        if row.conversation_id is not None and (before.text, before.deleted_at) != (after.text, after.deleted_at):
            changed.append(
                MessageChanged(
                    conversation_id=row.conversation_id, message_id=row.id, deleted=after.deleted_at is not None
                )
            )
    return changed


def _account(row: Message, batch: Batch, item: Item) -> UUID:
    """Our own items belong to the account that wrote them; a citizen's to the preferred one of those that saw it."""
    if item.is_own or row.direction is Direction.OUTBOUND:
        writer = item.writer.external_id if item.writer else ""
        return batch.own_accounts.get(writer, row.social_account_id)
    return min((row.social_account_id, batch.account_id), key=lambda each: batch.preferred[each])


def _make_own(row: Message, item: Item) -> None:
    row.direction, row.author_kind, row.outbound_kind = Direction.OUTBOUND, AuthorKind.EXTERNAL, _outbound_kind(item)
    row.published_at = item.occurred_at
    row.purpose = ReplyPurpose.ANSWER if row.outbound_kind is OutboundKind.REPLY else None


def _known(row: Message, batch: Batch) -> Item:
    """The stored row as the item it was made from, so that new facts merge with it."""
    own = row.direction is Direction.OUTBOUND
    incoming = batch.items[row.external_id or ""]
    created = own or row.contact_id is not None
    return Item(
        external_id=row.external_id or "",
        server_host=row.server_host,
        text_at=row.text_at,
        text=row.text,
        occurred_at=row.occurred_at,
        version=row.version_tag or "",
        channel=ChannelKind.PUBLIC if row.visibility is Visibility.PUBLIC else _private(incoming.channel),
        writer=(incoming.writer or Writer("")) if created else None,
        is_own=own,
        is_repost=row.outbound_kind is OutboundKind.RESHARE,
        root_id=row.root_external_id,
        parent_id=row.parent_external_id,
        parent_is_own=own and row.parent_external_id is not None and row.outbound_kind is None,
        language=row.language,
        permalink=row.permalink,
        reply_target=row.reply_target,
        first=_first(row),
        deleted_at=row.deleted_at,
    )


def _first(row: Message) -> tuple[datetime, str] | None:
    if row.first_text_at is None or row.first_version_tag is None:
        return None
    return row.first_text_at, row.first_version_tag


def _private(channel: ChannelKind) -> ChannelKind:
    """The channel of a stored message that is not public; a deletion does not say which one it was."""
    return ChannelKind.DIRECT if channel is ChannelKind.PUBLIC else channel
