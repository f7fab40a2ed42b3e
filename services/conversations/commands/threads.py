# SPDX-License-Identifier: EUPL-1.2
"""Which conversation a citizen's item belongs to, and what a conversation looks like after something came in."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, tuple_
from sqlmodel import col

from services.conversations import rules
from services.conversations.commands import routing, waits
from services.conversations.events import ConversationOpened, ConversationReopened, ConversationStateChanged
from services.conversations.models import Category, Contact, Conversation, Message
from services.conversations.rules import AuthorKind, ChannelKind, ConversationState, Direction, Trigger
from services.kernel import identifiers
from services.kernel.access import Permission
from services.kernel.batches import insert_new
from services.kernel.database import UnitOfWork
from services.kernel.errors import ServiceUnavailable
from services.kernel.isolation import owned
from services.social_accounts.rules import Network
from services.tenancy import queries as tenancy

REOPEN_DAYS = 14
NO_RESPONSE_DAYS = 14


class Collision(ServiceUnavailable):
    """Another worker stored the same item at this very moment. Try the batch again: then it is known."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A citizen's item that needs a conversation: the running one of its thread and writer, or a new one."""

    external_id: str
    thread_key: str
    contact_id: UUID
    server_host: str
    channel: ChannelKind
    written_at: datetime
    language: str | None
    reference: str | None

    @property
    def key(self) -> tuple[str, UUID]:
        return self.thread_key, self.contact_id


async def lock(uow: UnitOfWork, ids: Iterable[UUID], openings: Iterable[Opening]) -> list[Conversation]:
    """Lock every conversation that a batch may touch, in one order, before any of its messages."""
    uow.actor.require(Permission.BELFRY_WORK)
    found = {opening.key for opening in openings}
    return await uow.scalars(
        owned(
            Conversation,
            or_(
                col(Conversation.id).in_(sorted(set(ids))),
                tuple_(col(Conversation.thread_key), col(Conversation.contact_id)).in_(sorted(found)),
            ),
        )
        .order_by(col(Conversation.id))
        .with_for_update()
    )


async def open_missing(
    uow: UnitOfWork, account_id: UUID, network: Network, openings: Sequence[Opening], locked: Iterable[Conversation]
) -> dict[str, UUID]:
    """A conversation for every opening, by external id. Openings come earliest first."""
    uow.actor.require(Permission.BELFRY_WORK)
    latest: dict[tuple[str, UUID], Conversation] = {}
    for row in sorted(locked, key=lambda each: each.episode):
        latest[row.thread_key, row.contact_id] = row
    days = await _reopen_days(uow, latest.values())
    blocked = await _blocked(uow, [row.contact_id for row in latest.values()])
    desk = await tenancy.coordination_desk(uow) if openings else None
    opened: list[Conversation] = []
    found: dict[str, UUID] = {}
    for opening in openings:
        current = latest.get(opening.key)
        if desk is not None and (current is None or not _goes_on(current, opening, days, blocked)):
            current = _new(uow, account_id, network, opening, current, desk.id)
            latest[opening.key] = current
            opened.append(current)
        if current is not None:
            found[opening.external_id] = current.id
    if await insert_new(uow, Conversation, [_columns(row) for row in opened]) != len(opened):
        raise Collision
    for row in opened:
        uow.emit(ConversationOpened(conversation_id=row.id, social_account_id=account_id))
    return found


async def refresh(
    uow: UnitOfWork, conversation_ids: Iterable[UUID], *, written: Iterable[UUID], preferred: Mapping[UUID, Any]
) -> None:
    """Bring conversations up to date with their messages: instants, account, route, waits and state."""
    uow.actor.require(Permission.BELFRY_WORK)
    ids = sorted(set(conversation_ids))
    if not ids:
        return
    new_words = set(written)
    rows = await uow.scalars(owned(Conversation, col(Conversation.id).in_(ids)).order_by(col(Conversation.id)))
    messages: dict[UUID, list[Message]] = defaultdict(list)
    for message in await uow.scalars(
        owned(Message, col(Message.conversation_id).in_(ids)).order_by(col(Message.occurred_at), col(Message.id))
    ):
        if message.conversation_id is not None:
            messages[message.conversation_id].append(message)
    for row in rows:
        _summarize(row, messages[row.id], preferred)
    await routing.route_untouched(uow, [(row, messages[row.id]) for row in rows])
    for row in rows:
        if row.id in new_words:
            _citizen_wrote(uow, row, messages[row.id])
    await waits.recompute(uow, ids, messages)
    days = await _no_response_days(uow, rows)
    for row in rows:
        row.next_contact_due_at = rules.next_contact_due_at(
            row.state, last_activity_at=row.last_message_at, no_response_days=days.get(row.id, NO_RESPONSE_DAYS)
        )


def _summarize(row: Conversation, messages: Sequence[Message], preferred: Mapping[UUID, Any]) -> None:
    """What a conversation shows of its messages: instants, language, and the account to which the citizen wrote."""
    citizens = [each for each in messages if each.direction is Direction.INBOUND]
    if citizens:
        row.opened_at = citizens[0].occurred_at
        row.language = next((each.language for each in citizens if each.language), None)
        row.social_account_id = min((each.social_account_id for each in citizens), key=lambda each: preferred[each])
    row.last_message_at = max((each.occurred_at for each in messages), default=row.last_message_at)


def _citizen_wrote(uow: UnitOfWork, row: Conversation, messages: Sequence[Message]) -> None:
    newest = [each for each in messages if each.author_kind is AuthorKind.CITIZEN]
    if Trigger.CITIZEN_WRITES not in rules.TRANSITIONS[row.state] or not newest:
        return
    if row.closed_at is not None and newest[-1].occurred_at < row.closed_at:
        return  # it was written before the closing and only came in late
    before, row.state = row.state, rules.after(row.state, Trigger.CITIZEN_WRITES)
    # Together with the state: the next read sends both, and no conversation that is open may be without an instant.
    row.next_contact_due_at = rules.next_contact_due_at(
        row.state, last_activity_at=row.last_message_at, no_response_days=NO_RESPONSE_DAYS
    )
    if before is ConversationState.CLOSED:
        row.outcome, row.closed_at = None, None
        uow.emit(ConversationReopened(conversation_id=row.id))
    uow.emit(ConversationStateChanged(conversation_id=row.id, before=before, after=row.state))


def _goes_on(current: Conversation, opening: Opening, days: Mapping[UUID, int], blocked: set[UUID]) -> bool:
    if current.state is not ConversationState.CLOSED or current.closed_at is None:
        return True
    return opening.written_at < current.closed_at or rules.reopens(
        None,
        blocked=current.contact_id in blocked,
        closed_at=current.closed_at,
        written_at=opening.written_at,
        window_days=days.get(current.category_id, REOPEN_DAYS) if current.category_id else REOPEN_DAYS,
    )


async def _no_response_days(uow: UnitOfWork, rows: Iterable[Conversation]) -> dict[UUID, int]:
    """How long a conversation waits for its citizen, where its topic says so."""
    asked = {row.id: row.category_id for row in rows if row.state is ConversationState.WAITING_ON_CITIZEN}
    ids = sorted({each for each in asked.values() if each is not None})
    categories = await uow.scalars(owned(Category, col(Category.id).in_(ids))) if ids else []
    days = {each.id: each.no_response_days for each in categories}
    return {row_id: days[category_id] for row_id, category_id in asked.items() if category_id is not None}


async def _reopen_days(uow: UnitOfWork, rows: Iterable[Conversation]) -> dict[UUID, int]:
    ids = {row.category_id for row in rows if row.state is ConversationState.CLOSED and row.category_id is not None}
    found = await uow.scalars(owned(Category, col(Category.id).in_(sorted(ids)))) if ids else []
    return {each.id: each.reopen_days for each in found}


async def _blocked(uow: UnitOfWork, contact_ids: Sequence[UUID]) -> set[UUID]:
    if not contact_ids:
        return set()
    statement = owned(Contact, col(Contact.id).in_(sorted(set(contact_ids))), col(Contact.blocked))
    return {each.id for each in await uow.scalars(statement)}


def _new(
    uow: UnitOfWork, account_id: UUID, network: Network, opening: Opening, previous: Conversation | None, desk_id: UUID
) -> Conversation:
    return Conversation(
        tenant_id=uow.tenant_id,
        id=identifiers.new(),
        created_at=uow.now,
        network=network,
        server_host=opening.server_host,
        thread_key=opening.thread_key,
        episode=previous.episode + 1 if previous else 1,
        previous_id=previous.id if previous else None,
        social_account_id=account_id,
        contact_id=opening.contact_id,
        channel_kind=opening.channel,
        reference=opening.reference,
        language=opening.language,
        department_id=desk_id,
        opened_at=opening.written_at,
        last_message_at=opening.written_at,
        next_contact_due_at=rules.next_contact_due_at(
            ConversationState.NEW, last_activity_at=opening.written_at, no_response_days=NO_RESPONSE_DAYS
        ),
    )


def _columns(row: Conversation) -> dict[str, Any]:
    """Every column but the one that the database computes."""
    return row.model_dump(exclude={"due_order"})
