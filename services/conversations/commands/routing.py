# SPDX-License-Identifier: EUPL-1.2
"""Where conversations go. A rule decides on the citizen's first words; once a person has touched it, no rule does."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlmodel import col

from services.conversations import queries, rules
from services.conversations.events import ConversationCategorized, ConversationRouted, ConversationStateChanged
from services.conversations.models import CategoryDepartment, Conversation, Message, RoutingDecision, RoutingRule
from services.conversations.rules import AuthorKind, ConversationState, Trigger
from services.kernel import identifiers
from services.kernel.access import Permission
from services.kernel.batches import insert_new
from services.kernel.database import UnitOfWork
from services.kernel.errors import Invalid, NotFound
from services.kernel.isolation import owned
from services.tenancy import queries as tenancy


async def route_untouched(uow: UnitOfWork, conversations: Sequence[tuple[Conversation, Sequence[Message]]]) -> None:
    """Route new conversations, and again those whose first words became known late, as long as no person decided."""
    uow.actor.require(Permission.BELFRY_WORK)
    candidates = [(row, _first_words(messages)) for row, messages in conversations if _is_untouched(row)]
    if not candidates:
        return
    table = await _rules(uow)
    responsible = await _responsible(uow)
    desk = await tenancy.coordination_desk(uow)
    decisions: list[dict[str, Any]] = []
    for row, words in candidates:
        route = rules.route(words, account_id=row.social_account_id, rules=table)
        department_id = responsible.get(route.category_id, desk.id) if route.category_id else desk.id
        if row.state is ConversationState.NEW:
            row.state = rules.after(row.state, Trigger.ROUTED)
            uow.emit(ConversationStateChanged(conversation_id=row.id, before=ConversationState.NEW, after=row.state))
        elif (row.category_id, row.department_id) == (route.category_id, department_id):
            continue
        row.category_id, row.department_id = route.category_id, department_id
        decisions.append(
            {
                "tenant_id": uow.tenant_id,
                "id": identifiers.new(),
                "conversation_id": row.id,
                "rule_id": route.rule_id,
                "category_id": route.category_id,
                "department_id": department_id,
                "why": route.why,
            }
        )
        uow.emit(
            ConversationRouted(
                conversation_id=row.id,
                department_id=department_id,
                category_id=route.category_id,
                rule_id=route.rule_id,
            )
        )
    await insert_new(uow, RoutingDecision, decisions)


async def categorize(
    uow: UnitOfWork, *, conversation_id: UUID, category_id: UUID, expected_version: int | None
) -> Conversation:
    """Say what a conversation is about; the department that answers for the topic gets it."""
    uow.actor.require(Permission.CONVERSATION_CLAIM)
    row = await queries.conversation_for_update(uow, conversation_id)
    await queries.check_reach(uow, Permission.CONVERSATION_CLAIM, row)
    row.require_version(expected_version)
    try:
        category = await queries.category(uow, category_id)
    except NotFound as error:
        raise NotFound(field=("categoryId",)) from error
    if not category.active:
        raise Invalid("This topic is no longer used.", field=("categoryId",))
    responsible = await queries.responsible_department(uow, category_id)
    row.category_id, row.categorized_by = category_id, uow.actor.membership_id
    row.department_id = responsible or row.department_id
    uow.emit(ConversationCategorized(conversation_id=row.id, category_id=category_id, department_id=row.department_id))
    return row


def _is_untouched(row: Conversation) -> bool:
    """Nobody has claimed or categorized it, so what it is about is still the rules' to say."""
    return (
        row.categorized_by is None
        and row.fence == 0
        and row.state in (ConversationState.NEW, ConversationState.OPEN)
        and row.closed_at is None
    )


def _first_words(messages: Sequence[Message]) -> str:
    citizens = [each for each in messages if each.author_kind is AuthorKind.CITIZEN]
    first = min(citizens, key=lambda each: (each.occurred_at, each.external_id or ""), default=None)
    return first.text if first else ""


async def _rules(uow: UnitOfWork) -> list[rules.Rule]:
    rows = await uow.scalars(owned(RoutingRule, col(RoutingRule.active)).order_by(col(RoutingRule.position)))
    return [rules.Rule(row.id, row.name, tuple(row.keywords), row.category_id, row.social_account_id) for row in rows]


async def _responsible(uow: UnitOfWork) -> Mapping[UUID, UUID]:
    rows = await uow.scalars(owned(CategoryDepartment, col(CategoryDepartment.is_responsible)))
    return {row.category_id: row.department_id for row in rows}
