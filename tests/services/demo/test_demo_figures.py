# SPDX-License-Identifier: EUPL-1.2
"""The shape of the eight weeks: when citizens ask, who answers, and a value for every figure."""

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise
from math import inf
from zoneinfo import ZoneInfo

from services.conversations.models import Conversation, Message, WaitingSegment
from services.conversations.rules import SegmentOutcome
from services.demo.hours import WorkingHours
from services.social_accounts.models import SocialAccount
from services.social_accounts.rules import OutboundKind, Purpose
from services.tenancy.models import Department
from services.workload.rules import Observation, OutboundMix, buckets, censored_median

WEEK = timedelta(weeks=1)


async def test_three_in_ten_ask_outside_opening_hours(seeded):
    hours = WorkingHours(ZoneInfo(seeded.plan.zone))
    rows = await seeded.all(Conversation)
    assert 0.25 <= sum(not hours.is_open(each.opened_at) for each in rows) / len(rows) <= 0.35


async def test_a_fifth_is_answered_by_another_department_than_the_desk(molendam):
    departments, rows = await molendam.by_id(Department), await molendam.all(Conversation)
    second_line = [each for each in rows if not departments[each.department_id].is_coordination_desk]
    assert 0.15 <= len(second_line) / len(rows) <= 0.25


async def test_the_crisis_brings_more_questions_for_two_days(molendam):
    per_day = Counter((molendam.at - each.opened_at) // timedelta(days=1) for each in await molendam.all(Conversation))
    ordinary = sorted(per_day.values())[len(per_day) // 2]
    assert max(per_day.values()) >= 2 * ordinary


async def test_the_crisis_account_speaks_for_two_days_only(molendam):
    account = next(each for each in await molendam.all(SocialAccount) if each.purpose is Purpose.CRISIS_ONLY)
    said = [each.occurred_at for each in await molendam.all(Message) if each.social_account_id == account.id]
    assert len(said) >= 5
    assert max(said) - min(said) <= timedelta(days=2)


async def test_all_eight_buckets_and_both_medians_have_values(molendam, tell):
    rows = await molendam.all(WaitingSegment)
    answered = [each.wall_seconds for each in rows if each.outcome is SegmentOutcome.ANSWERED]
    counts = buckets(answered)
    assert all(count > 0 for count in counts)
    observations = [
        Observation(_seconds(each, molendam.at), each.outcome is SegmentOutcome.ANSWERED)
        for each in rows
        if each.outcome is not SegmentOutcome.WITHDRAWN and each.dismissal_confirmed_by is None
    ]
    median = censored_median(observations)
    assert median.seconds is not None
    assert median.seconds > sorted(answered)[len(answered) // 2], "unanswered questions make the figure worse"
    tell(f"{len(answered)} answered waits, buckets {counts}, censored median {median.seconds / 3600:.1f} h")


async def test_the_last_four_weeks_alone_have_a_median_in_both(seeded):
    rows = [each for each in await seeded.all(WaitingSegment) if each.opened_at >= seeded.at - 4 * WEEK]
    observations = [Observation(_seconds(each, seeded.at), each.outcome is SegmentOutcome.ANSWERED) for each in rows]
    assert censored_median(observations).seconds is not None


async def test_the_share_of_starters_falls_from_73_to_50_percent(molendam, tell):
    since = min(each.opened_at for each in await molendam.all(Conversation))
    segments = defaultdict(list)
    for segment in await molendam.all(WaitingSegment):
        segments[segment.conversation_id].append(segment)
    counted: dict[object, Message] = {}
    for message in sorted(await molendam.all(Message), key=lambda each: each.occurred_at):
        if message.outbound_kind is not None and message.published_at is not None:
            counted.setdefault(_item(message, segments), message)
    start = molendam.at.replace(minute=0, second=0) - 8 * WEEK
    assert abs(since - start) < timedelta(days=1)
    shares: list[float] = []
    for week in range(8):
        kinds = Counter(each.outbound_kind for each in counted.values() if (each.published_at - start) // WEEK == week)
        mix = OutboundMix(*(kinds[kind] for kind in (OutboundKind.STARTER, OutboundKind.RESHARE, OutboundKind.REPLY,
                                                       OutboundKind.PROACTIVE)))  # fmt: skip
        assert mix.reshare > 0
        assert mix.proactive > 0
        shares.append(float(mix.megaphone_ratio or 0))
    assert abs(shares[0] - 0.73) < 0.03
    assert abs(shares[-1] - 0.50) < 0.03
    assert all(later < earlier + 0.02 for earlier, later in pairwise(shares))
    tell("share of starters by week: " + ", ".join(f"{share:.2f}" for share in shares))


def _seconds(segment: WaitingSegment, now) -> float:
    if segment.outcome is SegmentOutcome.ANSWERED:
        return float(segment.wall_seconds or 0)
    return (now - segment.opened_at).total_seconds() if segment.outcome is None else inf


def _item(message: Message, segments):
    """What an outbound message counts as, once: a reply by its conversation and wait, anything else by itself."""
    if message.outbound_kind is not OutboundKind.REPLY:
        return message.id
    waits = [each for each in segments[message.conversation_id] if each.opened_at <= message.published_at]
    newest = max(waits, key=lambda each: each.opened_at, default=None)
    return message.conversation_id, newest.id if newest else None
