# SPDX-License-Identifier: EUPL-1.2
"""What we wrote in the network's own app belongs to the conversation that it answers, whichever comes in first."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from services.conversations.commands import threads
from services.conversations.models import Message
from services.conversations.rules import Direction
from services.conversations.rules.items import Item
from services.kernel.access import Permission
from services.kernel.audit import AuditHead
from services.kernel.database import UnitOfWork
from services.kernel.isolation import ACTOR, owned
from services.social_accounts.rules import Network, OutboundKind

CHAIN_LENGTH_MAX = 50
"""How many items of ours, each under the one before, are followed at once."""


async def adopt(uow: UnitOfWork, network: Network, items: Mapping[str, Item], held: Collection[UUID]) -> set[UUID]:
    """Give our own replies their conversations: those of the batch, and those that waited for an item of the batch.

    What we wrote under our own reply goes with it. `held` are the conversations whose locks the batch has. Returns
    those that grew.
    """
    uow.actor.require(Permission.BELFRY_WORK)
    grown: set[UUID] = set()
    above = _above(items)
    for _ in range(CHAIN_LENGTH_MAX):
        found = await uow.rows(_orphans(network, above).with_for_update(of=Message))
        if not found:
            break
        if {each.conversation_id for each in found} - set(held):
            raise threads.Collision
        for orphan, conversation_id in _pairs(found):
            orphan.conversation_id = conversation_id
            grown.add(conversation_id)
        above = {orphan.external_id for orphan, _ in _pairs(found) if orphan.external_id is not None}
    return grown


async def check_adoptions(uow: UnitOfWork, network: Network, items: Mapping[str, Item]) -> None:
    """Raise Collision when somebody else brought the other half of a pair meanwhile. Call it last.

    Two batches that run at once, one with a message and one with our reply to it, do not see each other's rows. The
    lock of the audit head lets them pass one by one: whoever comes second sees what the first has committed.
    """
    uow.actor.require(Permission.BELFRY_WORK)
    if not items:
        return
    await uow.scalars(owned(AuditHead).with_for_update())
    if await uow.rows(_orphans(network, _above(items)).limit(1)):
        raise threads.Collision


def _above(items: Mapping[str, Item]) -> set[str]:
    """The items under which something of ours may hang."""
    return {*items, *parents(items.values())}


def parents(items: Iterable[Item]) -> set[str]:
    """What our own items of a batch answer."""
    return {item.parent_id for item in items if item.is_own and item.parent_id is not None}


def _orphans(network: Network, above: Iterable[str]) -> Select[Message, UUID | None]:
    """Our own items without a conversation whose upper neighbor has one: (the message, that conversation_id)."""
    upper = aliased(Message)
    return (
        select(Message, col(upper.conversation_id))
        .join(
            upper,
            and_(
                col(upper.tenant_id) == col(Message.tenant_id),
                col(upper.network) == col(Message.network),
                col(upper.server_host) == col(Message.server_host),
                col(upper.external_id) == col(Message.parent_external_id),
            ),
        )
        .where(
            col(Message.tenant_id) == ACTOR.tenant,
            col(upper.tenant_id) == ACTOR.tenant,
            col(Message.network) == network,
            col(Message.conversation_id).is_(None),
            col(Message.direction) == Direction.OUTBOUND,
            or_(col(Message.outbound_kind) == OutboundKind.REPLY, col(Message.outbound_kind).is_(None)),
            col(Message.parent_external_id).in_(sorted(above)),
            col(upper.conversation_id).is_not(None),
        )
        .order_by(col(Message.id))
    )


def _pairs(rows: Sequence[Row[Any]]) -> list[tuple[Message, UUID]]:
    return [(row.Message, row.conversation_id) for row in rows]
