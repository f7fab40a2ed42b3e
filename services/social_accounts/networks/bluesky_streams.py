# SPDX-License-Identifier: EUPL-1.2
"""Reading an account's streams: notifications, own posts, items we know, and what lies further back.

Two of them are lists, newest first, with an opaque cursor for going back. A sweep reads from the top until it has
passed what the last sweep saw by 5 minutes and by 50 items. Our cursor holds the newest instant of the last complete
sweep, the digests of its newest items (so that the overlap is not stored over and over), and where an unfinished
sweep stands. A sweep that is cut off goes on where it stood; what came in meanwhile belongs to the next one.

The server orders notifications by the earlier of the writer's own time and its index time, so a post that was dated
back far enough appears below the overlap. The daily `backfill` stream finds those: it reads from the top down to
`backfill_days` each time it is started with no cursor.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson

from services.social_accounts.networks.bluesky_capabilities import BLUESKY
from services.social_accounts.networks.bluesky_records import address_of, instant_text
from services.social_accounts.networks.bluesky_xrpc import KEY, Reply, access_token, query
from services.social_accounts.networks.errors import ContractBroken, Rejected, TargetGone
from services.social_accounts.networks.interface import UNKNOWN_KIND, Account, KnownItem, Page, RawEvent, Reach

PAGE_MAX = 100
OVERLAP_ITEMS = 50
OVERLAP = timedelta(minutes=5)
DIGESTS_MAX = 200
DIGEST_BYTES = 8
BACKFILL_REACH = timedelta(days=BLUESKY.backfill_days)
DELETED_KIND = "delete"
REPOST_REASON = "app.bsky.feed.defs#reasonRepost"

NOTIFICATION_SOURCE, FEED_SOURCE, KNOWN_SOURCE, GONE_SOURCE = "notification", "feed", "known", "gone"

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The state of one list. `page` is the server's cursor while a sweep is unfinished, else None."""

    newest: datetime | None = None
    digests: tuple[str, ...] = ()
    page: str | None = None
    sweep_newest: datetime | None = None
    sweep_digests: tuple[str, ...] = ()
    passed: int = 0

    def to_text(self) -> str:
        """The cursor as the caller stores it."""
        return orjson.dumps(
            {
                "newest": _text_or_none(self.newest),
                "digests": self.digests,
                "page": self.page,
                "sweepNewest": _text_or_none(self.sweep_newest),
                "sweepDigests": self.sweep_digests,
                "passed": self.passed,
            }
        ).decode()

    @classmethod
    def from_text(cls, text: str | None) -> "Sweep":
        """The inverse; a cursor that cannot be read starts anew, which costs repeats and loses nothing."""
        if text is None:
            return cls()
        try:
            stored = orjson.loads(text)
            return cls(
                newest=instant_of(stored["newest"]),
                digests=tuple(stored["digests"]),
                page=stored["page"],
                sweep_newest=instant_of(stored["sweepNewest"]),
                sweep_digests=tuple(stored["sweepDigests"]),
                passed=stored["passed"],
            )
        except (ValueError, KeyError, TypeError):
            return cls()


async def fetch_notifications(account: Account, cursor: str | None, limit: int, reach: Reach) -> Page:
    """One page of what others did with the account."""
    return await _fetch_list(_NOTIFICATIONS, account, Sweep.from_text(cursor), limit, reach, floor=None)


async def fetch_own_posts(account: Account, cursor: str | None, limit: int, reach: Reach) -> Page:
    """One page of the account's own posts, replies and reposts, wherever they were written."""
    return await _fetch_list(_OWN_POSTS, account, Sweep.from_text(cursor), limit, reach, floor=None)


async def fetch_backfill(account: Account, cursor: str | None, limit: int, reach: Reach) -> Page:
    """One page of older notifications, down to `backfill_days`."""
    floor = reach.clock() - BACKFILL_REACH
    return await _fetch_list(_NOTIFICATIONS, account, Sweep.from_text(cursor), limit, reach, floor=floor)


async def fetch_known(account: Account, known: Sequence[KnownItem], reach: Reach) -> Page:
    """What changed in items we hold: another version, or gone.

    A list that lacks an item may only be late, and a deletion erases the text here, so absence is asked for a second
    time and by the record's own address; only a plain "no such record" is a deletion.
    """
    posts = [item for item in known if _is_post(item.remote_id)][:PAGE_MAX]
    if not posts:
        return Page((), None, more=False)
    reply = await read_posts(account, [item.remote_id for item in posts], reach)
    now = reach.clock()
    shown = {view["uri"]: view for view in _objects(reply.data.get("posts")) if isinstance(view.get("uri"), str)}
    events: list[RawEvent] = []
    for item in posts:
        view = shown.get(item.remote_id)
        if view is None:
            if await _is_gone(account, item.remote_id, reach):
                events.append(_deletion(account, item, now))
        elif view.get("cid") != item.version:
            events.append(
                _event(account, KNOWN_SOURCE, view, view.get("uri"), view.get("cid"), now, known=item.version)
            )
    return Page(tuple(events), None, more=False, quotas=reply.quotas)


async def read_posts(account: Account, uris: Sequence[str], reach: Reach) -> Reply:
    """The current view of at most 25 posts; those that are gone are left out."""
    params = [("uris", uri) for uri in uris]
    return await query(account.base_url, "app.bsky.feed.getPosts", params, reach, token=access_token(account))


def posts_in(reply: Reply) -> list[Item]:
    """The post views of `read_posts`."""
    return _objects(reply.data.get("posts"))


def object_of(value: object) -> Item:
    """The JSON object, or an empty one for anything else."""
    return cast("Item", value) if isinstance(value, dict) else {}


def instant_of(value: object) -> datetime | None:
    """A time as the network writes it, in UTC, or None when it is not one."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class _List:
    """One endless list of the server: how it is asked for and where its items are."""

    method: str
    field: str
    source: str

    def params(self, account: Account, limit: int, page: str | None) -> list[tuple[str, str]]:
        asked = [("limit", str(limit))]
        if self.source == FEED_SOURCE:
            asked += [("actor", account.remote_id), ("filter", "posts_with_replies")]
        return asked if page is None else [*asked, ("cursor", page)]

    def identity(self, item: Item) -> tuple[object, object, datetime | None]:
        """(id, version, instant in the order of the list); of a repost, those of the repost itself."""
        if self.source == NOTIFICATION_SOURCE:
            return item.get("uri"), item.get("cid"), instant_of(item.get("indexedAt"))
        post, reason = object_of(item.get("post")), object_of(item.get("reason"))
        if reason.get("$type") != REPOST_REASON:
            return post.get("uri"), post.get("cid"), instant_of(post.get("indexedAt"))
        # Both fields are optional in the protocol; the post then still names the repost of its viewer, which is us.
        uri = reason.get("uri") or object_of(post.get("viewer")).get("repost")
        return uri, reason.get("cid") or reason.get("indexedAt"), instant_of(reason.get("indexedAt"))


_NOTIFICATIONS = _List("app.bsky.notification.listNotifications", "notifications", NOTIFICATION_SOURCE)
_OWN_POSTS = _List("app.bsky.feed.getAuthorFeed", "feed", FEED_SOURCE)


async def _fetch_list(
    kind: _List, account: Account, state: Sweep, limit: int, reach: Reach, *, floor: datetime | None
) -> Page:
    params = kind.params(account, max(1, min(limit, PAGE_MAX)), state.page)
    reply = await query(account.base_url, kind.method, params, reach, token=access_token(account))
    items = reply.data.get(kind.field)
    if not isinstance(items, list):
        raise ContractBroken(KEY, "LIST_MISSING")
    now, seen = reach.clock(), set(state.digests)
    cutoff = floor or (now - BACKFILL_REACH if state.newest is None else None)
    events: list[RawEvent] = []
    oldest: datetime | None = None
    for item in cast("list[object]", items):
        event, instant = _listed(kind, account, item, now)
        digest = _digest(event)
        if instant is not None:
            oldest = instant if oldest is None else min(oldest, instant)
            state = _passed(state, instant, digest)
        if digest not in seen and not (cutoff is not None and instant is not None and instant < cutoff):
            events.append(event)
    page = reply.data.get("cursor")
    if isinstance(page, str) and items and page != state.page and not _is_far_enough(state, oldest, floor):
        return Page(tuple(reversed(events)), replace(state, page=page).to_text(), more=True, quotas=reply.quotas)
    return Page(tuple(reversed(events)), _finished(state).to_text(), more=False, quotas=reply.quotas)


def _listed(kind: _List, account: Account, item: object, now: datetime) -> tuple[RawEvent, datetime | None]:
    if not isinstance(item, dict):
        return _unreadable(account, kind.source, item, now), None
    view = cast("Item", item)
    identity, version, instant = kind.identity(view)
    return _event(account, kind.source, view, identity, version, now, instant=instant), instant


def _passed(state: Sweep, instant: datetime, digest: str) -> Sweep:
    newest = instant if state.sweep_newest is None else max(state.sweep_newest, instant)
    digests = state.sweep_digests if len(state.sweep_digests) >= DIGESTS_MAX else (*state.sweep_digests, digest)
    behind = state.newest is not None and instant <= state.newest
    return replace(state, sweep_newest=newest, sweep_digests=digests, passed=state.passed + behind)


def _is_far_enough(state: Sweep, oldest: datetime | None, floor: datetime | None) -> bool:
    if floor is not None:
        return oldest is not None and oldest < floor
    # The very first sweep takes the newest page; what lies before it is the backfill's.
    if state.newest is None:
        return True
    return state.passed >= OVERLAP_ITEMS and oldest is not None and oldest <= state.newest - OVERLAP


def _finished(state: Sweep) -> Sweep:
    newest = max((at for at in (state.newest, state.sweep_newest) if at is not None), default=None)
    return Sweep(newest=newest, digests=state.sweep_digests or state.digests)


def _event(
    account: Account,
    source: str,
    item: Item,
    identity: object,
    version: object,
    now: datetime,
    *,
    instant: datetime | None = None,
    known: str | None = None,
) -> RawEvent:
    address = address_of(identity)
    if address is None or not isinstance(version, str) or not version:
        return _unreadable(account, source, item, now)
    kind = address.collection.rpartition(".")[2]
    body = _envelope(account, source, item, now, known)
    return RawEvent(account.key, kind, address.uri, version, instant or now, body)


def _deletion(account: Account, item: KnownItem, now: datetime) -> RawEvent:
    body = _envelope(account, GONE_SOURCE, {"uri": item.remote_id, "cid": item.version}, now, item.version)
    return RawEvent(account.key, DELETED_KIND, item.remote_id, item.version, now, body)


def _unreadable(account: Account, source: str, item: object, now: datetime) -> RawEvent:
    digest = hashlib.sha256(_dumps(item)).hexdigest()
    return RawEvent(account.key, UNKNOWN_KIND, digest, "", None, _envelope(account, source, item, now, None))


def _envelope(account: Account, source: str, item: object, now: datetime, known: str | None) -> bytes:
    """What `parse` needs beside the item itself: whose account read it, from where, and when."""
    return _dumps(
        {"source": source, "own": account.remote_id, "observedAt": instant_text(now), "known": known, "item": item}
    )


def _dumps(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


async def _is_gone(account: Account, uri: str, reach: Reach) -> bool:
    address = address_of(uri)
    if address is None:
        return False
    params = [("repo", address.repo), ("collection", address.collection), ("rkey", address.rkey)]
    try:
        await query(account.base_url, "com.atproto.repo.getRecord", params, reach)
    except TargetGone:
        return True
    except Rejected:
        # The whole account is out of sight, perhaps for a day: that is not yet a deletion of what it wrote.
        return False
    return False


def _is_post(uri: str) -> bool:
    address = address_of(uri)
    return address is not None and address.permalink is not None


def _objects(items: object) -> list[Item]:
    found: Iterable[object] = items if isinstance(items, list) else ()
    return [cast("Item", item) for item in found if isinstance(item, dict)]


def _digest(event: RawEvent) -> str:
    key = f"{event.kind} {event.external_id} {event.version}"
    return hashlib.blake2b(key.encode(), digest_size=DIGEST_BYTES).hexdigest()


def _text_or_none(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
