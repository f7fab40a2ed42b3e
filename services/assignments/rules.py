# SPDX-License-Identifier: EUPL-1.2
"""What a claim may become, and how many a person may hold."""

from collections.abc import Mapping
from enum import StrEnum

from services.kernel.errors import DomainError, InvalidState

CLAIMS_MAX = 10
REASON_LENGTH_MAX = 1_000


class ClaimState(StrEnum):
    HELD = "HELD"
    RELEASED = "RELEASED"
    COMPLETED = "COMPLETED"
    HANDED_OVER = "HANDED_OVER"
    TAKEN_OVER = "TAKEN_OVER"
    LAPSED = "LAPSED"


TRANSITIONS: Mapping[ClaimState, frozenset[ClaimState]] = {
    ClaimState.HELD: frozenset(ClaimState) - {ClaimState.HELD},
    **{ended: frozenset[ClaimState]() for ended in ClaimState if ended is not ClaimState.HELD},
}


class TooManyClaims(DomainError):
    """The caller holds as many conversations as one person may; finish or release one first."""

    code = "TOO_MANY_CLAIMS"
    message = "You hold {count} conversations already; finish or release one first."


class MachinesCannotClaim(DomainError):
    code = "MACHINES_CANNOT_CLAIM"
    message = "Only a person can hold a conversation."


def check_transition(before: ClaimState, after: ClaimState) -> None:
    if after not in TRANSITIONS[before]:
        raise InvalidState("A claim that is {before} cannot become {after}.", before=before, after=after)


def check_room(held: int) -> None:
    """Refuse a person who already holds as many conversations as one person can serve."""
    if held >= CLAIMS_MAX:
        raise TooManyClaims(count=CLAIMS_MAX)
