# SPDX-License-Identifier: EUPL-1.2
"""Facts about remote items, merged: whatever the order and however often they arrive, the result is the same.

The words with the latest `text_at` win; a deletion wins over all words; what only the creation tells (author, thread,
instant) is taken from any fact that has it, the earliest first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from services.conversations.rules.words import ChannelKind


@dataclass(frozen=True, slots=True)
class Writer:
    """Whoever wrote an item, as the network names them."""

    external_id: str
    handle: str | None = None
    display_name: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """What is known of one remote item. `writer` is None while only an edit or a deletion has come in."""

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
    edited_at: datetime | None = None
    deleted_at: datetime | None = None

    @property
    def is_created(self) -> bool:
        """Whether its creation has come in; until then it is a placeholder that nobody sees."""
        return self.writer is not None


def merge(one: Item, other: Item) -> Item:
    """Both facts about the same item. Commutative, associative and idempotent."""
    older, newer = sorted((one, other), key=_age)
    created = [each for each in (older, newer) if each.is_created]
    base = min(created, key=lambda each: (each.occurred_at, *_age(each))) if created else older
    deletions = [each.deleted_at for each in (one, other) if each.deleted_at is not None]
    return replace(
        base,
        text_at=newer.text_at,
        version=newer.version,
        text="" if deletions else newer.text,
        reply_target=newer.reply_target or older.reply_target,
        writer=max((each for each in created), key=_age).writer if created else None,
        edited_at=max((each.edited_at for each in (one, other) if each.edited_at is not None), default=None),
        deleted_at=min(deletions, default=None),
    )


def merged(items: Iterable[Item]) -> dict[str, Item]:
    """Every item once, by its external id, in a stable order."""
    found: dict[str, Item] = {}
    for item in items:
        known = found.get(item.external_id)
        found[item.external_id] = item if known is None else merge(known, item)
    return dict(sorted(found.items()))


def _age(item: Item) -> tuple[datetime, bool, str, str]:
    return item.text_at, item.deleted_at is not None, item.version, item.text
