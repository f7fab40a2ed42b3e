# SPDX-License-Identifier: EUPL-1.2
"""What conversations do when something happened elsewhere: events in, work due, figures from the networks."""

import contextlib
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from services.conversations import commands, queries
from services.deliveries import queries as deliveries
from services.deliveries.events import DeliveryFailed, DeliveryPublished
from services.kernel import inbox, jobs
from services.kernel.access import Actor
from services.kernel.errors import DomainError, InvalidState, NotFound
from services.kernel.events import Occurrence
from services.kernel.jobs import Ticket
from services.kernel.runtime import Runtime
from services.social_accounts import queries as accounts
from services.social_accounts.networks import connector_for
from services.social_accounts.networks.errors import NetworkError
from services.social_accounts.networks.interface import Reach, Sample
from services.social_accounts.rules import Connection

BATCHES_PER_JOB = 10
MEASURE_EVERY_POLLS = 4
MEASURE_DAYS = 30
MEASURE_LIMIT = 100


async def drain(runtime: Runtime, ticket: Ticket) -> None:
    """Take in what an account received, batch by batch, each in its own transaction."""
    actor = Actor.system(ticket.tenant_id, ticket.id)
    for _ in range(BATCHES_PER_JOB):
        async with runtime.database.unit_of_work(actor) as uow:
            if not await commands.drain(uow, account_id=ticket.subject_id):
                await jobs.finish(uow, ticket)
                return
    async with runtime.database.unit_of_work(actor) as uow:
        await jobs.postpone(uow, ticket, due_at=uow.now)


async def on_delivery_published(runtime: Runtime, occurrence: Occurrence[DeliveryPublished]) -> None:
    """A reply is on its network."""
    actor = Actor.system(occurrence.tenant_id, occurrence.id)
    async with runtime.database.unit_of_work(actor) as uow:
        if await inbox.first_time(uow, occurrence.id, "conversations.on_delivery_published"):
            await commands.record_published(uow, delivery_id=occurrence.event.delivery_id)


async def on_delivery_failed(runtime: Runtime, occurrence: Occurrence[DeliveryFailed]) -> None:
    """A reply will not appear by itself."""
    actor = Actor.system(occurrence.tenant_id, occurrence.id)
    async with runtime.database.unit_of_work(actor) as uow:
        if await inbox.first_time(uow, occurrence.id, "conversations.on_delivery_failed"):
            event = occurrence.event
            await commands.record_failed(uow, delivery_id=event.delivery_id, error=event.error)


async def no_response(runtime: Runtime, ticket: Ticket) -> None:
    """Close a conversation in which the citizen never answered our question. One that moved on stays as it is."""
    actor = Actor.system(ticket.tenant_id, ticket.id)
    async with runtime.database.unit_of_work(actor) as uow:
        with contextlib.suppress(InvalidState):
            await commands.close_without_response(uow, conversation_id=ticket.subject_id)
        await jobs.finish(uow, ticket)


async def measure(runtime: Runtime, ticket: Ticket) -> None:
    """Ask an account's network for the figures of what it published lately."""
    actor = Actor.system(ticket.tenant_id, ticket.id)
    async with runtime.database.snapshot(actor) as snapshot:
        row = await accounts.account(snapshot, ticket.subject_id)
        account = await accounts.network_account(snapshot, runtime.vault, row.id)
        since = snapshot.now - timedelta(days=MEASURE_DAYS)
        remote_ids = await deliveries.to_measure(snapshot, row.id, since=since, limit=MEASURE_LIMIT)
    connector = connector_for(row.network)
    samples: list[Sample] = []
    if connector is not None and remote_ids and row.connection is Connection.CONNECTED:
        try:
            samples = await connector.metrics(account, remote_ids, Reach(runtime.outbound, runtime.clock))
        except NetworkError:
            samples = []  # the next poll renews a token or revokes the account; figures can wait for it
    async with runtime.database.unit_of_work(actor) as uow:
        await commands.record_counts(uow, counts=_counts(samples), account_id=row.id)
        rhythm = timedelta(seconds=runtime.settings.poll_seconds * MEASURE_EVERY_POLLS)
        await jobs.postpone(uow, ticket, due_at=uow.now + rhythm)


def _counts(samples: list[Sample]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for sample in samples:
        counts.setdefault(sample.remote_id, {})[sample.name] = sample.value
    return counts


async def categorize_each(
    runtime: Runtime, actor: Actor, conversation_ids: Sequence[UUID], category_id: UUID | None
) -> list[tuple[UUID | None, DomainError | None]]:
    """Say what each of some conversations is about, in a unit of work of its own: its id, or why not, in their order.

    Without a topic nothing changes, and each answers as if it were looked at. A refusal still gives the id of what the
    actor may see.
    """
    found: list[tuple[UUID | None, DomainError | None]] = []
    for place, conversation_id in enumerate(conversation_ids):
        try:
            async with runtime.database.unit_of_work(actor) as uow:
                await queries.visible_conversation(uow, conversation_id)
                if category_id is not None:
                    await commands.categorize(
                        uow, conversation_id=conversation_id, category_id=category_id, expected_version=None
                    )
            found.append((conversation_id, None))
        except DomainError as refusal:
            is_unseen = isinstance(refusal, NotFound) and not refusal.field
            refusal.field = ("patch", *refusal.field) if refusal.field else ("ids", str(place))
            found.append((None if is_unseen else conversation_id, refusal))
    return found
