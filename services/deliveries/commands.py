# SPDX-License-Identifier: EUPL-1.2
"""Acts on deliveries. PUBLISHING is committed before the first byte; an unknown outcome is never retried blindly.

Who records an outcome must hold the fence of the attempt: a worker that was away too long is refused, and what it
knew is found out again by looking at the network.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.deliveries import queries, rules
from services.deliveries.events import (
    DeliveryFailed,
    DeliveryNeedsDecision,
    DeliveryPublished,
    DeliveryResolved,
    DeliveryScheduled,
    DeliveryStateChanged,
)
from services.deliveries.models import Delivery, DeliveryAttempt
from services.deliveries.rules import AttemptOutcome, DeliveryState, Origin, Resolution, Verification
from services.kernel import identifiers, jobs
from services.kernel.access import Permission
from services.kernel.database import UnitOfWork
from services.kernel.errors import Required, TooLong
from services.social_accounts import queries as accounts
from services.social_accounts.networks import connector_for
from services.social_accounts.networks.interface import (
    Account,
    Draft,
    NotFound,
    Prepared,
    Problem,
    Publish,
    ReplyTarget,
    SendGuard,
    Sent,
)
from services.social_accounts.rules import AccountIsNotConnected, CrisisOnlyAccount, OutboundKind, check_may_publish

SEND = "delivery.send"
VERIFY = "delivery.verify"
LINK_LENGTH_MAX = 500


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try, as its worker holds it: the exact request and the fence under which its outcome counts."""

    delivery_id: UUID
    account_id: UUID
    fence: int
    prepared: Prepared
    sent_at: datetime


async def schedule(
    uow: UnitOfWork,
    *,
    origin: Origin,
    origin_id: UUID,
    account_id: UUID,
    outbound_kind: OutboundKind,
    text: str,
    reply_to: Mapping[str, Any] | None,
    private: bool,
    language: str | None,
) -> Delivery:
    """Accept one item for publishing at once. The request is fixed here to the byte; every attempt sends the same."""
    uow.actor.require(Permission.CONVERSATION_REPLY)
    account = await accounts.account(uow, account_id)
    check_may_publish(
        outbound_kind,
        connection=account.connection,
        lifecycle=account.lifecycle,
        purpose=account.purpose,
        crisis_posting_open=account.crisis_posting_open,
    )
    delivery = Delivery(
        tenant_id=uow.tenant_id,
        id=identifiers.new(),
        origin=origin,
        origin_id=origin_id,
        social_account_id=account_id,
        outbound_kind=outbound_kind,
        text=text,
        target={"reply_to": reply_to, "private": private},
        content_hash=hashlib.sha256(text.encode()).digest(),
        due_at=uow.now,
    )
    publish = (Publish.DIRECT if private else Publish.REPLY) if reply_to else Publish.POST
    target = ReplyTarget.from_json(reply_to) if reply_to else None
    draft = Draft(delivery.id, publish, text, uow.now, target, (language,) if language else ())
    prepared = _prepared(account.network, draft, Account(str(account.id), "", account.remote_id or "", account.handle))
    delivery.prepared, delivery.send_key, delivery.remote_id = (
        prepared.to_bytes(),
        prepared.send_key,
        prepared.remote_id,
    )
    uow.add(delivery)
    await jobs.schedule(uow, SEND, delivery.id)
    uow.emit(DeliveryScheduled(delivery_id=delivery.id))
    return delivery


async def begin(uow: UnitOfWork, *, delivery_id: UUID, check_schedule: Sequence[int]) -> Attempt | None:
    """Take a delivery for sending. One that is found in PUBLISHING was left by a crash: its outcome is unknown."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await queries.delivery_for_update(uow, delivery_id)
    if row.state is DeliveryState.PUBLISHING:
        await _outcome(uow, row, AttemptOutcome.UNKNOWN, "CRASHED")
        row.fence += 1
        await _unconfirmed(uow, row, "CRASHED", check_schedule)
        return None
    if row.state is not DeliveryState.SCHEDULED or row.due_at > uow.now or row.prepared is None:
        return None
    if (reason := await _closed_gate(uow, row)) is not None:
        _move(uow, row, DeliveryState.SUSPENDED)
        row.error = reason
        uow.emit(DeliveryFailed(delivery_id=row.id, error=reason))
        return None
    prepared = Prepared.from_bytes(row.prepared)
    _move(uow, row, DeliveryState.PUBLISHING)
    row.fence, row.attempts, row.sent_at = row.fence + 1, row.attempts + 1, uow.now
    row.first_sent_at = row.first_sent_at or uow.now
    uow.add(
        DeliveryAttempt(
            tenant_id=uow.tenant_id,
            at=uow.now,
            delivery_id=row.id,
            no=row.attempts,
            fence=row.fence,
            send_key=prepared.send_key,
        )
    )
    return Attempt(row.id, row.social_account_id, row.fence, prepared, uow.now)


async def record_sent(uow: UnitOfWork, attempt: Attempt, sent: Sent) -> bool:
    """The network accepted it. False when this attempt's outcome no longer counts."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await _current(uow, attempt)
    if row is None:
        return False
    await _outcome(uow, row, AttemptOutcome.ACCEPTED, sent.remote_id)
    _published(uow, row, sent)
    return True


async def record_refused(uow: UnitOfWork, attempt: Attempt, code: str) -> bool:
    """The network refused it in a documented way: trying again would not help."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await _current(uow, attempt)
    if row is None:
        return False
    await _outcome(uow, row, AttemptOutcome.REFUSED, code)
    await _given_up(uow, row, code)
    return True


async def record_not_sent(uow: UnitOfWork, attempt: Attempt, code: str, retry_after: timedelta | None) -> bool:
    """Certainly nothing happened: try again later, five times at the most."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await _current(uow, attempt)
    if row is None:
        return False
    await _outcome(uow, row, AttemptOutcome.NOT_SENT, code)
    if row.attempts >= rules.ATTEMPTS_MAX:
        await _given_up(uow, row, code)
        return True
    _move(uow, row, DeliveryState.SCHEDULED)
    row.error = code
    await jobs.schedule(uow, SEND, row.id, due_at=uow.now + rules.retry_wait(row.attempts, retry_after))
    return True


async def record_unknown(uow: UnitOfWork, attempt: Attempt, code: str, check_schedule: Sequence[int]) -> bool:
    """Part of the request was written and nobody knows what came of it."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await _current(uow, attempt)
    if row is None:
        return False
    await _outcome(uow, row, AttemptOutcome.UNKNOWN, code)
    await _unconfirmed(uow, row, code, check_schedule)
    return True


async def to_check(uow: UnitOfWork, *, delivery_id: UUID) -> Attempt | None:
    """The delivery whose outcome is to be looked for; None when that is no longer a question for Belfry."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await queries.delivery_for_update(uow, delivery_id)
    if row.state is not DeliveryState.UNCONFIRMED or row.verification is not Verification.CHECKING:
        return None
    if row.prepared is None or row.sent_at is None:
        return None
    return Attempt(row.id, row.social_account_id, row.fence, Prepared.from_bytes(row.prepared), row.sent_at)


async def record_found(uow: UnitOfWork, attempt: Attempt, sent: Sent) -> None:
    """It was there all along."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await _checked(uow, attempt)
    if row is not None:
        _published(uow, row, sent)


async def record_absent(uow: UnitOfWork, attempt: Attempt, found: NotFound, check_schedule: Sequence[int]) -> None:
    """A complete look did not show it: send the stored call again where that cannot publish twice, else look again."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await _checked(uow, attempt)
    if row is None:
        return
    if (closed := await _closed_gate(uow, row)) is None:
        guard = await _guard(uow, row)
        first_sent_at = row.first_sent_at or attempt.sent_at
        same_key = rules.may_repeat_same_key(first_sent_at=first_sent_at, now=uow.now, attempts=row.attempts)
        if guard is SendGuard.CLIENT_ID and found.exact and same_key:
            await _again(uow, row)
            return
        proven = rules.absence_is_proven(rules.Absence(row.absent_since), sent_at=attempt.sent_at, now=uow.now)
        if proven and row.resends < rules.RESENDS_MAX:
            row.resends += 1
            await _again(uow, row)
            return
    row.error = closed or row.error
    row.absent_since = row.absent_since or uow.now
    await _look_again(uow, row, check_schedule)


async def record_cannot_tell(uow: UnitOfWork, attempt: Attempt, check_schedule: Sequence[int]) -> None:
    """The look was incomplete: look again, and in the end ask a person."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await _checked(uow, attempt)
    if row is not None:
        await _look_again(uow, row, check_schedule)


async def resolve(uow: UnitOfWork, *, delivery_id: UUID, resolution: Resolution, link: str | None) -> Delivery:
    """A person decides about an unknown outcome: it is there (with its link), send it again, or give it up.

    Whoever calls this has checked that the actor may see and decide the item that the delivery carries.
    """
    uow.actor.require(Permission.DELIVERY_RESOLVE)
    row = await queries.delivery_for_update(uow, delivery_id)
    rules.check_resolvable(row.state)
    row.verification = None
    if resolution is Resolution.IT_IS_THERE:
        if not link or not link.startswith(("https://", "http://", "at://")):
            raise Required("Paste the link of the published item.", field=("link",))
        if len(link) > LINK_LENGTH_MAX:
            raise TooLong(field=("link",))
        _published(uow, row, Sent(row.remote_id or link, row.remote_version or "", link, row.sent_at or uow.now))
    elif resolution is Resolution.SEND_AGAIN:
        row.first_sent_at, row.resends = None, 0
        await _again(uow, row)
    else:
        _move(uow, row, DeliveryState.CANCELLED)
        uow.emit(DeliveryFailed(delivery_id=row.id, error="CANCELLED"))
    await jobs.cancel(uow, VERIFY, row.id)
    uow.emit(DeliveryResolved(delivery_id=row.id, resolution=resolution))
    return row


async def seen(uow: UnitOfWork, *, delivery_id: UUID, deleted: bool) -> None:
    """The network showed the item by itself. That proves an open outcome; a deletion makes it a person's question."""
    uow.actor.require(Permission.BELFRY_WORK)
    row = await queries.delivery_for_update(uow, delivery_id)
    if row.state is not DeliveryState.UNCONFIRMED:
        return
    if deleted:
        _needs_decision(uow, row)
    elif row.verification is Verification.CHECKING:
        await jobs.schedule(uow, VERIFY, row.id)


def _prepared(network: str, draft: Draft, account: Account) -> Prepared:
    connector = connector_for(network)
    if connector is None:
        raise AccountIsNotConnected
    prepared = connector.prepare(draft, account)
    if isinstance(prepared, Prepared):
        return prepared
    _refuse(prepared)
    raise rules.NetworkCannotCarryThis


def _refuse(problems: Sequence[Problem]) -> None:
    for problem in problems:
        if problem.code == "TEXT_TOO_LONG":
            raise rules.TextIsTooLongForNetwork(
                "This text is too long for the network: {actual} instead of at most {limit}.",
                field=("text",),
                actual=problem.actual,
                limit=problem.limit,
            )
        raise rules.NetworkCannotCarryThis(
            "The network cannot carry this answer ({problem}).", field=("text",), problem=problem.code
        )


async def _closed_gate(uow: UnitOfWork, row: Delivery) -> str | None:
    account = await accounts.account(uow, row.social_account_id)
    try:
        check_may_publish(
            row.outbound_kind,
            connection=account.connection,
            lifecycle=account.lifecycle,
            purpose=account.purpose,
            crisis_posting_open=account.crisis_posting_open,
        )
    except (AccountIsNotConnected, CrisisOnlyAccount) as refusal:
        return refusal.code
    return "LATE" if rules.is_too_late(row.origin, due_at=row.due_at, now=uow.now) else None


async def _current(uow: UnitOfWork, attempt: Attempt) -> Delivery | None:
    row = await queries.delivery_for_update(uow, attempt.delivery_id)
    return row if row.state is DeliveryState.PUBLISHING and row.fence == attempt.fence else None


async def _checked(uow: UnitOfWork, attempt: Attempt) -> Delivery | None:
    row = await queries.delivery_for_update(uow, attempt.delivery_id)
    # It is no longer being looked into when its deletion was seen meanwhile: that must not be published again.
    if row.verification is not Verification.CHECKING or row.fence != attempt.fence:
        return None
    row.checks += 1
    return row


async def _outcome(uow: UnitOfWork, row: Delivery, outcome: AttemptOutcome, evidence: str) -> None:
    latest = await queries.attempt(uow, row.id, row.fence)
    if latest is not None:
        latest.outcome, latest.evidence = outcome, evidence


def _move(uow: UnitOfWork, row: Delivery, after: DeliveryState) -> None:
    rules.check_transition(row.state, after)
    before, row.state = row.state, after
    uow.emit(DeliveryStateChanged(delivery_id=row.id, before=before, after=after))


def _published(uow: UnitOfWork, row: Delivery, sent: Sent) -> None:
    _move(uow, row, DeliveryState.PUBLISHED)
    row.remote_id, row.remote_version, row.permalink = sent.remote_id, sent.version, sent.permalink
    row.published_at, row.verification, row.error = sent.accepted_at, None, None
    uow.emit(DeliveryPublished(delivery_id=row.id))


async def _given_up(uow: UnitOfWork, row: Delivery, code: str) -> None:
    row.error = code
    if await queries.may_have_arrived(uow, row.id):
        # The last try failed, but an earlier one may be shown late: only a person can say that nothing is there.
        _move(uow, row, DeliveryState.UNCONFIRMED)
        _needs_decision(uow, row)
    else:
        _move(uow, row, DeliveryState.FAILED)
        uow.emit(DeliveryFailed(delivery_id=row.id, error=code))


async def _unconfirmed(uow: UnitOfWork, row: Delivery, code: str, check_schedule: Sequence[int]) -> None:
    _move(uow, row, DeliveryState.UNCONFIRMED)
    row.verification, row.checks, row.error, row.absent_since = Verification.CHECKING, 0, code, None
    await _look_again(uow, row, check_schedule)


async def _look_again(uow: UnitOfWork, row: Delivery, check_schedule: Sequence[int]) -> None:
    wait = rules.look_after(row.checks, check_schedule, first_sent_at=row.first_sent_at or uow.now, now=uow.now)
    if wait is None:
        _needs_decision(uow, row)
    else:
        await jobs.schedule(uow, VERIFY, row.id, due_at=uow.now + wait)


def _needs_decision(uow: UnitOfWork, row: Delivery) -> None:
    row.verification = Verification.NEEDS_DECISION
    uow.emit(DeliveryNeedsDecision(delivery_id=row.id))


async def _again(uow: UnitOfWork, row: Delivery) -> None:
    _move(uow, row, DeliveryState.SCHEDULED)
    row.verification, row.due_at = None, uow.now
    await jobs.schedule(uow, SEND, row.id)


async def _guard(uow: UnitOfWork, row: Delivery) -> SendGuard:
    account = await accounts.account(uow, row.social_account_id)
    connector = connector_for(account.network)
    return connector.capabilities().send_guard if connector else SendGuard.NONE
