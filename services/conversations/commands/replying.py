# SPDX-License-Identifier: EUPL-1.2
"""Answering: the gate under the lock of the conversation, and what its delivery's outcome means for the citizen."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete
from sqlmodel import col

from services.conversations import queries, rules
from services.conversations.commands import waits
from services.conversations.commands.holding import hold_of
from services.conversations.events import ConversationStateChanged, ReplyAccepted, ReplyFailed, ReplyPublished
from services.conversations.models import Conversation, Message, Reply, WaitingSegment
from services.conversations.rules import (
    AuthorKind,
    ChannelKind,
    ConversationState,
    Direction,
    ReplyPurpose,
    Trigger,
    Visibility,
)
from services.conversations.rules.gate import LEASE, UNCONFIRMED_LEASE_MAX
from services.deliveries import commands as deliveries
from services.deliveries import queries as delivery_queries
from services.deliveries.rules import DeliveryState, Origin, Resolution
from services.kernel import identifiers, jobs
from services.kernel.access import Permission
from services.kernel.database import UnitOfWork
from services.kernel.errors import InvalidState, NotFound
from services.kernel.isolation import owned
from services.social_accounts.rules import OutboundKind

NO_RESPONSE = "conversation.no_response"


async def reply(
    uow: UnitOfWork,
    *,
    conversation_id: UUID,
    text: str,
    purpose: ReplyPurpose,
    last_seen_message_id: UUID | None,
    fence: int | None,
    follow_up: bool = False,
) -> Reply:
    """Accept one answer to the citizen's question, or say exactly why not. It is due at once."""
    uow.actor.require(Permission.CONVERSATION_REPLY)
    row = await queries.conversation_for_update(uow, conversation_id)
    text = rules.check_text(text)
    attempt = rules.Attempt(uow.actor.membership_id, fence, last_seen_message_id, purpose, follow_up)
    segment, newest = await _pass_gate(uow, row, attempt, text)
    reply_id = identifiers.new()
    delivery = await deliveries.schedule(
        uow,
        origin=Origin.REPLY,
        origin_id=reply_id,
        account_id=row.social_account_id,
        outbound_kind=OutboundKind.REPLY,
        text=text,
        reply_to=newest.reply_target,
        private=row.channel_kind is not ChannelKind.PUBLIC,
        language=row.language,
    )
    message = _message(uow, row, newest, text, purpose, delivery.id)
    accepted = Reply(
        tenant_id=uow.tenant_id,
        id=reply_id,
        conversation_id=row.id,
        message_id=message.id,
        delivery_id=delivery.id,
        segment_id=segment.id if segment else None,
        purpose=purpose,
        author_id=uow.actor.id,
        follow_up=follow_up,
    )
    uow.add(message, accepted)
    _keep_while_unknown(uow, row)
    uow.emit(ReplyAccepted(conversation_id=row.id, reply_id=reply_id, delivery_id=delivery.id, purpose=purpose))
    return accepted


async def _pass_gate(
    uow: UnitOfWork, row: Conversation, attempt: rules.Attempt, text: str
) -> tuple[WaitingSegment | None, Message]:
    """Check every condition under the lock of the row. Gives the wait that it ends and the message it answers."""
    # Whoever comes too late learns it before anything else is read: the others wait for this lock.
    on_its_way = await queries.has_reply_on_its_way(uow, row.id)
    rules.check_turn(attempt, hold_of(row), has_reply_on_its_way=on_its_way, now=uow.now)
    segment = await queries.open_segment(uow, row.id)
    newest = await queries.newest_citizen_message(uow, row.id)
    category = await queries.category(uow, row.category_id) if row.category_id else None
    standing = rules.Standing(
        state=row.state,
        hold=hold_of(row),
        collaborators=await queries.collaborators(uow, row.id),
        newest_citizen_message_id=newest.id if newest else None,
        has_reply_on_its_way=on_its_way,
        has_open_segment=segment is not None,
        formal=category.formal if category else False,
    )
    rules.check_reply(attempt, standing, now=uow.now)
    if newest is None or newest.reply_target is None:
        raise InvalidState("There is no message of the citizen to answer.")
    if row.channel_kind is ChannelKind.PUBLIC:
        private_texts = await queries.private_texts(uow, row.contact_id)
        if rules.quotes_private(text, private_texts):
            raise rules.PrivateWordsInPublic(field=("text",))
    return segment, newest


def _keep_while_unknown(uow: UnitOfWork, row: Conversation) -> None:
    """Nobody else may take it while the outcome is open; the outcome sets the usual lease again."""
    if row.holder_id == uow.actor.membership_id and row.lease_until is not None:
        row.lease_until = max(row.lease_until, uow.now + UNCONFIRMED_LEASE_MAX)
    row.last_message_at = max(row.last_message_at, uow.now)
    if row.state is not ConversationState.WAITING_ON_CITIZEN:  # there the citizen's days go on
        row.next_contact_due_at = rules.next_contact_due_at(row.state, last_activity_at=uow.now, no_response_days=0)


async def resolve_delivery(uow: UnitOfWork, *, delivery_id: UUID, resolution: Resolution, link: str | None) -> UUID:
    """Decide what came of a reply that Belfry could not find out."""
    uow.actor.require(Permission.DELIVERY_RESOLVE)
    found = await queries.reply_of_delivery(uow, delivery_id)
    if found is None:
        raise NotFound(field=("deliveryId",))
    try:
        row = await queries.conversation_for_update(uow, found.conversation_id)
    except NotFound as error:
        raise NotFound(field=("deliveryId",)) from error
    await queries.check_reach(uow, Permission.DELIVERY_RESOLVE, row)
    await deliveries.resolve(uow, delivery_id=delivery_id, resolution=resolution, link=link)
    return delivery_id


async def record_published(uow: UnitOfWork, *, delivery_id: UUID) -> None:
    """A reply is on its network: its instant is the network's, the wait ends, and a question puts the ball back."""
    uow.actor.require(Permission.BELFRY_WORK)
    found = await queries.reply_of_delivery(uow, delivery_id)
    if found is None:
        return
    row = await queries.conversation_for_update(uow, found.conversation_id)
    delivery = await delivery_queries.delivery(uow, delivery_id)
    if delivery.state is not DeliveryState.PUBLISHED or delivery.published_at is None:
        return
    message = await uow.one(owned(Message, col(Message.id) == found.message_id))
    await _take_in_deletion(uow, message, delivery.remote_id)
    message.external_id, message.version_tag = delivery.remote_id, delivery.remote_version
    message.occurred_at = message.published_at = delivery.published_at
    message.permalink, message.outbound_kind = delivery.permalink, OutboundKind.REPLY
    await waits.recompute(uow, [row.id], {row.id: await queries.messages_of(uow, row.id)})
    _usual_lease(uow, row, found)
    await _ask_back(uow, row, found, delivery.published_at)
    uow.emit(ReplyPublished(conversation_id=row.id, reply_id=found.id, message_id=message.id, purpose=found.purpose))


async def record_failed(uow: UnitOfWork, *, delivery_id: UUID, error: str) -> None:
    """A reply will not appear by itself: whoever wrote it still holds the conversation and can try again."""
    uow.actor.require(Permission.BELFRY_WORK)
    found = await queries.reply_of_delivery(uow, delivery_id)
    if found is None:
        return
    row = await queries.conversation_for_update(uow, found.conversation_id)
    _usual_lease(uow, row, found)
    uow.emit(ReplyFailed(conversation_id=row.id, reply_id=found.id, error=error))


async def record_counts(uow: UnitOfWork, *, counts: dict[str, dict[str, int]], account_id: UUID) -> None:
    """Keep what a network counts of our own messages: likes, reposts, replies and quotes by external id."""
    uow.actor.require(Permission.BELFRY_WORK)
    rows = await uow.scalars(
        owned(
            Message,
            col(Message.social_account_id) == account_id,
            col(Message.external_id).in_(sorted(counts)),
            col(Message.direction) == Direction.OUTBOUND,
        )
        .order_by(col(Message.id))
        .with_for_update()
    )
    for row in rows:
        values = counts[row.external_id or ""]
        row.like_count, row.repost_count = values.get("like"), values.get("repost")
        row.reply_count, row.quote_count = values.get("reply"), values.get("quote")
        row.counted_at = uow.now


def _message(
    uow: UnitOfWork, row: Conversation, answered: Message, text: str, purpose: ReplyPurpose, delivery_id: UUID
) -> Message:
    return Message(
        tenant_id=uow.tenant_id,
        conversation_id=row.id,
        social_account_id=row.social_account_id,
        network=row.network,
        server_host=row.server_host,
        root_external_id=row.thread_key,
        parent_external_id=answered.external_id,
        direction=Direction.OUTBOUND,
        visibility=Visibility.PUBLIC if row.channel_kind is ChannelKind.PUBLIC else Visibility.DIRECT,
        author_kind=AuthorKind.COLLEAGUE,
        author_id=uow.actor.membership_id,
        language=row.language,
        text=text,
        text_at=uow.now,
        occurred_at=uow.now,
        purpose=purpose,
        delivery_id=delivery_id,
    )


async def _take_in_deletion(uow: UnitOfWork, message: Message, remote_id: str | None) -> None:
    """Its deletion may have come in before this: then a placeholder has its id, which is the message's from now on."""
    placeholder = await uow.one_or_none(
        owned(
            Message,
            col(Message.network) == message.network,
            col(Message.server_host) == message.server_host,
            col(Message.external_id) == remote_id,
            col(Message.id) != message.id,
        ).with_for_update()
    )
    if placeholder is None:
        return
    message.text, message.deleted_at = "", placeholder.deleted_at
    await uow.write(delete(Message).where(col(Message.tenant_id) == uow.tenant_id, col(Message.id) == placeholder.id))


def _usual_lease(uow: UnitOfWork, row: Conversation, found: Reply) -> None:
    if row.holder_id == found.author_id and row.lease_until is not None:
        row.lease_until = max(uow.now + LEASE, row.lease_until - UNCONFIRMED_LEASE_MAX)


async def _ask_back(uow: UnitOfWork, row: Conversation, found: Reply, published_at: datetime) -> None:
    newest = await queries.newest_citizen_message(uow, row.id)
    answered_already = newest is not None and newest.occurred_at > published_at
    if found.purpose is not ReplyPurpose.CLARIFYING_QUESTION or answered_already:
        return
    if Trigger.CLARIFYING_QUESTION_PUBLISHED not in rules.TRANSITIONS[row.state]:
        return
    before, row.state = row.state, rules.after(row.state, Trigger.CLARIFYING_QUESTION_PUBLISHED)
    category = await queries.category(uow, row.category_id) if row.category_id else None
    days = category.no_response_days if category else 14
    row.next_contact_due_at = rules.next_contact_due_at(row.state, last_activity_at=uow.now, no_response_days=days)
    await jobs.cancel(uow, NO_RESPONSE, row.id)  # an earlier question's date must not close this one's wait
    await jobs.schedule(uow, NO_RESPONSE, row.id, due_at=uow.now + timedelta(days=days))
    uow.emit(ConversationStateChanged(conversation_id=row.id, before=before, after=row.state))
