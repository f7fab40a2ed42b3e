# SPDX-License-Identifier: EUPL-1.2
"""What Bluesky can do, as data with the day on which it was last checked."""

from datetime import date, timedelta
from types import MappingProxyType

from services.social_accounts.networks.capabilities import (
    Capabilities,
    EditRule,
    Ingest,
    LengthUnit,
    MediaRule,
    MetricKind,
    MetricRule,
    Publish,
    QuotaRule,
    QuotaScope,
    SendGuard,
    StreamRule,
    TextLimit,
    Threading,
    Transport,
)

POST_KIND = "post"
"""The kind of a raw event that holds a post."""
NOTIFICATIONS = "notifications"
OWN_POSTS = "own_posts"
KNOWN_ITEMS = "known_items"
BACKFILL = "backfill"

_POST_TEXT = (TextLimit(300, LengthUnit.GRAPHEME), TextLimit(3_000, LengthUnit.BYTE))
_GAUGE = MetricRule(MetricKind.GAUGE, late_days=30)
_HOUR, _DAY, _FIVE_MINUTES = timedelta(hours=1), timedelta(days=1), timedelta(minutes=5)
# putRecord counts 2 even when it creates: read in the server's source and not the 3 of createRecord.
_WRITES = MappingProxyType({"send": 2, "delete": 1})

BLUESKY = Capabilities(
    version="2026-11-22",
    checked_on=date(2026, 11, 22),
    backfill_days=30,
    ingest=frozenset({Ingest.PUBLIC_COMMENT, Ingest.MENTION, Ingest.OWN_ECHO}),
    transports=frozenset({Transport.POLL}),
    streams=(
        StreamRule(NOTIFICATIONS, every=timedelta(seconds=30)),
        StreamRule(OWN_POSTS, every=timedelta(minutes=2)),
        StreamRule(KNOWN_ITEMS, every=timedelta(minutes=1), known_max=25, known_kind=POST_KIND),
        StreamRule(BACKFILL, every=_DAY),
    ),
    publish=frozenset({Publish.POST, Publish.REPLY}),
    text_limits=MappingProxyType({Publish.POST: _POST_TEXT, Publish.REPLY: _POST_TEXT}),
    # The network takes images and video; this connector sends none yet, and capabilities say what we can do.
    media=MediaRule(),
    threading=Threading.TREE,
    reply_window=None,
    edit=EditRule(),
    delete=True,
    hide=False,
    react=False,
    typing_and_read_receipts=False,
    send_guard=SendGuard.CLIENT_ID,
    metrics=MappingProxyType({"like": _GAUGE, "repost": _GAUGE, "reply": _GAUGE, "quote": _GAUGE}),
    quotas=(
        QuotaRule("repo-write-hour", QuotaScope.ACCOUNT, _WRITES, 5_000, _HOUR),
        QuotaRule("repo-write-day", QuotaScope.ACCOUNT, _WRITES, 35_000, _DAY),
        QuotaRule("requests", QuotaScope.ADDRESS, MappingProxyType({"read": 1, "send": 1}), 3_000, _FIVE_MINUTES),
        QuotaRule("sign-in", QuotaScope.ACCOUNT, MappingProxyType({"sign_in": 1}), 30, _FIVE_MINUTES),
        QuotaRule("sign-in-day", QuotaScope.ACCOUNT, MappingProxyType({"sign_in": 1}), 100, _DAY),
    ),
)
