# SPDX-License-Identifier: EUPL-1.2
"""The table of states, what moves a conversation through it, and when somebody must look again."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from services.conversations.rules.words import NEVER_REOPENS, ConversationState, Intent
from services.kernel.errors import InvalidState

CONTACT_DUE_AFTER = timedelta(hours=24)


class Trigger(StrEnum):
    """What moves a conversation from one state to another."""

    ROUTED = "ROUTED"
    PERSON_CLOSES = "PERSON_CLOSES"
    CLARIFYING_QUESTION_PUBLISHED = "CLARIFYING_QUESTION_PUBLISHED"
    TASK_OPENED = "TASK_OPENED"
    TASKS_ENDED = "TASKS_ENDED"
    CITIZEN_WRITES = "CITIZEN_WRITES"
    PERSON_REOPENS = "PERSON_REOPENS"
    NO_RESPONSE = "NO_RESPONSE"
    PERSON_SNOOZES = "PERSON_SNOOZES"
    WAKE = "WAKE"
    DISSATISFIED = "DISSATISFIED"
    PERSON_ACCEPTS = "PERSON_ACCEPTS"
    PERSON_DECLINES = "PERSON_DECLINES"


S, T = ConversationState, Trigger
TRANSITIONS: Mapping[ConversationState, Mapping[Trigger, ConversationState]] = {
    S.NEW: {T.ROUTED: S.OPEN, T.PERSON_CLOSES: S.CLOSED},
    S.OPEN: {
        T.PERSON_CLOSES: S.CLOSED,
        T.CLARIFYING_QUESTION_PUBLISHED: S.WAITING_ON_CITIZEN,
        T.TASK_OPENED: S.WAITING_ON_DEPARTMENT,
        T.PERSON_SNOOZES: S.SNOOZED,
    },
    S.WAITING_ON_CITIZEN: {
        T.CITIZEN_WRITES: S.OPEN,
        T.PERSON_REOPENS: S.OPEN,
        T.NO_RESPONSE: S.CLOSED,
        T.PERSON_CLOSES: S.CLOSED,
        T.TASK_OPENED: S.WAITING_ON_DEPARTMENT,
    },
    S.WAITING_ON_DEPARTMENT: {T.TASKS_ENDED: S.OPEN, T.CLARIFYING_QUESTION_PUBLISHED: S.WAITING_ON_CITIZEN},
    S.SNOOZED: {T.WAKE: S.OPEN, T.CITIZEN_WRITES: S.OPEN, T.PERSON_REOPENS: S.OPEN, T.PERSON_CLOSES: S.CLOSED},
    S.CLOSED: {T.CITIZEN_WRITES: S.OPEN, T.PERSON_REOPENS: S.OPEN, T.DISSATISFIED: S.REOPEN_REQUESTED},
    S.REOPEN_REQUESTED: {T.PERSON_ACCEPTS: S.OPEN, T.PERSON_DECLINES: S.CLOSED},
}


def after(state: ConversationState, trigger: Trigger) -> ConversationState:
    """The next state. Any pair that the table does not list is refused."""
    following = TRANSITIONS[state].get(trigger)
    if following is None:
        raise InvalidState("A conversation that is {state} cannot do this.", state=state)
    return following


def next_contact_due_at(
    state: ConversationState, *, last_activity_at: datetime, no_response_days: int
) -> datetime | None:
    """When somebody must look again at the latest. Never null while a conversation is not closed."""
    if state is S.CLOSED:
        return None
    if state is S.WAITING_ON_CITIZEN:
        return last_activity_at + timedelta(days=no_response_days)
    return last_activity_at + CONTACT_DUE_AFTER


def reopens(
    intent: Intent | None, *, blocked: bool, closed_at: datetime, written_at: datetime, window_days: int
) -> bool:
    """Whether a citizen's message brings a closed conversation back, instead of starting a new one."""
    in_window = written_at <= closed_at + timedelta(days=window_days)
    return in_window and not blocked and intent not in NEVER_REOPENS and intent is not Intent.SPAM
