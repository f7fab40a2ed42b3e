# SPDX-License-Identifier: EUPL-1.2
"""Facts about remote items, merged: whatever the order and however often they arrive, the result is the same.

Each part of an item is the greatest, or the least, of what the facts say about it, in an order that never looks at
another part; that makes the merge commutative, associative and idempotent. The words with the latest `text_at` win; a
deletion wins over all words; what only the creation tells (author, thread, instant) comes from the earliest creation.
The earliest version is kept beside the latest, so that an edit shows however it was learned.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.conversations.rules.words import ChannelKind

BEFORE_EVERYTHING = datetime(1900, 1, 1, tzinfo=UTC)
UNSEEN = (BEFORE_EVERYTHING, "")
"""The first version of an item of which only a later one was shown."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Whoever wrote an item, as the network named them at `seen_at`."""

    external_id: str
    handle: str | None = None
    display_name: str | None = None
    email: str | None = None
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """What is known of one remote item. `writer` is None while only a deletion has come in.

    `first` is the earliest version that was seen, as (instant, version); `UNSEEN` when the network says that there was
    one before all that it showed us.
    """

    external_id: str
    server_host: str
    text_at: datetime
    text: str
    occurred_at: datetime
    version: str = ""
    channel: ChannelKind = ChannelKind.PUBLIC
    writer: Writer | None = None
    is_own: bool = False
    is_repost: bool = False
    root_id: str | None = None
    parent_id: str | None = None
    parent_is_own: bool = False
    language: str | None = None
    permalink: str | None = None
    reply_target: dict[str, Any] | None = None
    first: tuple[datetime, str] | None = None
    deleted_at: datetime | None = None

    @property
    def is_created(self) -> bool:
        """Whether its creation has come in; until then it is a placeholder that nobody sees."""
        return self.writer is not None

    @property
    def edited_at(self) -> datetime | None:
        """When the words shown were first seen in place of others; None for the first words, and for none."""
        if self.first is None or self.deleted_at is not None:
            return None
        return self.text_at if self.first == UNSEEN or self.first[1] != self.version else None


def merge(one: Item, other: Item) -> Item:
    """Both facts about the same item. Commutative, associative and idempotent."""
    words, birth = max(one, other, key=_words), min(one, other, key=_birth)
    deleted_at = min((each for each in (one.deleted_at, other.deleted_at) if each), default=None)
    return Item(
        external_id=one.external_id,
        server_host=one.server_host,
        text_at=words.text_at,
        version=words.version,
        text="" if deleted_at else words.text,
        language=None if deleted_at else words.language,
        reply_target=None if deleted_at else words.reply_target,
        occurred_at=birth.occurred_at,
        channel=birth.channel,
        is_own=birth.is_own,
        is_repost=birth.is_repost,
        root_id=birth.root_id,
        parent_id=birth.parent_id,
        parent_is_own=one.parent_is_own or other.parent_is_own,
        writer=max((each for each in (one.writer, other.writer) if each), key=naming, default=None),
        permalink=min((each for each in (one.permalink, other.permalink) if each), default=None),
        first=min((each for each in (one.first, other.first) if each), default=None),
        deleted_at=deleted_at,
    )


def merged(items: Iterable[Item]) -> dict[str, Item]:
    """Every item once, by its external id, in a stable order."""
    found: dict[str, Item] = {}
    for item in items:
        known = found.get(item.external_id)
        found[item.external_id] = item if known is None else merge(known, item)
    return dict(sorted(found.items()))


def naming(writer: Writer) -> tuple[datetime, str, str, str, str]:
    """How writers rank: the latest name of somebody is the one shown."""
    return (
        writer.seen_at or BEFORE_EVERYTHING,
        writer.handle or "",
        writer.display_name or "",
        writer.email or "",
        writer.external_id,
    )


def _words(item: Item) -> tuple[datetime, str, str, str, str]:
    return item.text_at, item.version, item.text, item.language or "", str(sorted((item.reply_target or {}).items()))


def _birth(item: Item) -> tuple[bool, datetime, str, bool, bool, str, str]:
    return (
        not item.is_created,
        item.occurred_at,
        item.channel,
        item.is_own,
        item.is_repost,
        item.root_id or "",
        item.parent_id or "",
    )
