# SPDX-License-Identifier: EUPL-1.2
"""Why an act on a conversation is refused, and the bounds of what people type."""

from services.kernel.errors import DomainError, Required, TooLong

TEXT_LENGTH_MAX = 20_000
CLOSING_TEXT_LENGTH_MAX = 2_000


class ClaimIsStale(DomainError):
    code = "CLAIM_IS_STALE"
    message = "You no longer hold this conversation; claim it again to go on."


class AlreadyClaimed(DomainError):
    code = "ALREADY_CLAIMED"
    message = "Somebody else is working on this."


class ReplyInProgress(DomainError):
    code = "REPLY_IN_PROGRESS"
    message = "An answer to this question is already on its way."


class AlreadyAnswered(DomainError):
    code = "ALREADY_ANSWERED"
    message = "This question has been answered; say that this is a follow-up to add to it."


class CitizenWroteMeanwhile(DomainError):
    code = "CITIZEN_WROTE_MEANWHILE"
    message = "The citizen wrote again while you were typing; read it first."


class FormalNeedsReferral(DomainError):
    code = "FORMAL_NEEDS_REFERRAL"
    message = "This is a formal matter: it can only be referred to its formal route."


class PrivateWordsInPublic(DomainError):
    code = "PRIVATE_WORDS_IN_PUBLIC"
    message = "This public answer repeats what the citizen said in private."


def check_text(text: str, *, field: str = "text", length_max: int = TEXT_LENGTH_MAX) -> str:
    """The text without surrounding space; it must say something and be bounded."""
    bare = text.strip()
    if not bare:
        raise Required(field=(field,))
    if len(bare) > length_max:
        raise TooLong("At most {count} characters.", field=(field,), count=length_max)
    return bare
