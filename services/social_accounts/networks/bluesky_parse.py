# SPDX-License-Identifier: EUPL-1.2
"""From a raw event to facts. Pure, and repeatable at any time: the event holds all that is needed.

A post is read alike from a notification, from the own feed and from a second look. What the network's record says is
taken as text: links and mentions inside it stay the words the citizen wrote.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from services.social_accounts.networks.bluesky_capabilities import POST_KIND
from services.social_accounts.networks.bluesky_records import POST, address_of
from services.social_accounts.networks.bluesky_streams import DELETED_KIND, FEED_SOURCE, instant_of, object_of
from services.social_accounts.networks.bluesky_xrpc import KEY
from services.social_accounts.networks.errors import ContractBroken
from services.social_accounts.networks.interface import (
    Author,
    Channel,
    Inbound,
    InboundKind,
    Ingest,
    ItemRef,
    Media,
    RawEvent,
    ReplyTarget,
)

LIKE_KIND, REPOST_KIND = "like", "repost"
REACTION_KINDS = frozenset({LIKE_KIND, REPOST_KIND})
INGEST_BY_REASON = {"reply": Ingest.PUBLIC_COMMENT, "mention": Ingest.MENTION, "quote": Ingest.MENTION}
# Somebody of the organization asked to be told of every post of an account: nothing was said to the organization.
REASONS_OF_NO_CONCERN = frozenset({"subscribed-post"})
MEDIA_MAX = 10
LANGUAGES_MAX = 5
IMAGES, VIDEO = "app.bsky.embed.images", "app.bsky.embed.video"
LINK, QUOTE, QUOTE_WITH_MEDIA = "app.bsky.embed.external", "app.bsky.embed.record", "app.bsky.embed.recordWithMedia"

Item = Mapping[str, Any]


def parse(raw: RawEvent) -> list[Inbound]:
    """The facts of one event. Follows and other signs that carry no words give none.

    Raises ContractBroken when the event cannot be read; it stays stored and can be parsed again.
    """
    try:
        envelope = object_of(orjson.loads(raw.body))
    except ValueError as error:
        raise ContractBroken(KEY, "EVENT_UNREADABLE", remote_body=raw.body) from error
    item, observed = object_of(envelope.get("item")), instant_of(envelope.get("observedAt"))
    if observed is None or not item or address_of(raw.external_id) is None:
        raise ContractBroken(KEY, "EVENT_UNREADABLE", remote_body=raw.body)
    if raw.kind == DELETED_KIND:
        return [_deletion(raw, observed)]
    if raw.kind == POST_KIND:
        return _post(raw, envelope, observed)
    if raw.kind in REACTION_KINDS:
        return _passed_on(raw, envelope, observed)
    return []


def _deletion(raw: RawEvent, observed: datetime) -> Inbound:
    # A new version of the same moment must not bring deleted words back: nothing is later than a deletion.
    return Inbound(
        kind=InboundKind.DELETE,
        remote_id=raw.external_id,
        version=raw.version,
        text_at=observed,
        occurred_at=raw.occurred_at or observed,
        channel=Channel.PUBLIC,
    )


def _post(raw: RawEvent, envelope: Item, observed: datetime) -> list[Inbound]:
    item = object_of(envelope["item"])
    reason = item.get("reason")
    if isinstance(reason, str) and reason in REASONS_OF_NO_CONCERN:
        return []
    view = object_of(item.get("post")) if envelope.get("source") == FEED_SOURCE else item
    record, address = object_of(view.get("record")), address_of(raw.external_id)
    text = record.get("text")
    if not isinstance(text, str) or address is None:
        raise ContractBroken(KEY, "POST_UNREADABLE", remote_body=raw.body)
    own = envelope.get("own")
    is_own = address.repo == own
    known = envelope.get("known")
    edited = isinstance(known, str) and known != raw.version
    itself = ItemRef(raw.external_id, raw.version)
    root, parent = _thread(raw, record)
    ingest = INGEST_BY_REASON.get(str(reason), Ingest.MENTION) if isinstance(reason, str) else None
    return [
        Inbound(
            kind=InboundKind.EDIT if edited else InboundKind.ECHO if is_own else InboundKind.MESSAGE,
            remote_id=raw.external_id,
            version=raw.version,
            text_at=observed,
            occurred_at=_occurred_at(record, view, observed),
            channel=Channel.PUBLIC,
            ingest=Ingest.OWN_ECHO if is_own else ingest,
            author=_author(view, address.repo),
            text=_clean(text),
            languages=_languages(record),
            media=_media(record),
            root_id=(root or itself).remote_id,
            parent_id=None if parent is None else parent.remote_id,
            root_is_own=_repo(root or itself) == own,
            parent_is_own=parent is not None and _repo(parent) == own,
            quoted_id=_quoted(record),
            permalink=address.permalink,
            reply_target=ReplyTarget(root=root or itself, parent=itself),
        )
    ]


def _passed_on(raw: RawEvent, envelope: Item, observed: datetime) -> list[Inbound]:
    """A like or a repost: of ours by somebody (a reaction), or by us of anything (an echo without words)."""
    item, address = object_of(envelope["item"]), address_of(raw.external_id)
    from_feed = envelope.get("source") == FEED_SOURCE
    subject = object_of(item.get("post")) if from_feed else object_of(object_of(item.get("record")).get("subject"))
    passed_on = address_of(subject.get("uri"))
    if address is None or passed_on is None:
        raise ContractBroken(KEY, "SUBJECT_UNREADABLE", remote_body=raw.body)
    is_own = address.repo == envelope.get("own")
    by = object_of(item.get("reason")).get("by") if from_feed else item.get("author")
    record, shown = object_of(item.get("record")), object_of(item.get("reason")) if from_feed else item
    return [
        Inbound(
            kind=InboundKind.ECHO if is_own else InboundKind.REACTION,
            remote_id=raw.external_id,
            version=raw.version,
            text_at=observed,
            occurred_at=_occurred_at(record, shown, observed),
            channel=Channel.PUBLIC,
            ingest=Ingest.OWN_ECHO if is_own else None,
            author=_author({"author": by}, address.repo),
            parent_id=passed_on.uri,
            parent_is_own=passed_on.repo == envelope.get("own"),
            is_repost=raw.kind == REPOST_KIND,
            reaction=None if is_own else raw.kind,
        )
    ]


def _thread(raw: RawEvent, record: Item) -> tuple[ItemRef | None, ItemRef | None]:
    """(root, parent), both None for a post that starts a thread."""
    reply = record.get("reply")
    if reply is None:
        return None, None
    root, parent = _reference(object_of(reply).get("root")), _reference(object_of(reply).get("parent"))
    if root is None or parent is None:
        raise ContractBroken(KEY, "THREAD_UNREADABLE", remote_body=raw.body)
    return root, parent


def _reference(value: object) -> ItemRef | None:
    address, cid = address_of(object_of(value).get("uri")), object_of(value).get("cid")
    return ItemRef(address.uri, cid) if address is not None and isinstance(cid, str) and cid else None


def _repo(item: ItemRef) -> str | None:
    address = address_of(item.remote_id)
    return None if address is None else address.repo


def _author(view: Item, repo: str) -> Author:
    # The identity comes from the record's own address, which is signed; names are what the author says of himself.
    shown = object_of(view.get("author"))
    handle, name = shown.get("handle"), shown.get("displayName")
    return Author(
        remote_id=repo,
        handle=_clean(handle) if isinstance(handle, str) else None,
        display_name=_clean(name) if isinstance(name, str) and name.strip() else None,
    )


def _occurred_at(record: Item, view: Item, observed: datetime) -> datetime:
    """The writer's own time, unless it lies after the moment at which the network or we saw the item."""
    instants = [instant_of(record.get("createdAt")), instant_of(view.get("indexedAt")), observed]
    return min(instant for instant in instants if instant is not None)


def _languages(record: Item) -> tuple[str, ...]:
    found = record.get("langs")
    texts = [text for text in found if isinstance(text, str)] if isinstance(found, list) else []
    return tuple(_clean(text) for text in texts[:LANGUAGES_MAX])


def _quoted(record: Item) -> str | None:
    embed = object_of(record.get("embed"))
    kind = embed.get("$type")
    target = embed.get("record") if kind == QUOTE else object_of(embed.get("record")).get("record")
    uri = object_of(target).get("uri") if kind in (QUOTE, QUOTE_WITH_MEDIA) else None
    address = address_of(uri)
    return address.uri if address is not None and address.collection == POST else None


def _media(record: Item) -> tuple[Media, ...]:
    embed = object_of(record.get("embed"))
    if embed.get("$type") == QUOTE_WITH_MEDIA:
        embed = object_of(embed.get("media"))
    kind = embed.get("$type")
    if kind == IMAGES:
        images = embed.get("images")
        shown = [object_of(image) for image in images] if isinstance(images, list) else []
        return tuple(_file("IMAGE", image.get("image"), image.get("alt")) for image in shown[:MEDIA_MAX])
    if kind == VIDEO:
        return (_file("VIDEO", embed.get("video"), embed.get("alt")),)
    if kind == LINK:
        link = object_of(embed.get("external"))
        return (Media("LINK", url=_text(link.get("uri")), alt=_text(link.get("title"))),)
    return ()


def _file(kind: str, blob: object, alt: object) -> Media:
    found = object_of(blob)
    return Media(
        kind,
        remote_id=_text(object_of(found.get("ref")).get("$link")),
        mime_type=_text(found.get("mimeType")),
        alt=_text(alt),
    )


def _text(value: object) -> str | None:
    return _clean(value) if isinstance(value, str) and value else None


def _clean(text: str) -> str:
    # The database's text type has no place for this one character.
    return text.replace("\x00", "\ufffd")
