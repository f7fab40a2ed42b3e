# SPDX-License-Identifier: EUPL-1.2
"""From raw events to items: parse what waits, leave out what we sent ourselves, and hand the rest to `ingest`."""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.conversations.commands.adopting import check_adoptions
from services.conversations.commands.ingest import Batch, take_in
from services.conversations.rules import ChannelKind
from services.conversations.rules.items import UNSEEN, Item, Writer, merged
from services.deliveries import commands as delivery_commands
from services.deliveries import queries as deliveries
from services.deliveries.rules import DeliveryState
from services.kernel.access import Permission
from services.kernel.database import UnitOfWork
from services.social_accounts import commands as social_accounts
from services.social_accounts import queries as accounts
from services.social_accounts.networks import connector_for
from services.social_accounts.networks.errors import ContractBroken
from services.social_accounts.networks.interface import Inbound, InboundKind
from services.social_accounts.networks.interface import RawEvent as Received
from services.social_accounts.rules import Network, plausible

BATCH_SIZE_MAX = 200
ITEM_KINDS = frozenset({InboundKind.MESSAGE, InboundKind.EDIT, InboundKind.DELETE, InboundKind.ECHO})


async def drain(uow: UnitOfWork, *, account_id: UUID) -> bool:
    """Take in what waits for one account. Returns whether more may be waiting."""
    uow.actor.require(Permission.BELFRY_WORK)
    account = await accounts.account(uow, account_id)
    waiting = await accounts.waiting_raw_events(uow, account_id, limit=BATCH_SIZE_MAX)
    if not waiting:
        return False
    facts, unreadable = _parse(account.network, [(each.id, _received(each)) for each in waiting])
    own = await accounts.own_remote_ids(uow, account.network)
    ours = {account_id, *own.values()}
    facts, echoes = await _without_echoes(uow, ours, [fact for fact in facts if fact.kind in ITEM_KINDS])
    batch = Batch(account_id, account.network, merged(_item(fact, own) for fact in facts), own_accounts=own)
    await take_in(uow, batch)
    for delivery_id, deleted in sorted(echoes.items()):
        await delivery_commands.seen(uow, delivery_id=delivery_id, deleted=deleted)
    done = {each.id for each in waiting} - unreadable.keys()
    await social_accounts.mark_read(uow, account_id=account_id, done=done, unreadable=unreadable)
    await social_accounts.erase_bodies(uow, external_ids=batch.deleted)
    await check_adoptions(uow, batch.network, batch.items)
    return len(waiting) == BATCH_SIZE_MAX


def _received(row: Any) -> Received:
    return Received(str(row.social_account_id), row.kind, row.external_id, row.version, row.occurred_at, row.body)


def _parse(network: Network, waiting: Sequence[tuple[UUID, Received]]) -> tuple[list[Inbound], dict[UUID, str]]:
    connector = connector_for(network)
    facts: list[Inbound] = []
    unreadable: dict[UUID, str] = {}
    for row_id, event in waiting:
        if not event.body:  # erased because its author deleted it
            continue
        try:
            if connector is None:
                raise ContractBroken(network, "NO_CONNECTOR")
            facts.extend(connector.parse(event))
        except ContractBroken as error:
            unreadable[row_id] = error.code
    return facts, unreadable


async def _without_echoes(
    uow: UnitOfWork, ours: Iterable[UUID], facts: list[Inbound]
) -> tuple[list[Inbound], dict[UUID, bool]]:
    """Leave out what any of our accounts sent: its row exists since it was accepted. Its deletion concerns us, though.

    An echo also proves that a delivery arrived whose outcome is unknown: (the rest, whether deleted by delivery).
    """
    echoed = {
        each.remote_id: each
        for account_id in sorted(ours)
        for each in await deliveries.by_remote_ids(uow, account_id, _ids(facts))
    }
    concerning: list[Inbound] = []
    echoes: dict[UUID, bool] = {}
    for fact in facts:
        delivery, deleted = echoed.get(fact.remote_id), fact.kind is InboundKind.DELETE
        if delivery is None or (deleted and delivery.state is DeliveryState.PUBLISHED):
            concerning.append(fact)
        else:
            echoes[delivery.id] = deleted or echoes.get(delivery.id, False)
    return concerning, echoes


def _ids(facts: Iterable[Inbound]) -> list[str]:
    return [fact.remote_id for fact in facts]


def _first(fact: Inbound) -> tuple[datetime, str] | None:
    if fact.kind is InboundKind.DELETE:
        return None
    return UNSEEN if fact.kind is InboundKind.EDIT else (fact.text_at, fact.version)


def _item(fact: Inbound, own: Container[str]) -> Item:
    author = fact.author
    writer = (
        Writer(author.remote_id, author.handle, author.display_name, author.email, fact.text_at) if author else None
    )
    return Item(
        external_id=fact.remote_id,
        server_host=fact.server_host,
        text_at=fact.text_at,
        text=fact.text or "",
        occurred_at=plausible(fact.occurred_at),
        version=fact.version,
        channel=ChannelKind(fact.channel),
        writer=writer,
        is_own=fact.kind is InboundKind.ECHO or (author is not None and author.remote_id in own),
        is_repost=fact.is_repost,
        root_id=fact.root_id,
        parent_id=fact.parent_id,
        parent_is_own=fact.parent_is_own,
        language=fact.languages[0] if fact.languages else None,
        permalink=fact.permalink,
        reply_target=fact.reply_target.to_json() if fact.reply_target else None,
        first=_first(fact),
        deleted_at=fact.text_at if fact.kind is InboundKind.DELETE else None,
    )
