# SPDX-License-Identifier: EUPL-1.2
"""The tables of states, walked pair by pair: what the specification lists is allowed, everything else is refused."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.assignments import rules as claims
from services.assignments.rules import ClaimState
from services.conversations.rules import (
    TRANSITIONS,
    ConversationState,
    Intent,
    Trigger,
    after,
    next_contact_due_at,
    reopens,
)
from services.deliveries import rules as deliveries
from services.deliveries.rules import DeliveryState
from services.kernel.errors import InvalidState
from services.social_accounts.rules import LIFECYCLE_TRANSITIONS, Lifecycle

NOON = datetime(2026, 10, 5, 12, tzinfo=UTC)
RANDOM = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

CONVERSATION = """
    NEW > OPEN: ROUTED
    NEW OPEN SNOOZED > CLOSED: PERSON_CLOSES
    OPEN WAITING_ON_DEPARTMENT > WAITING_ON_CITIZEN: CLARIFYING_QUESTION_PUBLISHED
    OPEN WAITING_ON_CITIZEN > WAITING_ON_DEPARTMENT: TASK_OPENED
    WAITING_ON_DEPARTMENT > OPEN: TASKS_ENDED
    WAITING_ON_CITIZEN > OPEN: CITIZEN_WRITES PERSON_REOPENS
    WAITING_ON_CITIZEN > CLOSED: NO_RESPONSE PERSON_CLOSES
    OPEN > SNOOZED: PERSON_SNOOZES
    SNOOZED > OPEN: WAKE CITIZEN_WRITES PERSON_REOPENS
    CLOSED > OPEN: CITIZEN_WRITES PERSON_REOPENS
    CLOSED > REOPEN_REQUESTED: DISSATISFIED
    REOPEN_REQUESTED > OPEN: PERSON_ACCEPTS
    REOPEN_REQUESTED > CLOSED: PERSON_DECLINES
"""
"""Section 3 of the domain specification, line by line: states, the state they become, and by what."""

CLAIM = "HELD > RELEASED COMPLETED HANDED_OVER TAKEN_OVER LAPSED"
DELIVERY = """
    SCHEDULED > PUBLISHING SUSPENDED CANCELLED
    PUBLISHING > PUBLISHED FAILED UNCONFIRMED
    PUBLISHING > SCHEDULED
    UNCONFIRMED > PUBLISHED SCHEDULED
    UNCONFIRMED FAILED SUSPENDED > CANCELLED
    FAILED SUSPENDED > SCHEDULED
"""
LIFECYCLE = """
    REQUESTED > ACTIVE CLOSED
    ACTIVE > CLOSING
    CLOSING > ACTIVE CLOSED
"""
"""The specification names the states and that CLOSING comes before CLOSED; the rest is the code's own decision."""


def lines(table: str) -> list[tuple[list[str], list[str]]]:
    return [
        (before.split(), following.split())
        for before, _, following in (line.partition(">") for line in table.strip().splitlines())
    ]


def pairs(table: str) -> set[tuple[str, str]]:
    return {(one, other) for befores, afters in lines(table) for one in befores for other in afters}


def test_the_conversation_moves_as_the_specification_says_and_no_other_way() -> None:
    wanted: dict[tuple[str, str], str] = {}
    for befores, following in lines(CONVERSATION):
        target, triggers = following[0].rstrip(":"), following[1:]
        wanted |= {(before, trigger): target for before in befores for trigger in triggers}
    allowed = 0
    for state, trigger in product(ConversationState, Trigger):
        if (state.value, trigger.value) in wanted:
            assert after(state, trigger) == wanted[state.value, trigger.value]
            allowed += 1
        else:
            with pytest.raises(InvalidState) as caught:
                after(state, trigger)
            assert caught.value.code == "INVALID_STATE"
    assert allowed == len(wanted) == sum(len(row) for row in TRANSITIONS.values())


def test_every_pair_of_states_is_allowed_or_refused_as_the_specification_says() -> None:
    wanted = {(before, following[0].rstrip(":")) for befores, following in lines(CONVERSATION) for before in befores}
    found = {(before.value, target.value) for before, row in TRANSITIONS.items() for target in row.values()}
    assert found == wanted
    assert set(TRANSITIONS) == set(ConversationState)


@pytest.mark.parametrize(
    ("states", "table", "check"),
    [
        pytest.param(ClaimState, CLAIM, claims.check_transition, id="claim"),
        pytest.param(DeliveryState, DELIVERY, deliveries.check_transition, id="delivery"),
    ],
)
def test_every_pair_of_a_machine_is_allowed_or_refused(
    states: type[StrEnum], table: str, check: Callable[[StrEnum, StrEnum], None]
) -> None:
    wanted = pairs(table)
    for before, target in product(states, states):
        if (before.value, target.value) in wanted:
            check(before, target)
        else:
            with pytest.raises(InvalidState) as caught:
                check(before, target)
            assert caught.value.code == "INVALID_STATE"


def test_the_life_of_an_account() -> None:
    found = {(one.value, other.value) for one, others in LIFECYCLE_TRANSITIONS.items() for other in others}
    assert found == pairs(LIFECYCLE)
    assert set(LIFECYCLE_TRANSITIONS) == set(Lifecycle)


def test_from_every_state_a_conversation_can_come_to_its_end() -> None:
    for state in ConversationState:
        reached, frontier = {state}, [state]
        while frontier:
            following = [each for each in TRANSITIONS[frontier.pop()].values() if each not in reached]
            reached.update(following)
            frontier += following
        assert ConversationState.CLOSED in reached


def test_what_is_not_closed_always_has_a_next_date_and_what_is_closed_has_none() -> None:
    waits: Mapping[ConversationState, timedelta | None] = {
        state: timedelta(hours=24) for state in ConversationState
    } | {ConversationState.CLOSED: None, ConversationState.WAITING_ON_CITIZEN: timedelta(days=9)}
    for state, wait in waits.items():
        due = next_contact_due_at(state, last_activity_at=NOON, no_response_days=9)
        assert due == (None if wait is None else NOON + wait)


@RANDOM
@given(st.sampled_from([None, *Intent]), st.booleans(), st.integers(-3, 20), st.integers(0, 14), st.integers(-1, 1))
def test_a_closed_conversation_comes_back_inside_its_window_only(
    intent: Intent | None, blocked: bool, days: int, window: int, microseconds: int
) -> None:
    written_at = NOON + timedelta(days=days, microseconds=microseconds)
    came_back = reopens(intent, blocked=blocked, closed_at=NOON, written_at=written_at, window_days=window)
    never = {Intent.THANKS, Intent.REACTION, Intent.COMPLIMENT, Intent.SPAM}
    assert came_back == (not blocked and intent not in never and written_at - NOON <= timedelta(days=window))


def test_a_person_holds_ten_conversations_and_not_eleven() -> None:
    claims.check_room(9)
    with pytest.raises(claims.TooManyClaims) as caught:
        claims.check_room(10)
    assert caught.value.code == "TOO_MANY_CLAIMS"
