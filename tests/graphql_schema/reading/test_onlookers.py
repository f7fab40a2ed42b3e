# SPDX-License-Identifier: EUPL-1.2
"""Who of many sees a row: safe to ask in one statement, and safe to answer for many at once."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import BindParameter, and_, any_, not_, or_
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, CollectionAggregate, Grouping, UnaryExpression
from sqlmodel import col

from graphql_schema.conversations import watching
from graphql_schema.reading.declarations import REGISTRY, Readable, plain
from graphql_schema.reading.onlookers import Onlookers
from graphql_schema.reading.safety import reads_too_early
from services.conversations.models import Conversation
from services.conversations.queries import CONVERSATION_IS_VISIBLE
from services.kernel.database import Database
from services.kernel.isolation import ACTOR
from services.kernel.outbox import WHAT_FOLLOWS
from services.kernel.settings import TenantBinding

OURS = [each for each in REGISTRY.values() if each.python_type.__module__.startswith("graphql_schema.")]


@pytest.mark.parametrize("readable", OURS, ids=lambda each: each.name)
def test_what_a_person_holds_only_ever_adds_to_what_rights_show(readable: Readable) -> None:
    """Actor.among needs it: compared by `= ANY` alone, and under nothing that denies."""
    assert all(uses(plain(readable.visible))), f"{readable.name} uses ACTOR.selves in another way"


def uses(element: Any, *, denied: bool = False, compared: bool = False) -> Iterator[bool]:
    """Whether each use of the parameter is one that is allowed."""
    if isinstance(element, BindParameter) and element.key == ACTOR.selves.key:
        yield compared and not denied
    if isinstance(element, UnaryExpression) and not isinstance(element, CollectionAggregate):
        denied = denied or element.operator not in (None, operators.exists)
    elif isinstance(element, BinaryExpression):
        denied = denied or element.operator not in (operators.eq, operators.in_op)
        compared = element.operator is operators.eq and isinstance(element.right, CollectionAggregate)
    elif not isinstance(element, CollectionAggregate | Grouping):
        compared = False
    for each in element.get_children():
        yield from uses(each, denied=denied, compared=compared)


def test_a_use_that_denies_is_found() -> None:
    holder, fence = col(Conversation.holder_id), col(Conversation.fence) > 1
    allowed = holder == any_(ACTOR.selves)
    for wrong in (not_(or_(allowed, fence)), holder != any_(ACTOR.selves), ACTOR.selves.is_(None)):
        assert list(uses(plain(wrong))) == [False]
    assert list(uses(plain(and_(allowed, fence)))) == [True]
    assert list(uses(plain(CONVERSATION_IS_VISIBLE))) == [True] * 6


@pytest.mark.parametrize("looks_back", [False, True])
async def test_the_organization_is_bound_before_anything_is_read(database: Database, looks_back: bool) -> None:
    asked = {"state": {"eq": "OPEN"}, "or": [{"openedAt": {"lt": None}}, {"departmentId": {"in": []}}]}
    onlookers = Onlookers(watching.questions(asked, looks_back=looks_back))
    text = onlookers.write(TenantBinding.STATEMENT).text
    assert reads_too_early(await database.reads.explain(text)) == []


async def test_what_follows_is_read_after_the_organization_is_bound(database: Database) -> None:
    assert reads_too_early(await database.reads.explain(WHAT_FOLLOWS)) == []
