# SPDX-License-Identifier: EUPL-1.2
"""Who sees what happens to a conversation: whoever sees it now, and once more whoever saw it until then.

Who saw it before is read from the audit log: it tells which department and topic a conversation had, and who held it,
before the event that changed them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache
from sqlalchemy import BigInteger, FromClause, Select, Text, Uuid, any_, bindparam, case, literal_column, select, true
from sqlalchemy import cast as sql_cast
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.visitors import replacement_traverse

from graphql_schema.conversations.types import Conversation
from graphql_schema.live.stream import Sight
from graphql_schema.reading.declarations import plain
from graphql_schema.reading.filters import filter_shape
from graphql_schema.reading.onlookers import Onlookers, Question, filter_values, visible_rows
from graphql_schema.reading.rows import KEYS, ONE
from services.assignments import events as assignments
from services.conversations import events as conversations
from services.conversations import models
from services.conversations.queries import CONVERSATION_IS_VISIBLE
from services.kernel.access import Actor
from services.kernel.audit import AuditEvent
from services.kernel.isolation import ACTOR
from services.kernel.outbox import Fact
from services.kernel.runtime import Runtime

MATCHES, SEES, SAW = "matches", "sees", "saw"
"""The filter lets it through; the actor sees it now; the actor saw it until the event."""

ROUTING = frozenset({conversations.ConversationRouted.kind, conversations.ConversationCategorized.kind})
TAKING = frozenset({assignments.ConversationClaimed.kind, assignments.ConversationTakenOver.kind})
GIVING_BACK = frozenset(
    event.kind for event in (assignments.ConversationReleased, assignments.ClaimLapsed, assignments.ClaimCompleted)
)
CAN_TAKE_FROM_VIEW = ROUTING | TAKING
"""Events after which somebody who saw a conversation may not see it any more."""

STATEMENTS_MAX = 200
_statements: LRUCache[tuple[object, bool], Onlookers] = LRUCache(STATEMENTS_MAX)


@dataclass(frozen=True)
class Watcher:
    """What a filter lets through, and to whom."""

    filter: Mapping[str, Any]

    @property
    def key(self) -> object:
        """Equal for equal filters."""
        return repr(self.filter)

    async def look(self, runtime: Runtime, entry: Fact, actors: Sequence[Actor]) -> list[frozenset[str]]:
        """What is true of each actor and an event's conversation. Whatever is true for some rights is true for more."""
        key = (filter_shape(self.filter), entry.kind in CAN_TAKE_FROM_VIEW)
        if key not in _statements:
            _statements[key] = Onlookers(questions(self.filter, looks_back=key[1]))
        values = {**filter_values(self.filter), KEYS.key: [entry.subject_id], "seq": entry.seq}
        return await _statements[key].ask(runtime.database.reads, actors, values)

    @staticmethod
    def sight(found: frozenset[str]) -> Sight:
        """What an actor is told of the event."""
        if MATCHES in found:
            return Sight.SHOWN
        return Sight.LEFT if SAW in found and SEES not in found else Sight.SKIPPED


def questions(tree: Mapping[str, Any], *, looks_back: bool) -> dict[str, Question]:
    """What is asked about an event under a filter; `looks_back` when it may have taken the row from somebody's view."""
    questions = {MATCHES: Question(visible_rows(Conversation, tree))}
    if looks_back:
        questions |= {SEES: Question(visible_rows(Conversation)), SAW: Question(_seen_before(), _before())}
    return questions


def _seen_before() -> Select[Any]:
    table = models.Conversation.__table__  # pyright: ignore[reportAttributeAccessIssue]
    replaced = {
        table.c[name]: literal_column(f"before.{name}", Uuid())
        for name in ("department_id", "category_id", "holder_id", "last_holder_id")
    }

    def replace(element: Any, **_: Any) -> Any:
        return replaced.get(element) if isinstance(element, ColumnClause) else None

    visible = replacement_traverse(plain(CONVERSATION_IS_VISIBLE), {}, replace)
    return select(ONE).select_from(table).where(table.c.tenant_id == ACTOR.tenant, table.c.id == any_(KEYS), visible)


def _before() -> FromClause:
    """What decided on visibility before an event, by the audit log; no row when the conversation was not routed yet."""
    routed, held = _last(ROUTING, "routed"), _last(TAKING | GIVING_BACK, "held")
    holder = _id_in(held, "holder_id")
    is_held = held.c.action.in_([literal_column(f"'{each}'", Text()) for each in sorted(TAKING)])
    return (
        select(
            _id_in(routed, "department_id").label("department_id"),
            _id_in(routed, "category_id").label("category_id"),
            case((is_held, holder)).label("holder_id"),
            holder.label("last_holder_id"),
        )
        .select_from(routed.outerjoin(held, true()))
        .subquery("before")
    )


def _last(actions: frozenset[str], name: str) -> Any:
    table = AuditEvent.__table__  # pyright: ignore[reportAttributeAccessIssue]
    return (
        select(table.c.action, table.c.detail)
        .where(
            table.c.tenant_id == literal_column("bound.tenant", Uuid()),
            table.c.subject_id == any_(KEYS),
            table.c.seq < bindparam("seq", type_=BigInteger()),
            table.c.action.in_([literal_column(f"'{each}'", Text()) for each in sorted(actions)]),
        )
        .order_by(table.c.seq.desc())
        .limit(literal_column("1"))
        .subquery(name)
    )


def _id_in(fact: Any, name: str) -> Any:
    return sql_cast(fact.c.detail.op("->>")(literal_column(f"'{name}'")), Uuid())
