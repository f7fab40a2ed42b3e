# SPDX-License-Identifier: EUPL-1.2
"""Acts on conversations: take in, route, hold, answer, close."""

from services.conversations.commands.closing import close, close_without_response, reopen
from services.conversations.commands.holding import complete, hold, keep, lapse, let_go, take
from services.conversations.commands.ingest import Batch, take_in
from services.conversations.commands.intake import BATCH_SIZE_MAX, drain
from services.conversations.commands.replying import (
    NO_RESPONSE,
    record_counts,
    record_failed,
    record_published,
    reply,
    resolve_delivery,
)
from services.conversations.commands.routing import categorize
from services.conversations.commands.threads import Collision

__all__ = [
    "BATCH_SIZE_MAX",
    "NO_RESPONSE",
    "Batch",
    "Collision",
    "categorize",
    "close",
    "close_without_response",
    "complete",
    "drain",
    "hold",
    "keep",
    "lapse",
    "let_go",
    "record_counts",
    "record_failed",
    "record_published",
    "reopen",
    "reply",
    "resolve_delivery",
    "take",
    "take_in",
]
