# SPDX-License-Identifier: EUPL-1.2
"""Waiting segments: a pure function of a set of facts, checked against a slow and simple telling of the same rules."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.conversations.rules import (
    CitizenMessage,
    Closed,
    Intent,
    Outcome,
    PublishedReply,
    ReplyPurpose,
    Segment,
    SegmentOutcome,
    needs_answer,
    segments,
)
from services.conversations.rules.segments import Fact

FRIDAY = datetime(2026, 10, 2, 16, 45, tzinfo=UTC)
WAITS_FOR_ANSWER = {None, *Intent} - {Intent.COMPLIMENT, Intent.THANKS, Intent.REACTION, Intent.SPAM}
ANSWERS = {ReplyPurpose.ANSWER, ReplyPurpose.REFERRAL, ReplyPurpose.CLARIFYING_QUESTION}


def at(minutes: int) -> datetime:
    return FRIDAY + timedelta(minutes=minutes)


RANDOM = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def fact_of(number: int, chance: Random) -> Fact:
    own, when, key = UUID(int=number + 1), at(chance.randrange(7)), f"item-{chance.randrange(3)}-{number}"
    kind = chance.randrange(4)
    if kind < 2:
        gone = at(chance.randrange(9)) if chance.random() < 0.4 else None
        return CitizenMessage(own, when, key, chance.choice([None, None, *Intent]), gone)
    if kind == 2:
        return PublishedReply(own, when, key, chance.choice([*ReplyPurpose]))
    return Closed(own, when, chance.choice([*Outcome]))


def history_of(seed: int) -> list[Fact]:
    """What happened in one conversation, with many equal instants."""
    chance = Random(seed)
    return [fact_of(number, chance) for number in range(chance.randrange(9))]


def histories() -> st.SearchStrategy[list[Fact]]:
    """One number a history: to draw each of its parts by itself would take most of the test's time."""
    return st.integers(0, 2**32).map(history_of)


@dataclass
class Wait:
    """The oracle's own idea of a segment."""

    opened_by: UUID
    opened_at: datetime
    waiting: set[UUID]
    outcome: SegmentOutcome | None = None
    closed_by: UUID | None = None
    closed_at: datetime | None = None


def told_simply(facts: Iterable[Fact]) -> list[Wait]:
    """Walk through the minutes: at each, first what citizens said, then what they took back, then replies, closings."""
    listed = list(facts)
    moments = {fact.at for fact in listed} | {
        each.deleted_at for each in listed if isinstance(each, CitizenMessage) and each.deleted_at
    }
    waits: list[Wait] = []

    def running() -> Wait | None:
        return waits[-1] if waits and waits[-1].outcome is None else None

    def end(wait: Wait, by: UUID, when: datetime, outcome: SegmentOutcome) -> None:
        wait.closed_by, wait.closed_at, wait.outcome = by, when, outcome

    for moment in sorted(moments):
        messages = [each for each in listed if isinstance(each, CitizenMessage) and each.intent in WAITS_FOR_ANSWER]
        for message in sorted((each for each in messages if each.at == moment), key=lambda each: (each.key, each.id)):
            if running() is None:
                waits.append(Wait(message.id, moment, set()))
            waits[-1].waiting.add(message.id)
        gone = [each for each in messages if each.deleted_at is not None and max(each.deleted_at, each.at) == moment]
        for message in sorted(gone, key=lambda each: each.id):
            wait = running()
            if wait is not None and message.id in wait.waiting:
                wait.waiting.discard(message.id)
                if not wait.waiting:
                    end(wait, message.id, moment, SegmentOutcome.WITHDRAWN)
        replies = [each for each in listed if isinstance(each, PublishedReply) and each.at == moment]
        for reply in sorted(replies, key=lambda each: (each.key, each.id)):
            wait = running()
            if wait is not None and reply.purpose in ANSWERS:
                end(wait, reply.id, moment, SegmentOutcome.ANSWERED)
        closings = [each for each in listed if isinstance(each, Closed) and each.at == moment]
        for closing in sorted(closings, key=lambda each: each.id):
            wait = running()
            if wait is not None:
                is_dismissed = closing.outcome in (Outcome.NO_ANSWER_NEEDED, Outcome.SPAM)
                outcome = SegmentOutcome.DISMISSED if is_dismissed else SegmentOutcome.UNANSWERED_CLOSED
                end(wait, closing.id, moment, outcome)
    return waits


def as_wait(segment: Segment) -> tuple[object, ...]:
    return (segment.opened_by, segment.opened_at, segment.outcome, segment.closed_by, segment.closed_at)


@RANDOM
@given(histories())
def test_segments_equal_a_walk_through_the_minutes(facts: list[Fact]) -> None:
    expected = [
        (wait.opened_by, wait.opened_at, wait.outcome, wait.closed_by, wait.closed_at) for wait in told_simply(facts)
    ]
    assert [as_wait(segment) for segment in segments(facts)] == expected


@RANDOM
@given(histories(), st.data())
def test_the_order_in_which_facts_become_known_does_not_matter(facts: list[Fact], data: st.DataObject) -> None:
    assert segments(data.draw(st.permutations(facts))) == segments(facts)


@RANDOM
@given(histories())
def test_at_most_one_wait_is_open_and_it_is_the_last(facts: list[Fact]) -> None:
    found = segments(facts)
    assert all(segment.outcome is not None for segment in found[:-1])
    assert [segment.is_first for segment in found] == [place == 0 for place in range(len(found))]


@RANDOM
@given(histories())
def test_a_wait_never_ends_before_it_begins_and_waits_do_not_overlap(facts: list[Fact]) -> None:
    found = segments(facts)
    for segment in found:
        assert (segment.wall_seconds is None) == (segment.outcome is None)
        assert segment.wall_seconds is None or segment.wall_seconds >= 0
    for one, next_one in pairwise(found):
        assert one.closed_at is not None
        assert one.closed_at <= next_one.opened_at


@RANDOM
@given(histories())
def test_only_a_message_that_needs_an_answer_opens_a_wait(facts: list[Fact]) -> None:
    by_id = {fact.id: fact for fact in facts}
    for segment in segments(facts):
        opener = by_id[segment.opened_by]
        assert isinstance(opener, CitizenMessage)
        assert needs_answer(opener.intent)
        assert opener.at == segment.opened_at


@RANDOM
@given(histories(), st.integers(0, 8))
def test_a_later_message_never_restarts_a_wait(facts: list[Fact], minute: int) -> None:
    before = segments(facts)
    last = before[-1] if before else None
    if last is None or last.outcome is not None or at(minute) < last.opened_at:
        return
    added = CitizenMessage(UUID(int=99), at(minute), "item-zzz", Intent.QUESTION)
    assert [each.opened_at for each in segments([*facts, added])] == [each.opened_at for each in before]


@RANDOM
@given(histories())
def test_a_message_taken_back_after_the_reply_changes_no_answered_wait(facts: list[Fact]) -> None:
    for segment in segments(facts):
        if segment.outcome is not SegmentOutcome.ANSWERED or segment.closed_at is None:
            continue
        late = segment.closed_at + timedelta(minutes=30)
        withdrawn = [
            replace(fact, deleted_at=late)
            if isinstance(fact, CitizenMessage) and fact.deleted_at is None and fact.at <= segment.closed_at
            else fact
            for fact in facts
        ]
        assert as_wait(segment) in [as_wait(each) for each in segments(withdrawn)]


@RANDOM
@given(histories())
def test_a_withdrawn_wait_had_no_reply_and_no_message_left(facts: list[Fact]) -> None:
    for segment in segments(facts):
        if segment.outcome is SegmentOutcome.WITHDRAWN and segment.closed_at is not None:
            within = [fact for fact in facts if segment.opened_at <= fact.at < segment.closed_at]
            assert not any(isinstance(fact, PublishedReply) and fact.purpose in ANSWERS for fact in within)
            messages = [each for each in within if isinstance(each, CitizenMessage) and needs_answer(each.intent)]
            assert all(each.deleted_at is not None and each.deleted_at <= segment.closed_at for each in messages)


def test_only_thanks_praise_reactions_and_spam_wait_for_nothing() -> None:
    assert {intent for intent in (None, *Intent) if needs_answer(intent)} == WAITS_FOR_ANSWER
    assert {Intent.COMPLIMENT, Intent.THANKS, Intent.REACTION, Intent.SPAM} == set(Intent) - WAITS_FOR_ANSWER


def test_an_acknowledgement_ends_no_wait_and_a_question_back_does() -> None:
    asked = CitizenMessage(UUID(int=1), at(0), "1")
    acknowledged = PublishedReply(UUID(int=2), at(5), "2", ReplyPurpose.ACKNOWLEDGEMENT)
    [still] = segments([asked, acknowledged])
    assert still.outcome is None
    asked_back = PublishedReply(UUID(int=3), at(9), "3", ReplyPurpose.CLARIFYING_QUESTION)
    [ended] = segments([asked, acknowledged, asked_back])
    assert (ended.outcome, ended.closed_by, ended.wall_seconds) == (SegmentOutcome.ANSWERED, asked_back.id, 540)


def test_friday_quarter_to_five_to_monday_ten_is_sixty_five_hours_and_a_quarter_of_wall_time() -> None:
    asked = CitizenMessage(UUID(int=1), FRIDAY, "1")
    answered = PublishedReply(UUID(int=2), datetime(2026, 10, 5, 10, tzinfo=UTC), "2", ReplyPurpose.ANSWER)
    [segment] = segments([answered, asked])
    assert segment.wall_seconds == (65 * 60 + 15) * 60


def test_closing_without_a_reply_is_unanswered_and_only_two_outcomes_dismiss() -> None:
    asked = CitizenMessage(UUID(int=1), at(0), "1")
    ends = {outcome: segments([asked, Closed(UUID(int=2), at(3), outcome)])[0].outcome for outcome in Outcome}
    assert {outcome for outcome, end in ends.items() if end is SegmentOutcome.DISMISSED} == {
        Outcome.NO_ANSWER_NEEDED,
        Outcome.SPAM,
    }
    assert set(ends.values()) == {SegmentOutcome.DISMISSED, SegmentOutcome.UNANSWERED_CLOSED}


def test_at_equal_instants_the_citizen_comes_before_us() -> None:
    answered = PublishedReply(UUID(int=1), at(0), "a", ReplyPurpose.ANSWER)
    asked = CitizenMessage(UUID(int=2), at(0), "z")
    [segment] = segments([answered, asked])
    assert (segment.outcome, segment.wall_seconds) == (SegmentOutcome.ANSWERED, 0)
