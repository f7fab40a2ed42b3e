# SPDX-License-Identifier: EUPL-1.2
"""The words of conversations: closed sets that tables, events and clients share."""

import hashlib
from enum import IntEnum, StrEnum


class ConversationState(StrEnum):
    NEW = "NEW"
    OPEN = "OPEN"
    WAITING_ON_CITIZEN = "WAITING_ON_CITIZEN"
    WAITING_ON_DEPARTMENT = "WAITING_ON_DEPARTMENT"
    SNOOZED = "SNOOZED"
    CLOSED = "CLOSED"
    REOPEN_REQUESTED = "REOPEN_REQUESTED"


class Outcome(StrEnum):
    """Why a conversation was closed."""

    ANSWERED = "ANSWERED"
    RESOLVED = "RESOLVED"
    REFERRED = "REFERRED"
    NO_RESPONSE = "NO_RESPONSE"
    NO_ANSWER_NEEDED = "NO_ANSWER_NEEDED"
    DUPLICATE = "DUPLICATE"
    SPAM = "SPAM"


class ChannelKind(StrEnum):
    """How public the exchange is."""

    PUBLIC = "PUBLIC"
    DIRECT = "DIRECT"
    MAIL = "MAIL"
    FORM = "FORM"


class Visibility(StrEnum):
    """Who can read one message on its network."""

    PUBLIC = "PUBLIC"
    DIRECT = "DIRECT"


class Direction(StrEnum):
    INBOUND = "INBOUND"
    OUTBOUND = "OUTBOUND"


class AuthorKind(StrEnum):
    """Who wrote a message. EXTERNAL: one of ours, in the network's own app. AUTOMATIC: Belfry by itself."""

    CITIZEN = "CITIZEN"
    COLLEAGUE = "COLLEAGUE"
    EXTERNAL = "EXTERNAL"
    AUTOMATIC = "AUTOMATIC"


class ParticipantKind(StrEnum):
    COLLABORATOR = "COLLABORATOR"
    TASK = "TASK"


class Intent(StrEnum):
    """What a citizen wants with a message. Null means unclassified, which needs an answer."""

    QUESTION = "QUESTION"
    COMPLAINT = "COMPLAINT"
    REPORT = "REPORT"
    REQUEST = "REQUEST"
    FORMAL_REQUEST = "FORMAL_REQUEST"
    IDEA = "IDEA"
    COMPLIMENT = "COMPLIMENT"
    THANKS = "THANKS"
    REACTION = "REACTION"
    SPAM = "SPAM"


NEEDS_NO_ANSWER = frozenset({Intent.COMPLIMENT, Intent.THANKS, Intent.REACTION, Intent.SPAM})
NEVER_REOPENS = frozenset({Intent.COMPLIMENT, Intent.THANKS, Intent.REACTION})


class Difficulty(StrEnum):
    EASY = "EASY"
    NORMAL = "NORMAL"
    HARD = "HARD"


class Priority(IntEnum):
    """Stored as a rank, because text sorts by spelling."""

    LOW = 10
    NORMAL = 20
    HIGH = 30
    URGENT = 40


class ReplyPurpose(StrEnum):
    """What a reply does. ACKNOWLEDGEMENT stops no waiting."""

    ANSWER = "ANSWER"
    REFERRAL = "REFERRAL"
    CLARIFYING_QUESTION = "CLARIFYING_QUESTION"
    ACKNOWLEDGEMENT = "ACKNOWLEDGEMENT"


class SegmentOutcome(StrEnum):
    """How a wait ended; null while it lasts."""

    ANSWERED = "ANSWERED"
    UNANSWERED_CLOSED = "UNANSWERED_CLOSED"
    DISMISSED = "DISMISSED"
    WITHDRAWN = "WITHDRAWN"


REFERENCE_LETTERS = "23456789CDFGHJKMNPQRTVWXYZ"
"""Letters and digits that nobody mishears or misreads on the telephone, without vowels, so that no words arise."""


def reference_of(submission_id: str) -> str:
    """What a citizen can quote on the telephone: two groups of four, from the id of their submission."""
    number = int.from_bytes(hashlib.sha256(submission_id.encode()).digest()[:8])
    letters = [
        REFERENCE_LETTERS[number // len(REFERENCE_LETTERS) ** place % len(REFERENCE_LETTERS)] for place in range(8)
    ]
    return f"{''.join(letters[:4])}-{''.join(letters[4:])}"
