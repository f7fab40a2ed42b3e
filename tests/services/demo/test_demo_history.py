# SPDX-License-Identifier: EUPL-1.2
"""The eight weeks: every row as the rules would have left it, and every figure with a value."""

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise

from sqlalchemy import DateTime
from sqlalchemy.types import TypeDecorator

from services.assignments.models import Claim
from services.assignments.rules import ClaimState
from services.conversations import rules
from services.conversations.commands import NO_RESPONSE
from services.conversations.models import (
    Category,
    CategoryDepartment,
    Closing,
    Contact,
    Conversation,
    Message,
    Reply,
    RoutingDecision,
    RoutingRule,
    WaitingSegment,
)
from services.conversations.rules import (
    AuthorKind,
    ChannelKind,
    CitizenMessage,
    Closed,
    ConversationState,
    Difficulty,
    Outcome,
    PublishedReply,
    ReplyPurpose,
    SegmentOutcome,
    Visibility,
)
from services.deliveries.models import Delivery, DeliveryAttempt
from services.deliveries.rules import AttemptOutcome, DeliveryState
from services.demo.ledger import PARENTS_FIRST
from services.kernel.jobs import Job
from services.social_accounts.models import SocialAccount
from services.social_accounts.rules import Network, OutboundKind
from services.tenancy.models import Department, Membership

WEEK = timedelta(weeks=1)


async def test_there_are_as_many_conversations_as_told(molendam, waterrode):
    assert 600 <= len(await molendam.all(Conversation)) <= 900
    assert 60 <= len(await waterrode.all(Conversation)) <= 100


async def test_nothing_happens_after_the_instant_of_seeding_or_before_the_eight_weeks(seeded):
    foreseen = {"next_contact_due_at", "due_order"}
    for model in PARENTS_FIRST:
        instants = [column.name for column in model.__table__.columns if _is_instant(column.type)]  # pyright: ignore[reportAttributeAccessIssue]
        for row in await seeded.all(model):
            for name in set(instants) - foreseen:
                value = getattr(row, name)
                assert value is None or seeded.at - 8 * WEEK - timedelta(minutes=15) <= value <= seeded.at, (name, row)


async def test_every_wait_equals_its_recomputation_from_the_facts(seeded):
    messages, closings = defaultdict(list), defaultdict(list)
    for message in await seeded.all(Message):
        messages[message.conversation_id].append(message)
    for closing in await seeded.all(Closing):
        closings[closing.conversation_id].append(closing)
    stored = defaultdict(list)
    for segment in await seeded.all(WaitingSegment):
        stored[segment.conversation_id].append(segment)
    for conversation in await seeded.all(Conversation):
        facts = [
            *(fact for message in messages[conversation.id] if (fact := _fact(message)) is not None),
            *(Closed(each.id, each.at, each.outcome) for each in closings[conversation.id]),
        ]
        computed = [
            (
                each.opened_by,
                each.opened_at,
                each.closed_by,
                each.closed_at,
                each.outcome,
                each.wall_seconds,
                each.is_first,
            )
            for each in rules.segments(facts)
        ]
        rows = sorted(stored[conversation.id], key=lambda each: each.opened_at)
        assert computed == [
            (
                each.opened_by,
                each.opened_at,
                each.closed_by,
                each.closed_at,
                each.outcome,
                each.wall_seconds,
                each.is_first,
            )
            for each in rows
        ]


async def test_whatever_is_not_closed_is_due_sometime(seeded):
    for row in await seeded.all(Conversation):
        if row.state is ConversationState.CLOSED:
            assert row.next_contact_due_at is None
            assert row.outcome is not None
            assert row.closed_at is not None
        else:
            assert row.next_contact_due_at is not None
            assert row.outcome is None
            assert row.closed_at is None


async def test_the_inbox_is_realistic(molendam):
    rows = [each for each in await molendam.all(Conversation) if each.state is not ConversationState.CLOSED]
    states = Counter(each.state for each in rows)
    assert 20 <= len(rows) <= 90
    assert states.keys() == {ConversationState.NEW, ConversationState.OPEN, ConversationState.WAITING_ON_CITIZEN}
    old = [each for each in rows if each.fence == 0 and each.opened_at < molendam.at - timedelta(days=3)]
    assert old, "some that nobody has ever claimed"


async def test_nobody_holds_anything(seeded):
    assert all(each.holder_id is None and each.lease_until is None for each in await seeded.all(Conversation))
    assert all(each.state is not ClaimState.HELD for each in await seeded.all(Claim))


async def test_claims_end_in_order_and_the_fence_counts_them(seeded):
    claims = defaultdict(list)
    for claim in await seeded.all(Claim):
        claims[claim.conversation_id].append(claim)
    for row in await seeded.all(Conversation):
        mine = sorted(claims[row.id], key=lambda each: each.fence)
        assert [each.fence for each in mine] == list(range(1, row.fence + 1))
        assert row.last_holder_id == (mine[-1].holder_id if mine else None)
        for each in mine:
            assert each.claimed_at <= each.last_active_at <= each.ended_at
            assert (each.reason is not None) == (each.state is ClaimState.TAKEN_OVER)
        assert all(each.ended_at <= following.claimed_at for each, following in pairwise(mine))


async def test_claims_ended_in_every_way_that_exists_today(molendam):
    ended = {each.state for each in await molendam.all(Claim)}
    assert ended == {ClaimState.COMPLETED, ClaimState.RELEASED, ClaimState.LAPSED, ClaimState.TAKEN_OVER}


async def test_every_reply_was_written_under_a_claim_and_has_its_delivery(seeded):
    deliveries, messages = await seeded.by_id(Delivery), await seeded.by_id(Message)
    segments, claims = await seeded.by_id(WaitingSegment), defaultdict(list)
    for claim in await seeded.all(Claim):
        claims[claim.conversation_id, claim.holder_id].append(claim)
    attempts = {each.delivery_id: each for each in await seeded.all(DeliveryAttempt)}
    replies = await seeded.all(Reply)
    assert len(replies) == len(deliveries) == len(attempts)
    for reply in replies:
        delivery, message = deliveries[reply.delivery_id], messages[reply.message_id]
        assert delivery.origin_id == reply.id
        assert delivery.text == message.text
        assert (message.published_at, message.purpose) == (delivery.published_at, reply.purpose)
        published = delivery.state is DeliveryState.PUBLISHED
        assert (message.external_id is not None) == (message.published_at is not None) == published
        assert message.external_id == (delivery.remote_id if published else None)
        assert (message.outbound_kind is OutboundKind.REPLY) == published
        assert (attempts[delivery.id].outcome is AttemptOutcome.ACCEPTED) == published
        assert any(
            each.claimed_at <= reply.created_at <= each.ended_at
            for each in claims[reply.conversation_id, reply.author_id]
        )
        if reply.segment_id is not None:
            assert segments[reply.segment_id].opened_at <= reply.created_at
        else:
            assert reply.follow_up


async def test_at_most_one_answer_has_an_unknown_outcome(molendam):
    states = Counter(each.state for each in await molendam.all(Delivery))
    assert states[DeliveryState.UNCONFIRMED] <= 1
    assert states[DeliveryState.PUBLISHED] > 0.98 * states.total()


async def test_every_purpose_and_every_outcome_occurs(molendam):
    assert {each.purpose for each in await molendam.all(Reply)} == set(ReplyPurpose)
    assert {each.outcome for each in await molendam.all(Conversation)} == {None, *Outcome}
    outcomes = {each.outcome for each in await molendam.all(WaitingSegment)}
    assert outcomes == {None, *SegmentOutcome}


async def test_a_dismissal_is_confirmed_by_somebody_else_or_by_nobody(molendam):
    closings = defaultdict(list)
    for closing in await molendam.all(Closing):
        closings[closing.conversation_id].append(closing)
    dismissed = [each for each in await molendam.all(WaitingSegment) if each.outcome is SegmentOutcome.DISMISSED]
    assert {each.dismissal_confirmed_by is None for each in dismissed} == {True, False}
    for each in dismissed:
        dismissers = {closing.closed_by for closing in closings[each.conversation_id]}
        assert each.dismissal_confirmed_by not in dismissers


async def test_a_deleted_message_has_lost_its_words_and_its_wait_is_withdrawn(molendam):
    deleted = [each for each in await molendam.all(Message) if each.deleted_at is not None]
    assert deleted
    assert all(each.text == "" for each in deleted)
    withdrawn = {
        each.opened_by for each in await molendam.all(WaitingSegment) if each.outcome is SegmentOutcome.WITHDRAWN
    }
    assert withdrawn == {each.id for each in deleted}


async def test_every_routing_decision_replays(seeded):
    table = [
        rules.Rule(each.id, each.name, tuple(each.keywords), each.category_id, each.social_account_id)
        for each in sorted(await seeded.all(RoutingRule), key=lambda each: each.position)
    ]
    responsible = {
        each.category_id: each.department_id for each in await seeded.all(CategoryDepartment) if each.is_responsible
    }
    desk = next(each.id for each in await seeded.all(Department) if each.is_coordination_desk)
    first: dict[object, Message] = {}
    for message in sorted(await seeded.all(Message), key=lambda each: each.occurred_at, reverse=True):
        if message.author_kind is AuthorKind.CITIZEN:
            first[message.conversation_id] = message
    conversations = await seeded.by_id(Conversation)
    decisions = sorted(await seeded.all(RoutingDecision), key=lambda each: each.created_at)
    for decision in decisions:
        message = first[decision.conversation_id]
        if message.deleted_at is None:
            route = rules.route(message.text, account_id=message.social_account_id, rules=table)
            assert (decision.rule_id, decision.category_id, decision.why) == (
                route.rule_id,
                route.category_id,
                route.why,
            )
            assert decision.department_id == responsible.get(decision.category_id, desk)
    last = {each.conversation_id: each for each in decisions}
    for row in conversations.values():
        if row.state is ConversationState.NEW:
            assert row.id not in last
        elif row.categorized_by is None:
            assert (row.category_id, row.department_id) == (last[row.id].category_id, last[row.id].department_id)


async def test_somebody_leaves_the_hard_questions_where_they_are(molendam):
    departments = await molendam.by_id(Department)
    answered = {each.conversation_id for each in await molendam.all(Reply)}
    left = [
        each
        for each in await molendam.all(Conversation)
        if departments[each.department_id].code == "VERGUN"
        and each.state is ConversationState.OPEN
        and each.difficulty is Difficulty.HARD
        and each.id not in answered
        and each.opened_at < molendam.at - timedelta(days=5)
    ]
    assert len(left) >= 5
    avoider = next(each.name for each in molendam.plan.people if each.is_avoider)
    members = await molendam.by_id(Membership)
    looked = [each for each in await molendam.all(Claim) if each.conversation_id in {row.id for row in left}]
    assert {members[each.holder_id].name for each in looked} == {avoider}


async def test_what_is_private_is_private_throughout(seeded):
    conversations = await seeded.by_id(Conversation)
    for message in await seeded.all(Message):
        if message.conversation_id is not None:
            public = conversations[message.conversation_id].channel_kind is ChannelKind.PUBLIC
            assert (message.visibility is Visibility.PUBLIC) == public
    kinds = {each.channel_kind for each in conversations.values()}
    assert kinds == {ChannelKind.PUBLIC, ChannelKind.DIRECT, ChannelKind.FORM}


async def test_a_confidential_question_is_never_public(seeded):
    confidential = {each.id for each in await seeded.all(Category) if each.confidential}
    asked = [each for each in await seeded.all(Conversation) if each.category_id in confidential]
    assert all(each.channel_kind is not ChannelKind.PUBLIC for each in asked)


async def test_a_formal_question_is_only_referred(seeded):
    formal = {each.id for each in await seeded.all(Category) if each.formal}
    asked = {each.id for each in await seeded.all(Conversation) if each.category_id in formal}
    purposes = {each.purpose for each in await seeded.all(Reply) if each.conversation_id in asked}
    assert purposes <= {ReplyPurpose.REFERRAL}


async def test_nothing_of_the_demo_could_reach_bluesky(molendam):
    """An operator may connect that account to a real server: nothing invented may be answered or measured there."""
    account = next(each for each in await molendam.all(SocialAccount) if each.network is Network.BLUESKY)
    rows = [each for each in await molendam.all(Conversation) if each.social_account_id == account.id]
    assert rows
    assert all(each.state is ConversationState.CLOSED for each in rows)
    assert not [each for each in await molendam.all(Delivery) if each.social_account_id == account.id]


async def test_a_question_that_waits_for_the_citizen_has_its_job(seeded):
    jobs = {each.subject_id: each for each in await seeded.all(Job) if each.kind == NO_RESPONSE}
    waiting = [each for each in await seeded.all(Conversation) if each.state is ConversationState.WAITING_ON_CITIZEN]
    assert {each.id: each.next_contact_due_at for each in waiting} == {key: job.due_at for key, job in jobs.items()}


async def test_a_later_private_exchange_follows_its_closed_predecessor(molendam):
    rows = await molendam.by_id(Conversation)
    for row in rows.values():
        if row.previous_id is not None:
            before = rows[row.previous_id]
            assert (before.thread_key, before.contact_id) == (row.thread_key, row.contact_id)
            assert before.episode + 1 == row.episode
            assert before.closed_at + timedelta(days=14) < row.opened_at


async def test_citizens_are_invented_too(seeded):
    for each in await seeded.all(Contact):
        assert each.email is None or each.email.endswith("@post.example")


def _fact(message: Message):
    key = message.external_id or ""
    if message.author_kind is AuthorKind.CITIZEN:
        return CitizenMessage(message.id, message.occurred_at, key, message.intent, message.deleted_at)
    if message.published_at is not None and message.purpose is not None:
        return PublishedReply(message.id, message.published_at, key, message.purpose)
    return None


def _is_instant(kind) -> bool:
    return isinstance(kind.impl_instance if isinstance(kind, TypeDecorator) else kind, DateTime)
