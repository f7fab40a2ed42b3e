# SPDX-License-Identifier: EUPL-1.2
"""From a story to rows: each step does to the rows what the command of the same name does, at the step's instant.

States come from the table of transitions, routes from the routing rules, waits from the facts: nothing here decides
what the rules decide.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.assignments.models import Claim
from services.assignments.rules import ClaimState
from services.conversations import rules
from services.conversations.models import Closing, Conversation, Reply, RoutingDecision, WaitingSegment
from services.conversations.rules import ChannelKind, ConversationState, Outcome, ReplyPurpose, Segment, Trigger
from services.conversations.rules.gate import LEASE
from services.conversations.rules.segments import CitizenMessage, Fact, PublishedReply
from services.conversations.rules.segments import Closed as ClosedFact
from services.deliveries.rules import DeliveryState
from services.demo import remote, sending
from services.demo.ledger import Row
from services.demo.places import Place
from services.demo.stories import Categorized, Closed, Held, Replied, RepliedOutside, Story, TookBack, Wrote
from services.kernel import identifiers

NO_RESPONSE_DAYS = 14
SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class Exchange:
    """One conversation while its story is played. Read it after `play`."""

    place: Place
    story: Story
    state: ConversationState = ConversationState.NEW
    outcome: Outcome | None = None
    closed_at: datetime | None = None
    asked_back_at: datetime | None = None
    last_message_at: datetime | None = None
    last_holder_id: UUID | None = None
    fence: int = 0
    category_id: UUID | None = None
    categorized_by: UUID | None = None
    department_id: UUID | None = None
    facts: list[Fact] = field(default_factory=list[Fact])
    citizens: list[Row] = field(default_factory=list[Row])
    replies: list[Row] = field(default_factory=list[Row])
    segment_rows: list[Row] = field(default_factory=list[Row])
    confirmed_by: str | None = None

    def play(self) -> None:
        """Do every step, then write down what the conversation looks like."""
        self.department_id = self.place.ground.departments[self.place.plan.desk]
        row = self.place.ledger.add(Conversation, {})  # its place among the conversations; filled when all is known
        for step in self.story.steps:
            match step:
                case Wrote():
                    self._write(step)
                case TookBack():
                    self._take_back(step)
                case Held():
                    self._hold(step)
                case Replied():
                    self._reply(step)
                case RepliedOutside():
                    self._reply_outside(step)
                case Categorized():
                    self._categorize(step)
                case Closed():
                    self._close(step)
        self._wait()
        row.update(self._columns())

    @property
    def answered_at(self) -> list[datetime]:
        """When we answered, as it is counted: of several replies to one wait the first one."""
        first: dict[UUID | None, datetime] = {}
        for reply in self.replies:
            if (at := reply["published_at"]) is not None:
                waits = [row["id"] for row in self.segment_rows if row["opened_at"] <= at]
                key = waits[-1] if waits else None
                first[key] = min(first.get(key, at), at)
        return list(first.values())

    def _write(self, step: Wrote) -> None:
        place, is_first = self.place, not self.citizens
        writer = place.thread.citizen.external_id
        external_id = place.thread.first_id if is_first else remote.post_id(place.chance, place.account, writer)
        row = sending.citizen_message(place, step, external_id, is_first=is_first)
        self.citizens.append(row)
        self.last_message_at = step.at
        self.facts.append(CitizenMessage(row["id"], step.at, external_id, step.intent))
        if is_first and not self.story.is_unrouted:
            self._route(step.text, step.at)
        elif Trigger.CITIZEN_WRITES in rules.TRANSITIONS[self.state]:
            self.state = rules.after(self.state, Trigger.CITIZEN_WRITES)
            self.outcome, self.closed_at = None, None

    def _route(self, text: str, at: datetime) -> None:
        route = self.place.ground.route(text, self.place.account_id)
        department_id = self.place.responsible(route.category_id)
        if self.state is ConversationState.NEW:
            self.state = rules.after(self.state, Trigger.ROUTED)
        elif (self.category_id, self.department_id) == (route.category_id, department_id):
            return
        self.category_id, self.department_id = route.category_id, department_id
        self.place.ledger.add(
            RoutingDecision,
            self.place.part(
                at,
                rule_id=route.rule_id,
                category_id=route.category_id,
                department_id=department_id,
                why=route.why,
            ),
        )

    def _take_back(self, step: TookBack) -> None:
        for row in self.citizens:
            row["text"], row["text_at"], row["deleted_at"] = "", step.at, step.at
        self.facts = [
            replace(each, deleted_at=step.at) if isinstance(each, CitizenMessage) else each for each in self.facts
        ]
        if self.fence == 0 and self.categorized_by is None:
            self._route("", step.at)

    def _hold(self, step: Held) -> None:
        self.fence += 1
        self.last_holder_id = self.place.ground.members[step.by]
        lapsed = step.ended is ClaimState.LAPSED
        self.place.ledger.add(
            Claim,
            self.place.part(
                step.at,
                holder_id=self.last_holder_id,
                fence=self.fence,
                state=step.ended,
                claimed_at=step.at,
                last_active_at=max(step.at, step.until - LEASE - SECOND) if lapsed else step.until,
                ended_at=step.until,
                reason=step.reason,
            ),
        )

    def _reply(self, step: Replied) -> None:
        author_id, reply_id = self.place.ground.members[step.by], identifiers.new()
        target = self.citizens[-1]
        delivery = sending.delivery(self.place, step, reply_id, target)
        message = sending.reply_message(self.place, step, author_id, delivery, target)
        self.place.ledger.add(
            Reply,
            row := self.place.part(
                step.at,
                message_id=message["id"],
                delivery_id=delivery["id"],
                segment_id=None,
                purpose=step.purpose,
                author_id=author_id,
                follow_up=step.follow_up,
            )
            | {"id": reply_id},
        )
        self.last_message_at = step.at
        self.replies.append({"row": row, "accepted_at": step.at, "published_at": message["published_at"]})
        if step.state is DeliveryState.PUBLISHED:
            self._published(message)

    def _reply_outside(self, step: RepliedOutside) -> None:
        message = sending.outside_message(self.place, step, self.citizens[-1])
        self.replies.append({"row": None, "accepted_at": step.at, "published_at": step.at})
        self._published(message)

    def _published(self, message: Row) -> None:
        at: datetime = message["published_at"]
        self.last_message_at = at
        self.facts.append(PublishedReply(message["id"], at, message["external_id"], message["purpose"]))
        asks = message["purpose"] is ReplyPurpose.CLARIFYING_QUESTION
        if asks and Trigger.CLARIFYING_QUESTION_PUBLISHED in rules.TRANSITIONS[self.state]:
            self.state = rules.after(self.state, Trigger.CLARIFYING_QUESTION_PUBLISHED)
            self.asked_back_at = at

    def _categorize(self, step: Categorized) -> None:
        self.category_id = self.place.ground.categories[step.category]
        self.categorized_by = self.place.ground.members[step.by]
        responsible = self.place.plan.by_category[step.category].responsible
        if responsible is not None:
            self.department_id = self.place.ground.departments[responsible]

    def _close(self, step: Closed) -> None:
        trigger = Trigger.PERSON_CLOSES if step.by else Trigger.NO_RESPONSE
        self.state = rules.after(self.state, trigger)
        self.outcome, self.closed_at, self.confirmed_by = step.outcome, step.at, step.confirmed_by
        row = self.place.part(
            step.at,
            at=step.at,
            outcome=step.outcome,
            text=step.text,
            closed_by=self.place.ground.members[step.by] if step.by else None,
        )
        self.place.ledger.add(Closing, row)
        self.facts.append(ClosedFact(row["id"], step.at, step.outcome))

    def _wait(self) -> None:
        """The waiting segments that follow from the facts, and which of them each reply was for."""
        for segment in rules.segments(self.facts):
            row = self.place.part(segment.opened_at, **_computed(segment))
            if segment.outcome is rules.SegmentOutcome.DISMISSED and self.confirmed_by is not None:
                row["dismissal_confirmed_by"] = self.place.ground.members[self.confirmed_by]
            self.segment_rows.append(self.place.ledger.add(WaitingSegment, row))
        for reply in self.replies:
            segment = self._segment_at(reply["accepted_at"])
            if reply["row"] is not None and segment is not None:
                reply["row"]["segment_id"] = segment["id"]

    def _segment_at(self, at: datetime) -> Row | None:
        return next(
            (
                row
                for row in self.segment_rows
                if row["opened_at"] <= at and (row["closed_at"] is None or at <= row["closed_at"])
            ),
            None,
        )

    def _columns(self) -> Row:
        """The conversation as it stands at the end of its story."""
        story, opened_at = self.story, self.story.opened_at
        place, ground, thread = self.place, self.place.ground, self.place.thread
        category = ground.category_name(self.category_id)
        directing = place.plan.by_category[category].directing if category else None
        return {
            "tenant_id": ground.tenant_id,
            "id": place.id,
            "created_at": opened_at,
            "version": len(story.steps),
            "network": place.account.network,
            "server_host": place.account.server_host,
            "thread_key": thread.key,
            "episode": thread.episode,
            "previous_id": thread.previous_id,
            "social_account_id": place.account_id,
            "contact_id": thread.contact_id,
            "channel_kind": thread.channel,
            "reference": rules.reference_of(thread.key) if thread.channel is ChannelKind.FORM else None,
            "language": place.plan.locale,
            "category_id": self.category_id,
            "categorized_by": self.categorized_by,
            "department_id": self.department_id,
            "directing_department_id": ground.departments[directing] if directing else None,
            "priority": self._priority(),
            "difficulty": story.difficulty,
            "state": self.state,
            "outcome": self.outcome,
            "opened_at": opened_at,
            "last_message_at": self.last_message_at,
            "closed_at": self.closed_at,
            "next_contact_due_at": self._due_at(),
            "holder_id": None,
            "last_holder_id": self.last_holder_id,
            "lease_until": None,
            "fence": self.fence,
        }

    def _due_at(self) -> datetime | None:
        waits = self.state is ConversationState.WAITING_ON_CITIZEN
        last_at = (self.asked_back_at if waits else None) or self.last_message_at or self.story.opened_at
        return rules.next_contact_due_at(self.state, last_activity_at=last_at, no_response_days=NO_RESPONSE_DAYS)

    def _priority(self) -> rules.Priority:
        if self.story.is_spam:
            return rules.Priority.LOW
        if not self.story.is_crisis:
            return rules.Priority.NORMAL
        return rules.Priority.URGENT if self.place.chance.random() < 0.15 else rules.Priority.HIGH


def _computed(segment: Segment) -> Row:
    return {
        "opened_by": segment.opened_by,
        "opened_at": segment.opened_at,
        "closed_by": segment.closed_by,
        "closed_at": segment.closed_at,
        "outcome": segment.outcome,
        "wall_seconds": segment.wall_seconds,
        "open_seconds": None,
        "is_first": segment.is_first,
        "dismissal_confirmed_by": None,
    }
