# SPDX-License-Identifier: EUPL-1.2
"""Who may see which conversation, message and contact; and the reads that commands need.

One predicate serves commands, lists, counts, search, live events and exports alike. A conversation is visible when a
department in which the actor holds the right answers for it, directs it or may view its topic; when the actor holds it
or takes part; or when the actor coordinates the organization. A confidential topic drops the right to view and
whole-organization grants. What was said in private needs the right to private messages instead.
"""

from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    ScalarSelect,
    Select,
    and_,
    any_,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.visitors import replacement_traverse
from sqlmodel import col

from services.conversations.models import (
    Category,
    CategoryDepartment,
    Contact,
    Conversation,
    Message,
    Participant,
    Reply,
    WaitingSegment,
)
from services.conversations.rules import AuthorKind, ChannelKind, Direction, ParticipantKind, Visibility
from services.deliveries import queries as deliveries
from services.kernel.access import Permission
from services.kernel.database import Snapshot
from services.kernel.errors import NotPermitted
from services.kernel.isolation import ACTOR, owned, same_tenant
from services.social_accounts.rules import Network, OutboundKind
from services.tenancy.queries import TENANT_WIDE

PRIVATE_TEXTS_MAX = 200
SEARCH_MATCHES_MAX = 10_000
"""Conversations that one search gives, by their newest match: as many as a list counts. Hidden ones are among them, so
where more match in the whole organization, the oldest of them are not found.
"""

TABLE: FromClause = cast("Any", Conversation).__table__

CATEGORY_IS_VISIBLE = TENANT_WIDE

CONFIDENTIAL_CATEGORIES = select(col(Category.id)).where(
    col(Category.tenant_id) == ACTOR.tenant, col(Category.confidential)
)


def _reached(permission: Permission) -> ColumnElement[bool]:
    departments = ACTOR.departments(permission)
    category = col(Conversation.category_id)
    viewed = select(col(CategoryDepartment.category_id)).where(
        col(CategoryDepartment.tenant_id) == ACTOR.tenant,
        col(CategoryDepartment.department_id) == any_(departments),
        or_(
            col(CategoryDepartment.is_responsible),
            and_(col(CategoryDepartment.can_view), col(CategoryDepartment.category_id).not_in(CONFIDENTIAL_CATEGORIES)),
        ),
    )
    takes_part = exists().where(
        same_tenant(Participant, Conversation),
        col(Participant.conversation_id) == col(Conversation.id),
        col(Participant.membership_id) == any_(ACTOR.memberships),
    )
    holds = or_(
        col(Conversation.holder_id) == any_(ACTOR.memberships),
        and_(col(Conversation.holder_id).is_(None), col(Conversation.last_holder_id) == any_(ACTOR.memberships)),
    )
    return or_(
        ACTOR.coordinates(permission),
        and_(ACTOR.everywhere(permission), or_(category.is_(None), category.not_in(CONFIDENTIAL_CATEGORIES))),
        col(Conversation.department_id) == any_(departments),
        col(Conversation.directing_department_id) == any_(departments),
        category.in_(viewed),
        and_(ACTOR.held(permission), or_(holds, takes_part)),
    )


CONVERSATION_IS_VISIBLE = or_(
    and_(col(Conversation.channel_kind) == ChannelKind.PUBLIC, _reached(Permission.CONVERSATION_READ)),
    _reached(Permission.CONVERSATION_READ_PRIVATE),
)

MESSAGE_IS_VISIBLE = exists().where(
    same_tenant(Conversation, Message),
    col(Conversation.id) == col(Message.conversation_id),
    or_(
        and_(
            col(Message.visibility) == Visibility.PUBLIC,
            col(Conversation.channel_kind) == ChannelKind.PUBLIC,
            _reached(Permission.CONVERSATION_READ),
        ),
        _reached(Permission.CONVERSATION_READ_PRIVATE),
    ),
)

CONTACT_IS_VISIBLE = exists().where(
    same_tenant(Conversation, Contact), col(Conversation.contact_id) == col(Contact.id), CONVERSATION_IS_VISIBLE
)

DELIVERY_IS_VISIBLE = deliveries.is_one_of(
    select(col(Reply.delivery_id))
    .select_from(Reply)
    .join(
        Conversation,
        and_(
            same_tenant(Conversation, Reply),
            col(Conversation.id) == col(Reply.conversation_id),
            col(Conversation.tenant_id) == ACTOR.tenant,
        ),
    )
    .where(col(Reply.tenant_id) == ACTOR.tenant, CONVERSATION_IS_VISIBLE)
)
"""A reply's delivery is seen by whoever sees its conversation."""


def matching(asked: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a conversation holds the asked words: in one message, in the citizen's name, or as its reference.

    What only resembles them is found when nothing that *the actor may see* holds them as they are. Were it when nothing
    in the organization does, an empty list would tell that a hidden conversation holds a word.
    """
    searches = (_found(name, asked) for name in ("search_conversations", "search_conversations_alike"))
    ids = func.unnest(func.coalesce(*searches, literal_column("'{}'::uuid[]")))
    # Not `= any(array)`: the planner expects ten ids in it, and would compare thousands with every conversation.
    return col(Conversation.id).in_(select(ids))


def _found(search: str, asked: ColumnElement[str]) -> ScalarSelect[Any]:
    """The ids of the conversations that a search finds and the actor may see; null when there are none.

    A search knows the organization only; the actor's rights are applied to what it gives as to any other row. Whoever
    may not read private messages finds nothing by the words of one.
    """
    most = literal_column(str(SEARCH_MATCHES_MAX))
    call = getattr(func.belfry, search)(ACTOR.tenant, asked, most)
    match, row = call.table_valued("conversation_id", "in_private", name="match"), TABLE.alias("found")
    own = and_(row.c.tenant_id == ACTOR.tenant, row.c.id == match.c.conversation_id)
    read = or_(not_(match.c.in_private), _over(_reached(Permission.CONVERSATION_READ_PRIVATE), row))
    ids = select(func.array_agg(row.c.id)).select_from(match.join(row, own))
    return ids.where(_over(CONVERSATION_IS_VISIBLE, row), read).scalar_subquery()


def _over(predicate: ColumnElement[bool], row: FromClause) -> ColumnElement[bool]:
    """A predicate over Conversation, over its row under another name."""

    def replace(element: Any, **_: Any) -> Any:
        is_own = isinstance(element, ColumnClause) and element.table is TABLE
        return row.c[cast("Any", element).key] if is_own else None

    return replacement_traverse(predicate, {}, replace)


async def visible_conversation(snapshot: Snapshot, conversation_id: UUID) -> Conversation:
    """A conversation that the actor may see. Unknown, foreign and invisible ones are all NOT_FOUND."""
    return await snapshot.one(owned(Conversation, col(Conversation.id) == conversation_id, CONVERSATION_IS_VISIBLE))


async def conversation_for_update(snapshot: Snapshot, conversation_id: UUID) -> Conversation:
    """A visible conversation, locked until the unit of work ends: every act on one conversation takes its turn."""
    return await snapshot.one(
        owned(Conversation, col(Conversation.id) == conversation_id, CONVERSATION_IS_VISIBLE).with_for_update()
    )


async def category(snapshot: Snapshot, category_id: UUID) -> Category:
    """One topic. Raises NotFound."""
    return await snapshot.one(owned(Category, col(Category.id) == category_id))


async def responsible_department(snapshot: Snapshot, category_id: UUID) -> UUID | None:
    """Who answers for a topic; None is a listed gap."""
    return await snapshot.one_or_none(
        select(col(CategoryDepartment.department_id)).where(
            col(CategoryDepartment.tenant_id) == ACTOR.tenant,
            col(CategoryDepartment.category_id) == category_id,
            col(CategoryDepartment.is_responsible),
        )
    )


async def collaborators(snapshot: Snapshot, conversation_id: UUID) -> frozenset[UUID]:
    """Who works on a conversation beside its holder."""
    rows = await snapshot.scalars(
        owned(
            Participant,
            col(Participant.conversation_id) == conversation_id,
            col(Participant.kind) == ParticipantKind.COLLABORATOR,
        )
    )
    return frozenset(row.membership_id for row in rows)


async def check_reach(snapshot: Snapshot, permission: Permission, row: Conversation) -> None:
    """Refuse an act on a conversation that the actor may see but whose department, or claim, is not the actor's."""
    reach, me = snapshot.actor.range_of(permission), snapshot.actor.membership_id
    if reach.everywhere or {row.department_id, row.directing_department_id} & reach.departments:
        return
    holder = row.holder_id or row.last_holder_id
    if not (reach.held and me is not None and (me == holder or me in await collaborators(snapshot, row.id))):
        raise NotPermitted


async def newest_citizen_message(snapshot: Snapshot, conversation_id: UUID) -> Message | None:
    """What the citizen said last and did not take back."""
    return await snapshot.one_or_none(
        owned(
            Message,
            col(Message.conversation_id) == conversation_id,
            col(Message.author_kind) == AuthorKind.CITIZEN,
            col(Message.deleted_at).is_(None),
        )
        .order_by(col(Message.occurred_at).desc(), col(Message.id).desc())
        .limit(1)
    )


async def open_segment(snapshot: Snapshot, conversation_id: UUID) -> WaitingSegment | None:
    """The wait that runs now, if any."""
    return await snapshot.one_or_none(
        owned(
            WaitingSegment,
            col(WaitingSegment.conversation_id) == conversation_id,
            col(WaitingSegment.outcome).is_(None),
        )
    )


async def has_reply_on_its_way(snapshot: Snapshot, conversation_id: UUID) -> bool:
    """Whether a reply may still appear, or has appeared while this conversation was not told of it yet."""
    untold = exists().where(
        same_tenant(Message, Reply), col(Message.id) == col(Reply.message_id), col(Message.published_at).is_(None)
    )
    ids = await snapshot.scalars(
        owned(Reply, col(Reply.conversation_id) == conversation_id, untold).with_only_columns(col(Reply.delivery_id))
    )
    return await deliveries.any_may_appear(snapshot, ids)


async def reply_of_delivery(snapshot: Snapshot, delivery_id: UUID) -> Reply | None:
    """The reply that a delivery carries; None when it carries something else."""
    return await snapshot.one_or_none(owned(Reply, col(Reply.delivery_id) == delivery_id))


async def messages_of(snapshot: Snapshot, conversation_id: UUID) -> list[Message]:
    """Everything that was said, in order."""
    return await snapshot.scalars(
        owned(Message, col(Message.conversation_id) == conversation_id).order_by(
            col(Message.occurred_at), col(Message.id)
        )
    )


async def private_texts(snapshot: Snapshot, contact_id: UUID) -> list[str]:
    """What a citizen said in private, in any conversation, newest first: no public answer may repeat it."""
    conversations = owned(Conversation, col(Conversation.contact_id) == contact_id)
    return await snapshot.scalars(
        owned(
            Message,
            col(Message.conversation_id).in_(conversations.with_only_columns(col(Conversation.id))),
            col(Message.author_kind) == AuthorKind.CITIZEN,
            col(Message.visibility) == Visibility.DIRECT,
        )
        .order_by(col(Message.occurred_at).desc(), col(Message.id))
        .limit(PRIVATE_TEXTS_MAX)
        .with_only_columns(col(Message.text))
    )


async def conversation_of_form(snapshot: Snapshot, thread: str) -> Conversation | None:
    """The newest conversation of a thread of the contact form, for its status page."""
    return await snapshot.one_or_none(
        owned(Conversation, *_of_form(thread)).order_by(col(Conversation.episode).desc()).limit(1)
    )


async def messages_of_form(snapshot: Snapshot, thread: str, *, limit: int) -> list[Message]:
    """What the citizen wrote and what was published to them, over all conversations of the thread; oldest first."""
    conversations = owned(Conversation, *_of_form(thread)).with_only_columns(col(Conversation.id))
    rows = await snapshot.scalars(
        owned(
            Message,
            col(Message.conversation_id).in_(conversations),
            or_(
                and_(col(Message.direction) == Direction.INBOUND, col(Message.author_kind) == AuthorKind.CITIZEN),
                and_(col(Message.direction) == Direction.OUTBOUND, col(Message.published_at).is_not(None)),
            ),
        )
        .order_by(col(Message.occurred_at).desc(), col(Message.id).desc())
        .limit(limit)
    )
    return rows[::-1]


def _of_form(thread: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return col(Conversation.network) == Network.WEBFORM, col(Conversation.thread_key) == thread


async def held_count(snapshot: Snapshot, membership_id: UUID) -> int:
    """How many conversations somebody holds now."""
    return await snapshot.scalar(
        select(func.count())
        .select_from(Conversation)
        .where(
            col(Conversation.tenant_id) == ACTOR.tenant,
            col(Conversation.holder_id) == membership_id,
            col(Conversation.lease_until) > snapshot.now,
        )
    )


def waits() -> Select[*tuple[Any, ...]]:
    """Every wait of the organization with what it is counted by: opened_at, closed_at, outcome, is_dismissal_confirmed,
    department_id, social_account_id. For figures; it shows no words and no people.
    """
    return select(
        col(WaitingSegment.opened_at),
        col(WaitingSegment.closed_at),
        col(WaitingSegment.outcome),
        col(WaitingSegment.dismissal_confirmed_by).is_not(None).label("is_dismissal_confirmed"),
        col(Conversation.department_id),
        col(Conversation.social_account_id),
    ).join(
        Conversation,
        and_(
            same_tenant(Conversation, WaitingSegment),
            col(Conversation.id) == col(WaitingSegment.conversation_id),
            col(Conversation.tenant_id) == ACTOR.tenant,
        ),
    ).where(col(WaitingSegment.tenant_id) == ACTOR.tenant)  # fmt: skip


def said() -> Select[*tuple[Any, ...]]:
    """Every outbound item that counts, once: published_at, outbound_kind, department_id (null without a conversation),
    social_account_id. Of several replies in one conversation and wait the first counts.
    """
    # A row that is asked of each reply, and not DISTINCT ON over all: so a period reads its own messages only.
    earlier = aliased(Message, name="earlier")
    opened = (
        select(func.max(col(WaitingSegment.opened_at)))
        .where(
            same_tenant(WaitingSegment, Message),
            col(WaitingSegment.conversation_id) == col(Message.conversation_id),
            col(WaitingSegment.opened_at) <= col(Message.published_at),
        )
        .correlate(Message)
        .scalar_subquery()
    )
    is_repeated = exists(
        select(col(earlier.id))
        .where(
            same_tenant(earlier, Message),
            col(earlier.conversation_id) == col(Message.conversation_id),
            col(earlier.outbound_kind) == OutboundKind.REPLY,
            tuple_(col(earlier.published_at), col(earlier.id)) < tuple_(col(Message.published_at), col(Message.id)),
            col(earlier.published_at) >= func.coalesce(opened, col(earlier.published_at)),
        )
        .correlate(Message)
    )
    return (
        select(
            col(Message.published_at),
            col(Message.outbound_kind),
            col(Conversation.department_id),
            col(Message.social_account_id),
        )
        .outerjoin(
            Conversation,
            and_(
                same_tenant(Conversation, Message),
                col(Conversation.id) == col(Message.conversation_id),
                col(Conversation.tenant_id) == ACTOR.tenant,
            ),
        )
        .where(
            col(Message.tenant_id) == ACTOR.tenant,
            col(Message.outbound_kind).is_not(None),
            col(Message.published_at).is_not(None),
            or_(col(Message.outbound_kind) != OutboundKind.REPLY, not_(is_repeated)),
        )
    )
