# SPDX-License-Identifier: EUPL-1.2
"""The demo at any instant, without a database: working hours as arithmetic, and stories that the rules accept."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from services.conversations import rules
from services.conversations.models import Conversation, Message
from services.conversations.rules import ConversationState
from services.demo.foundation import Ground
from services.demo.history import History
from services.demo.hours import OUTSIDE_SHARE, WorkingHours, moments, quarter_before
from services.demo.organizations import WATERRODE
from services.demo.plans import OrganizationPlan
from services.demo.stories import Closed, Wrote, until_now
from services.kernel import identifiers

HOURS = WorkingHours(ZoneInfo("Europe/Amsterdam"))
INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  zone given


@given(INSTANTS, st.floats(0, 5_000))
def test_work_is_never_done_outside_working_hours(start, minutes):
    end = HOURS.after(start, minutes)
    assert HOURS.is_open(end)
    assert end >= start


@given(INSTANTS, st.integers(0, 2_000), st.integers(0, 2_000))
def test_working_time_adds_up(start, one, other):
    assert HOURS.after(HOURS.after(start, one), other) == HOURS.after(start, one + other)


def test_a_question_of_friday_evening_is_answered_on_monday():
    friday = datetime(2026, 10, 23, 18, 30, tzinfo=HOURS.zone)
    assert HOURS.after(friday, 10) == datetime(2026, 10, 26, 9, 10, tzinfo=HOURS.zone)


@given(INSTANTS, st.integers(1, 200))
@settings(max_examples=25)
def test_citizens_write_within_the_period_and_their_share_by_night(until, count):
    until = quarter_before(until)
    since = until - timedelta(weeks=1)
    drawn = moments(random.Random(count), HOURS, since, until, count, outside=OUTSIDE_SHARE)
    assert len(drawn) == count
    assert drawn == sorted(drawn)
    assert since <= drawn[0] <= drawn[-1] < until
    assert sum(not HOURS.is_open(each) for each in drawn) == round(count * OUTSIDE_SHARE)


def test_what_lies_in_the_future_has_not_happened_and_neither_has_what_follows():
    at = datetime(2026, 10, 20, 9, tzinfo=UTC)
    steps = (
        Wrote(at, "?"),
        Closed(at + timedelta(hours=2), "a", rules.Outcome.ANSWERED, "."),
        Wrote(at + timedelta(hours=3), "!"),
    )
    assert until_now(steps, at + timedelta(hours=1)) == steps[:1]
    assert until_now(steps, at + timedelta(hours=4)) == steps


@given(INSTANTS)
@settings(max_examples=12, deadline=None)
def test_at_any_instant_the_history_obeys_the_rules_and_ends_there(now):
    now = now.replace(microsecond=0)
    history = History(_ground(WATERRODE), WATERRODE, random.Random(1), now)
    history.tell()  # every transition, route and wait is decided by the rules, which refuse what cannot be
    for message in history.ledger.rows[Message]:
        assert message["occurred_at"] <= now
    for row in history.ledger.rows[Conversation]:
        assert (row["next_contact_due_at"] is None) == (row["state"] is ConversationState.CLOSED)
        assert row["last_message_at"] <= now


def _ground(plan: OrganizationPlan) -> Ground:
    categories = {each.name: identifiers.new() for each in plan.categories}
    accounts = {each.handle: identifiers.new() for each in plan.accounts}
    return Ground(
        identifiers.new(),
        {each.code: identifiers.new() for each in plan.departments},
        {each.key: identifiers.new() for each in plan.people},
        accounts,
        categories,
        tuple(
            rules.Rule(identifiers.new(), each.category, each.keywords, categories[each.category])
            for each in plan.rules
        ),
    )
