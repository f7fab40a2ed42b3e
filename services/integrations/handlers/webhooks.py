# SPDX-License-Identifier: EUPL-1.2
"""What Belfry does for endpoints by itself: writes down what they are owed, and calls them.

`follow` reads the organization's facts in their order, once for all endpoints, and keeps its position with what it
wrote. `deliver` has one run for each endpoint at a time, so that one that does not answer holds up nobody else: it
begins with one call, doubles as long as all are taken, and after a failure leaves the endpoint alone for a while.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from random import SystemRandom
from uuid import UUID

from services.identity import queries as identity
from services.integrations import commands, queries, rules
from services.integrations.commands import Message, Outcome
from services.integrations.models import WebhookDelivery, WebhookEndpoint
from services.integrations.rules import EndpointState
from services.kernel import jobs, outbox
from services.kernel.access import Actor, ActorKind, Scope
from services.kernel.database import UnitOfWork
from services.kernel.jobs import Ticket
from services.kernel.outbound import OutboundError, OutcomeUnknown
from services.kernel.outbox import Announced
from services.kernel.runtime import Runtime

FACTS_MAX = 500
ROUNDS_MAX = 20
LOOK_AGAIN = timedelta(hours=1)
"""Every fact makes the job due; this is for a ring that got lost in a way that nobody thought of."""
RUN_SECONDS = 45.0
PATIENCE = rules.PAUSE_FIRST
"""How long a run waits for an endpoint itself, instead of coming back."""
FORGET_EVERY = timedelta(hours=6)
CHANCE = SystemRandom()


async def follow(runtime: Runtime, ticket: Ticket) -> None:
    """Write down what the endpoints of an organization are owed by now."""
    actor, is_more = Actor.system(ticket.tenant_id, ticket.id), True
    for _ in range(ROUNDS_MAX):
        async with runtime.database.snapshot(actor) as snapshot:
            endpoints = await queries.enabled_endpoints(snapshot)
            scopes = await identity.scopes_of(snapshot, [each.api_client_id for each in endpoints])
            begins = min((each.position for each in endpoints), default=0)
            facts, position = await outbox.after(snapshot, begins, queries.EVENT_TYPES, limit=FACTS_MAX)
        if not endpoints:
            async with runtime.database.unit_of_work(actor) as uow:
                await jobs.finish(uow, ticket)
            return
        messages: list[Message] = []
        for client_id, allowed in scopes.items():
            told = [each for each in endpoints if each.api_client_id == client_id]
            messages += await _messages(runtime, ticket.tenant_id, client_id, allowed, told, facts)
        async with runtime.database.unit_of_work(actor) as uow:
            await jobs.renew(uow, ticket)
            await commands.announce(uow, messages=messages, positions={each.id: position for each in endpoints})
        is_more = len(facts) == FACTS_MAX
        if not is_more:
            break
    async with runtime.database.unit_of_work(actor) as uow:
        await jobs.postpone(uow, ticket, due_at=uow.now + (timedelta(0) if is_more else LOOK_AGAIN))


async def _messages(
    runtime: Runtime,
    tenant_id: UUID,
    client_id: UUID,
    scopes: frozenset[Scope],
    endpoints: Sequence[WebhookEndpoint],
    facts: Sequence[Announced],
) -> list[Message]:
    """What the endpoints of one client are told: of rows only that the client may see as they are now."""
    client = Actor(tenant_id, kind=ActorKind.API_CLIENT, client_id=client_id, scopes=scopes)
    async with runtime.database.snapshot(client) as snapshot:
        versions = await queries.visible_versions(snapshot, facts)
    return [
        Message(
            endpoint.id,
            fact.id,
            fact.kind,
            rules.body_of(fact.kind, fact.subject_id, versions[fact.subject_id], fact.occurred_at),
            fact.occurred_at,
        )
        for fact in facts
        if fact.subject_id in versions
        for endpoint in endpoints
        if fact.seq > endpoint.position and (not endpoint.event_types or fact.kind in endpoint.event_types)
    ]


async def deliver(runtime: Runtime, ticket: Ticket) -> None:
    """Call one endpoint with what it is owed."""
    actor, endpoint_id = Actor.system(ticket.tenant_id, ticket.id), ticket.subject_id
    until, at_once = time.monotonic() + RUN_SECONDS, 1
    while True:
        async with runtime.database.snapshot(actor) as snapshot:
            due = await queries.due(snapshot, runtime.vault, endpoint_id, limit=at_once)
        outcomes = await asyncio.gather(*(_call(runtime, due, each) for each in due.deliveries)) if due else []
        all_taken = all(each.is_taken for each in outcomes)
        async with runtime.database.unit_of_work(actor) as uow:
            await jobs.renew(uow, ticket)
            enabled, pause = due is not None, rules.pause(due.failures if due else 0)
            if outcomes:
                state = await commands.record(uow, endpoint_id=endpoint_id, outcomes=outcomes, chance=CHANCE)
                enabled, pause = state is EndpointState.ENABLED, _pause(due, outcomes)
            is_over = pause > PATIENCE or time.monotonic() + pause.total_seconds() > until
            if is_over or not enabled or (all_taken and len(outcomes) < at_once):
                await _come_back(uow, ticket, enabled=enabled, pause=pause)
                return
        await asyncio.sleep(pause.total_seconds())
        at_once = min(at_once * 2, rules.AT_ONCE_MAX) if all_taken else 1


def _pause(due: queries.Due | None, outcomes: Sequence[Outcome]) -> timedelta:
    """How long the endpoint is left alone after these calls."""
    asked = [each.retry_after for each in outcomes if each.retry_after is not None]
    failures = rules.failures_after(due.failures if due else 0, [each.status for each in outcomes])
    return rules.pause(failures, max(asked, default=None))


async def _come_back(uow: UnitOfWork, ticket: Ticket, *, enabled: bool, pause: timedelta) -> None:
    """Have the endpoint called when the next delivery is due, but not before it was left alone for a while."""
    due_at = await queries.next_due_at(uow, ticket.subject_id) if enabled else None
    if due_at is None:
        await jobs.finish(uow, ticket)
    else:
        await jobs.postpone(uow, ticket, due_at=max(due_at, uow.now + pause))


async def _call(runtime: Runtime, due: queries.Due, delivery: WebhookDelivery) -> Outcome:
    """One attempt. Of the answer nothing is kept but its status."""
    started, now = time.monotonic(), runtime.clock()
    headers = rules.signed_headers(rules.message_id(delivery.event_id), delivery.payload, now, due.keys)
    status, error, retry_after = None, None, None
    try:
        answer = await runtime.webhooks.request("POST", due.url, headers=headers, content=delivery.payload)
        status, retry_after = answer.status, rules.retry_after_of(answer.headers.get("retry-after"), now)
    except OutcomeUnknown as unknown:
        status, error = unknown.status, unknown.reason.value
    except OutboundError as failure:
        error = failure.reason.value
    milliseconds = int((time.monotonic() - started) * 1000)
    return Outcome(delivery, milliseconds, status, None if rules.is_taken(status) else error, retry_after)


async def forget(runtime: Runtime, ticket: Ticket) -> None:
    """Keep the log of deliveries from growing for ever."""
    async with runtime.database.unit_of_work(Actor.system(ticket.tenant_id, ticket.id)) as uow:
        await commands.forget(uow)
        await jobs.postpone(uow, ticket, due_at=uow.now + FORGET_EVERY)
