# SPDX-License-Identifier: EUPL-1.2
"""Who may see which conversation, message and contact; and the reads that commands need.

One predicate serves commands, lists, counts, search, live events and exports alike. A conversation is visible when a
department in which the actor holds the right answers for it, directs it or may view its topic; when the actor holds it
or takes part; or when the actor coordinates the organization. A confidential topic drops the right to view and
whole-organization grants. What was said in private needs the right to private messages instead.
"""

from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    FromClause,
    ScalarSelect,
    and_,
    any_,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
)
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
)
from services.conversations.rules import ChannelKind, Visibility
from services.deliveries import queries as deliveries
from services.kernel.access import Permission
from services.kernel.isolation import ACTOR, same_tenant
from services.tenancy.queries import TENANT_WIDE

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
        col(Participant.membership_id) == any_(ACTOR.selves),
    )
    holds = or_(
        col(Conversation.holder_id) == any_(ACTOR.selves),
        and_(col(Conversation.holder_id).is_(None), col(Conversation.last_holder_id) == any_(ACTOR.selves)),
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
