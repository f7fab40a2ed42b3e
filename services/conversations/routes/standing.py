# SPDX-License-Identifier: EUPL-1.2
"""How a citizen's question stands, in words that tell nothing about who works on it or how."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.conversations.rules import ConversationState, Direction, ReplyPurpose


class Standing(StrEnum):
    """What the status page says. ANSWERED: ours is the last word, and it was more than an acknowledgement."""

    RECEIVED = "RECEIVED"
    OPEN = "OPEN"
    WAITING_ON_CITIZEN = "WAITING_ON_CITIZEN"
    ANSWERED = "ANSWERED"
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True)
class Entry:
    """One message as the citizen may read it. `text` is None when it was deleted."""

    direction: Direction
    text: str | None
    at: datetime
    language: str | None = None
    purpose: ReplyPurpose | None = None


def standing(state: ConversationState | None, entries: Sequence[Entry], *, waiting: bool) -> Standing:
    """How a question stands, its entries oldest first.

    `state` is None until the first message has been taken in; `waiting` says that a later one has not.
    """
    if state is None:
        return Standing.RECEIVED
    if waiting:
        return Standing.OPEN
    if state is ConversationState.CLOSED:
        return Standing.CLOSED
    if state is ConversationState.WAITING_ON_CITIZEN:
        return Standing.WAITING_ON_CITIZEN
    last = entries[-1] if entries else None
    if last is not None and last.direction is Direction.OUTBOUND and last.purpose is not ReplyPurpose.ACKNOWLEDGEMENT:
        return Standing.ANSWERED
    return Standing.OPEN
