# SPDX-License-Identifier: EUPL-1.2
"""Conversations as clients see them: what they are, not how they are fetched."""

from datetime import datetime

from sqlalchemy import Integer, and_, cast, func
from sqlmodel import col

from graphql_schema.connections import Connection
from graphql_schema.deliveries.types import Delivery
from graphql_schema.nodes import Node
from graphql_schema.reading.declarations import seen_with
from graphql_schema.reading.mapping import (
    column,
    connection,
    named,
    never_null,
    newest,
    readable,
    same_row,
    through,
    to_one,
    typed,
    vocabulary,
)
from graphql_schema.scalars import Email, Locale, Url
from graphql_schema.social_accounts.types import SocialAccount
from graphql_schema.tenancy.types import Department, Person
from services.conversations import models, queries
from services.conversations.rules import (
    AuthorKind,
    ChannelKind,
    ConversationState,
    Difficulty,
    Direction,
    Intent,
    Outcome,
    ParticipantKind,
    Priority,
    ReplyPurpose,
    SegmentOutcome,
    Visibility,
)
from services.kernel.access import Permission
from services.social_accounts.rules import Network, OutboundKind

C, M, N = models.Conversation, models.Message, models.Contact
K, L = models.Category, models.CategoryDepartment
P, W, E = models.Participant, models.WaitingSegment, models.Closing

vocabulary(
    ConversationState,
    "Where a conversation stands. Holding it is another matter: see claim.",
    NEW="Came in, not routed yet.",
    OPEN="The organization owes an answer or a decision.",
    WAITING_ON_CITIZEN="A clarifying question was published; the citizen is next.",
    WAITING_ON_DEPARTMENT="A colleague was asked; the citizen's clocks go on.",
    SNOOZED="Put aside until an instant; the citizen's clocks go on.",
    CLOSED="Ended, with an outcome.",
    REOPEN_REQUESTED="The citizen was not satisfied; a person decides.",
)
vocabulary(
    Outcome,
    "Why a conversation was closed.",
    name="ConversationOutcome",
    ANSWERED="The question was answered.",
    RESOLVED="The matter was settled.",
    REFERRED="The citizen was led to the body or route that answers.",
    NO_RESPONSE="The citizen did not come back.",
    NO_ANSWER_NEEDED="Nothing was asked. Counts as unanswered until a coordinator confirms it.",
    DUPLICATE="Another conversation holds the same question.",
    SPAM="Not meant for anybody. Counts as unanswered until a coordinator confirms it.",
)
vocabulary(
    ChannelKind,
    "How public an exchange is.",
    PUBLIC="Everybody can read it on the network.",
    DIRECT="Private messages on a network.",
    MAIL="E-mail.",
    FORM="The contact form.",
)
vocabulary(
    Visibility,
    "Who can read one message on its network.",
    name="MessageVisibility",
    PUBLIC="Everybody.",
    DIRECT="The citizen and the organization only.",
)
vocabulary(
    Direction,
    "Which way a message went.",
    name="MessageDirection",
    INBOUND="From a citizen to the organization.",
    OUTBOUND="From the organization.",
)
vocabulary(
    AuthorKind,
    "Who wrote a message.",
    CITIZEN="A citizen.",
    COLLEAGUE="A colleague, in Belfry.",
    EXTERNAL="One of ours, in the network's own app.",
    AUTOMATIC="Belfry by itself.",
)
vocabulary(
    Intent,
    "What a citizen wants with a message.",
    name="MessageIntent",
    QUESTION="Asks something.",
    COMPLAINT="Complains.",
    REPORT="Reports something broken or dangerous.",
    REQUEST="Asks for a service.",
    FORMAL_REQUEST="Something that the law gives a formal route.",
    IDEA="Proposes something.",
    COMPLIMENT="Praises. Needs no answer.",
    THANKS="Thanks. Needs no answer.",
    REACTION="Reacts without asking. Needs no answer.",
    SPAM="Not meant for anybody. Needs no answer.",
)
vocabulary(
    Difficulty,
    "How hard a conversation is; the highest it ever reached counts in figures.",
    EASY="An approved answer fits.",
    NORMAL="Neither easy nor hard.",
    HARD="Needs others, or much thought.",
)
vocabulary(
    Priority,
    "How urgent a conversation is.",
    LOW="May wait.",
    NORMAL="In its turn.",
    HIGH="Before others.",
    URGENT="Now.",
)
vocabulary(
    ReplyPurpose,
    "What a reply does.",
    ANSWER="Answers; the wait ends.",
    REFERRAL="Names the body or route that answers; the wait ends.",
    CLARIFYING_QUESTION="Asks the citizen something; the wait ends, and the citizen is next.",
    ACKNOWLEDGEMENT="Says that the question arrived; the wait goes on.",
)
vocabulary(
    SegmentOutcome,
    "How a wait ended.",
    name="WaitingOutcome",
    ANSWERED="By a reply.",
    UNANSWERED_CLOSED="The conversation was closed without a reply.",
    DISMISSED="Closed as spam or as needing no answer.",
    WITHDRAWN="The citizen took the message back before any reply.",
)
vocabulary(
    ParticipantKind,
    "Why somebody takes part beside the holder.",
    COLLABORATOR="Was asked to help with it.",
    TASK="Has a task in it.",
)


@readable(
    N,
    tag="CT",
    visible=queries.CONTACT_IS_VISIBLE,
    permission=Permission.CONVERSATION_READ,
    filter_by=(N.network,),
    order_by=(N.created_at,),
)
class Contact(Node):
    """A citizen as this organization knows them: by a handle of a network, or by one submission of the form."""

    network: Network = column(N.network, "Where this citizen is known.")
    handle: str | None = column(N.handle, "The name on the network, without @; null for forms.")
    display_name: str | None = column(N.display_name, "The name that the citizen goes by; null when none was given.")
    email: Email | None = column(
        typed(Email, N.email), "The address left in a form. It proves nothing about who wrote."
    )
    opted_out: bool = column(N.opted_out, "Whether the citizen asked not to be written to unasked.")
    blocked: bool = column(N.blocked, "Whether messages of this contact make no work.")
    conversations: "Connection[Conversation]" = connection(
        C.contact_id, "What this citizen asked, as far as the caller sees it.", newest_first=C.opened_at
    )
    created_at: datetime = column(N.created_at, "When the organization first heard of this citizen.")
    version: int = column(N.version, "Rises with every change; send it back as expectedVersion.")


@readable(
    L,
    tag="CD",
    visible=queries.CATEGORY_IS_VISIBLE,
    permission=Permission.DIRECTORY_READ,
    filter_by=(L.department_id,),
)
class CategoryDepartment(Node):
    """What one department has to do with one topic."""

    category: "Category" = to_one(L.category_id, "The topic.")
    department: Department = to_one(L.department_id, "The department.")
    is_responsible: bool = column(L.is_responsible, "Whether it answers for the topic. At most one department does.")
    can_view: bool = column(L.can_view, "Whether it may look, unless the topic is confidential.")


@readable(
    K,
    tag="CG",
    visible=queries.CATEGORY_IS_VISIBLE,
    permission=Permission.DIRECTORY_READ,
    filter_by=(K.parent_id,),
    order_by=(named(K.sort_key, "name", "The name, without regard to case and accents."),),
)
class Category(Node):
    """A topic, at most two levels deep."""

    name: str = column(K.name, "Its name, unique under its parent.")
    parent: "Category | None" = to_one(K.parent_id, "The topic above it; null at the first level.")
    responsible_department: Department | None = to_one(
        through(L.category_id, L.department_id, where=L.is_responsible),
        "The department that answers for it; null is a gap that somebody must close.",
    )
    departments: Connection[CategoryDepartment] = connection(
        L.category_id, "Every department that has to do with it.", oldest_first=L.id
    )
    formal: bool = column(K.formal, "Whether the law gives it a formal route, so that it can only be referred there.")
    confidential: bool = column(K.confidential, "Whether only responsible, routed and directing departments may look.")
    hard: bool = column(K.hard, "Whether its conversations are always hard.")
    e_service_url: Url | None = column(typed(Url, K.e_service_url), "Where citizens can do it themselves.")
    reopen_days: int = column(K.reopen_days, "Days after closing in which a new message reopens the conversation.")
    no_response_days: int = column(K.no_response_days, "Days after which a citizen's silence closes it.")
    active: bool = column(K.active, "False for a topic that is no longer given to new conversations.")
    created_at: datetime = column(K.created_at, "When it was added.")
    version: int = column(K.version, "Rises with every change; send it back as expectedVersion.")


@readable(
    M, tag="MS", visible=queries.MESSAGE_IS_VISIBLE, permission=Permission.CONVERSATION_READ, order_by=(M.occurred_at,)
)
class Message(Node):
    """One message of a conversation, received or sent. A deleted one keeps its place and loses its words."""

    conversation: "Conversation | None" = to_one(M.conversation_id, "The conversation it belongs to.")
    direction: Direction = column(M.direction, "Which way it went.")
    visibility: Visibility = column(M.visibility, "Who can read it on its network.")
    author_kind: AuthorKind = column(M.author_kind, "Who wrote it.")
    author: Person | None = to_one(M.author_id, "The colleague who wrote it in Belfry; null for everybody else.")
    contact: Contact | None = to_one(M.contact_id, "The citizen who wrote it, or to whom it was written.")
    social_account: SocialAccount | None = to_one(M.social_account_id, "The account that received or sent it.")
    text: str = column(M.text, "The words, without formatting; empty once deleted.")
    language: Locale | None = column(typed(Locale, M.language), "The language it is written in, if known.")
    intent: Intent | None = column(M.intent, "What the citizen wants; null, not known yet, needs an answer.")
    purpose: ReplyPurpose | None = column(M.purpose, "What a reply does; null for messages that are none.")
    outbound_kind: OutboundKind | None = column(M.outbound_kind, "How something sent is counted; null for the rest.")
    occurred_at: datetime = column(M.occurred_at, "When it was written, by the network's clock.")
    published_at: datetime | None = column(M.published_at, "When something sent was on the network.")
    edited_at: datetime | None = column(
        M.edited_at, "When its author was seen to have changed its words, to those shown."
    )
    deleted_at: datetime | None = column(M.deleted_at, "When its author deleted it.")
    permalink: Url | None = column(typed(Url, M.permalink), "Where it can be seen on its network.")
    delivery: Delivery | None = to_one(M.delivery_id, "How something sent by Belfry gets there.")
    like_count: int | None = column(M.like_count, "Likes at countedAt; null where the network does not say.")
    repost_count: int | None = column(M.repost_count, "Reposts at countedAt; null where the network does not say.")
    reply_count: int | None = column(M.reply_count, "Replies at countedAt; null where the network does not say.")
    quote_count: int | None = column(M.quote_count, "Quotes at countedAt; null where the network does not say.")
    counted_at: datetime | None = column(M.counted_at, "When the counts were last read.")
    created_at: datetime = column(M.created_at, "When Belfry had it.")
    version: int = column(M.version, "Rises with every change, also when counts change.")


@readable(
    W,
    tag="WS",
    visible=seen_with(W.conversation_id, queries.CONVERSATION_IS_VISIBLE),
    permission=Permission.CONVERSATION_READ,
    order_by=(W.opened_at,),
)
class WaitingSegment(Node):
    """A stretch in which a citizen waits: from the first message that needs an answer to the reply that gives it."""

    opened_at: datetime = column(W.opened_at, "When the citizen asked.")
    closed_at: datetime | None = column(W.closed_at, "When the wait ended; null while it lasts.")
    outcome: SegmentOutcome | None = column(W.outcome, "How it ended; null while it lasts.")
    is_first: bool = column(W.is_first, "Whether it is the conversation's first.")
    wall_seconds: int | None = column(
        cast(col(W.wall_seconds), Integer), "How long it lasted in seconds of all time; null while it lasts."
    )
    open_seconds: int | None = column(
        cast(col(W.open_seconds), Integer), "The same in seconds inside opening hours; null without opening hours."
    )
    dismissal_confirmed_by: Person | None = to_one(
        W.dismissal_confirmed_by, "The coordinator who confirmed that no answer was needed."
    )


@readable(
    P,
    tag="PA",
    visible=seen_with(P.conversation_id, queries.CONVERSATION_IS_VISIBLE),
    permission=Permission.CONVERSATION_READ,
    filter_by=(named(P.membership_id, "person_id"),),
)
class Participant(Node):
    """Somebody besides the holder who works on a conversation."""

    person: Person = to_one(P.membership_id, "Who.")
    kind: ParticipantKind = column(P.kind, "Why.")
    created_at: datetime = column(P.created_at, "Since when.")


@readable(
    E,
    tag="CL",
    visible=seen_with(E.conversation_id, queries.CONVERSATION_IS_VISIBLE),
    permission=Permission.CONVERSATION_READ,
    filter_by=(named(E.at, "closed_at"),),
    order_by=(E.at,),
)
class Closing(Node):
    """One closing of a conversation; reopening leaves it in place."""

    closed_at: datetime = column(E.at, "When.")
    outcome: Outcome = column(E.outcome, "Why.")
    text: str = column(E.text, "What the closer wrote, for colleagues.")
    closed_by: Person | None = to_one(E.closed_by, "Who; null for a rule.")


@readable(C, visible=queries.CONVERSATION_IS_VISIBLE, permission=Permission.CONVERSATION_READ)
class Claim:
    """Who works on a conversation now. A lease that ran out is no claim."""

    holder: Person | None = to_one(C.holder_id, "Who.")
    fence: int = column(
        never_null(cast(col(C.fence), Integer)), "Rises with every claim; send it with what only the holder may do."
    )
    lease_until: datetime | None = column(C.lease_until, "When the claim lapses unless a heartbeat extends it.")


@readable(
    C,
    tag="CV",
    visible=queries.CONVERSATION_IS_VISIBLE,
    permission=Permission.CONVERSATION_READ,
    filter_by=(
        C.state,
        C.department_id,
        C.category_id,
        C.social_account_id,
        C.contact_id,
        named(C.holder_id, "holder_id", "Who holds it, or held it when the lease ran out."),
        C.priority,
        C.channel_kind,
        C.opened_at,
        C.last_message_at,
        named(C.due_order, "next_contact_due_at", "When somebody must look at the latest; a closed one is never due."),
    ),
    order_by=(
        C.opened_at,
        C.last_message_at,
        C.priority,
        named(C.due_order, "next_contact_due_at", "When somebody must look at the latest; closed ones come last."),
    ),
)
class Conversation(Node):
    """One exchange with a citizen, from the first message to the last answer."""

    version: int = column(C.version, "Rises with every change; send it back as expectedVersion.")
    state: ConversationState = column(C.state, "Where it stands.")
    outcome: Outcome | None = column(C.outcome, "Why it was closed; null while it is not.")
    priority: Priority = column(typed(Priority, C.priority), "How urgent it is.")
    difficulty: Difficulty = column(C.difficulty, "How hard it is.")
    network: Network = column(C.network, "Where it takes place.")
    channel_kind: ChannelKind = column(C.channel_kind, "How public it is.")
    reference: str | None = column(C.reference, "What the citizen can quote; null where a network needs none.")
    language: Locale | None = column(typed(Locale, C.language), "The language the citizen writes in, if known.")
    opened_at: datetime = column(C.opened_at, "When the citizen first wrote.")
    last_message_at: datetime = column(C.last_message_at, "When either side last wrote.")
    closed_at: datetime | None = column(C.closed_at, "When it was closed; null while it is not.")
    next_contact_due_at: datetime | None = column(
        C.next_contact_due_at, "When somebody must look at it at the latest; null only when closed."
    )
    department: Department = to_one(C.department_id, "Who answers.")
    directing_department: Department | None = to_one(C.directing_department_id, "Who directs it, if another does.")
    category: Category | None = to_one(C.category_id, "What it is about; null until somebody or a rule has said so.")
    social_account: SocialAccount | None = to_one(C.social_account_id, "Where the citizen wrote to.")
    contact: Contact | None = to_one(C.contact_id, "The citizen.")
    claim: Claim | None = same_row(
        "Who works on it; null when nobody does.",
        when=and_(col(C.holder_id).is_not(None), col(C.lease_until) > func.now()),
    )
    last_holder: Person | None = to_one(C.last_holder_id, "Who worked on it last.")
    previous: "Conversation | None" = to_one(C.previous_id, "The closed conversation that this one follows.")
    last_message: Message | None = newest(M.conversation_id, "The newest message.", by=M.occurred_at)
    messages: Connection[Message] = connection(M.conversation_id, "What was said.", oldest_first=M.occurred_at)
    waiting_segments: Connection[WaitingSegment] = connection(
        W.conversation_id, "How long the citizen waited, each time.", oldest_first=W.opened_at
    )
    participants: Connection[Participant] = connection(
        P.conversation_id, "Who works on it besides the holder.", oldest_first=P.id
    )
    closings: Connection[Closing] = connection(E.conversation_id, "How it was closed, each time.", oldest_first=E.at)
    created_at: datetime = column(C.created_at, "When Belfry had it.")
