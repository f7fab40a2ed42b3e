# SPDX-License-Identifier: EUPL-1.2
"""What goes to and fro in an exchange, as rows: messages, and deliveries as a worker would have left them."""

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.conversations.models import Message
from services.conversations.rules import AuthorKind, ChannelKind, Direction, ReplyPurpose
from services.deliveries.models import Delivery, DeliveryAttempt
from services.deliveries.rules import AttemptOutcome, DeliveryKind, DeliveryState, Origin, Verification
from services.demo import remote
from services.demo.ledger import Row
from services.demo.places import Place
from services.demo.stories import PUBLISHING, Replied, RepliedOutside, Wrote
from services.kernel import identifiers
from services.social_accounts.networks import connector_for
from services.social_accounts.networks.interface import Account, Draft, ItemRef, Prepared, Publish, ReplyTarget
from services.social_accounts.rules import OutboundKind

SENDING = timedelta(seconds=1)
"""How long an accepted answer waits for a worker."""

CHECKS_BEFORE_DECISION = 4
OUTCOMES = {
    DeliveryState.PUBLISHED: AttemptOutcome.ACCEPTED,
    DeliveryState.FAILED: AttemptOutcome.REFUSED,
    DeliveryState.UNCONFIRMED: AttemptOutcome.UNKNOWN,
}
ERRORS = {DeliveryState.FAILED: "REJECTED", DeliveryState.UNCONFIRMED: "TIMED_OUT"}


def citizen_message(place: Place, step: Wrote, external_id: str, *, is_first: bool) -> Row:
    """What the citizen wrote."""
    thread, version = place.thread, remote.version(place.account)
    parent_id = thread.parent_id if is_first else thread.first_id
    target = ReplyTarget(ItemRef(thread.root_id, version), ItemRef(external_id, version))
    row = message_row(
        place,
        step.at,
        text=step.text,
        external_id=external_id,
        version_tag=version,
        root_external_id=thread.root_id,
        parent_external_id=parent_id,
        reply_target=target.to_json(),
        direction=Direction.INBOUND,
        author_kind=AuthorKind.CITIZEN,
        contact_id=thread.contact_id,
        intent=step.intent,
        permalink=None if is_private(place) else remote.permalink(place.account, external_id),
    )
    return place.ledger.add(Message, row)


def outside_message(place: Place, step: RepliedOutside, answered: Row) -> Row:
    """What somebody answered in the network's own app, as it was imported."""
    external_id = remote.post_id(place.chance, place.account, remote.own_id(place.account))
    row = message_row(
        place,
        step.at,
        text=step.text,
        external_id=external_id,
        version_tag=remote.version(place.account),
        root_external_id=place.thread.root_id,
        parent_external_id=answered["external_id"],
        author_kind=AuthorKind.EXTERNAL,
        published_at=step.at,
        outbound_kind=OutboundKind.REPLY,
        purpose=ReplyPurpose.ANSWER,
        permalink=None if is_private(place) else remote.permalink(place.account, external_id),
    )
    return place.ledger.add(Message, row)


def reply_message(place: Place, step: Replied, author_id: UUID, delivery: Row, answered: Row) -> Row:
    """What a colleague answered through Belfry; only a published delivery has given it an id on the network."""
    published_at: datetime | None = delivery["published_at"]
    row = message_row(
        place,
        step.at,
        text=step.text,
        external_id=delivery["remote_id"] if published_at else None,
        version_tag=delivery["remote_version"],
        root_external_id=place.thread.key,
        parent_external_id=answered["external_id"],
        author_kind=AuthorKind.COLLEAGUE,
        author_id=author_id,
        occurred_at=published_at or step.at,
        published_at=published_at,
        outbound_kind=OutboundKind.REPLY if published_at else None,
        purpose=step.purpose,
        delivery_id=delivery["id"],
        permalink=delivery["permalink"],
    )
    return place.ledger.add(Message, row)


def message_row(place: Place, at: datetime, **columns: Any) -> Row:
    """A message of ours in this conversation, unless `columns` say otherwise."""
    return {
        **place.part(at),
        "version": 1,
        "social_account_id": place.account_id,
        "network": place.account.network,
        "server_host": place.account.server_host,
        "direction": Direction.OUTBOUND,
        "visibility": place.thread.visibility,
        "language": place.plan.locale,
        "text_at": at,
        "occurred_at": at,
        **columns,
    }


def delivery(place: Place, step: Replied, reply_id: UUID, answered: Row) -> Row:
    """An answer on its way, with its one attempt. Where there is a connector, it fixed the request."""
    delivery_id, sent_at = identifiers.new(), step.at + SENDING
    prepared = _prepared(place, step, delivery_id, answered)
    published = step.state is DeliveryState.PUBLISHED
    own_id = remote.own_id(place.account)
    chosen = prepared.remote_id if prepared else None
    remote_id = chosen or (remote.post_id(place.chance, place.account, own_id) if published else None)
    send_key = prepared.send_key if prepared else str(delivery_id)
    is_public = not is_private(place)
    row = place.row(
        step.at,
        version=3,
        origin=Origin.REPLY,
        origin_id=reply_id,
        social_account_id=place.account_id,
        kind=DeliveryKind.CREATE,
        outbound_kind=OutboundKind.REPLY,
        text=step.text,
        target={"reply_to": answered["reply_target"], "private": not is_public},
        content_hash=hashlib.sha256(step.text.encode()).digest(),
        due_at=step.at,
        zone=None,
        state=step.state,
        verification=Verification.NEEDS_DECISION if step.state is DeliveryState.UNCONFIRMED else None,
        prepared=prepared.to_bytes() if prepared else None,
        send_key=send_key,
        fence=1,
        attempts=1,
        resends=0,
        checks=CHECKS_BEFORE_DECISION if step.state is DeliveryState.UNCONFIRMED else 0,
        first_sent_at=sent_at,
        sent_at=sent_at,
        absent_since=None,
        remote_id=remote_id,
        remote_version=remote.version(place.account) if published else None,
        permalink=remote.permalink(place.account, remote_id) if published and is_public and remote_id else None,
        published_at=step.at + PUBLISHING if published else None,
        error=ERRORS.get(step.state),
    )
    row["id"] = delivery_id
    place.ledger.add(DeliveryAttempt, _attempt(place, step, row, sent_at))
    return place.ledger.add(Delivery, row)


def is_private(place: Place) -> bool:
    """Whether only the citizen and the organization can read the exchange."""
    return place.thread.channel is not ChannelKind.PUBLIC


def _attempt(place: Place, step: Replied, row: Row, sent_at: datetime) -> Row:
    outcome = OUTCOMES[step.state]
    return {
        "tenant_id": place.ground.tenant_id,
        "id": identifiers.new(),
        "at": sent_at,
        "delivery_id": row["id"],
        "no": 1,
        "fence": 1,
        "send_key": row["send_key"],
        "outcome": outcome,
        "evidence": row["remote_id"] if outcome is AttemptOutcome.ACCEPTED else ERRORS[step.state],
    }


def _prepared(place: Place, step: Replied, delivery_id: UUID, answered: Row) -> Prepared | None:
    connector = connector_for(place.account.network)
    if connector is None:
        return None
    publish = Publish.DIRECT if is_private(place) else Publish.REPLY
    target = ReplyTarget.from_json(answered["reply_target"])
    draft = Draft(delivery_id, publish, step.text, step.at, target, (place.plan.locale,))
    handle = place.account.handle
    fixed = connector.prepare(draft, Account(str(place.account_id), "", remote.own_id(place.account), handle))
    if not isinstance(fixed, Prepared):
        raise TypeError(f"The network does not carry '{step.text}'.")
    return fixed
