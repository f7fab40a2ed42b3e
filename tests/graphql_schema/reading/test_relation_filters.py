# SPDX-License-Identifier: EUPL-1.2
"""What a filter asks of a related row, against plain Python: the row must be there, be seen, and match."""

from collections.abc import Callable
from typing import Any

import pytest

from graphql_schema.conversations.types import Conversation
from graphql_schema.reading.declarations import REGISTRY, decode_id, encode_id, readable_of
from graphql_schema.reading.inputs import related
from graphql_schema.tenancy.types import Department
from services.conversations import models
from services.kernel.access import Actor, Permission, Role
from tests.graphql_schema.reading import oracle
from tests.graphql_schema.reading.planting import Planted

LIST = """query ($filter: ConversationFilter) {
  conversations(first: 100, filter: $filter) { totalCount nodes { id } }
}"""
Holds = Callable[[models.Conversation], bool]


def wishes(planted: Planted, actor: Actor) -> list[tuple[dict[str, Any], Holds]]:
    """Filters over related rows, each with what it means for a conversation that the actor sees."""
    codes = {row_id: code for code, row_id in planted.organization.departments.items()}
    accounts = {each.id: each for each in planted.accounts}
    whole = Role.COORDINATOR in actor.roles
    departments = None if whole else actor.grants[0].departments
    seen_accounts = {
        each.id for each in planted.accounts if departments is None or each.owner_department_id in departments
    }
    roads = encode_id(Department, planted.organization.departments["ROADS"])

    def account(row: models.Conversation) -> Any:
        return accounts[row.social_account_id] if row.social_account_id in seen_accounts else None

    def in_roads(row: models.Conversation) -> bool:
        return codes[row.department_id] == "ROADS"

    return [
        ({"department": {}}, lambda row: True),
        ({"department": {"code": {"eq": "ROADS"}}}, in_roads),
        ({"department": {"code": {"in": ["ROADS", "PEOPLE"]}}},
         lambda row: codes[row.department_id] in ("ROADS", "PEOPLE")),
        ({"not": {"department": {"code": {"eq": "ROADS"}}}}, lambda row: not in_roads(row)),
        ({"department": {"not": {"code": {"eq": "ROADS"}}}}, lambda row: not in_roads(row)),
        ({"department": {"or": [{"code": {"eq": "ROADS"}}, {"code": {"startsWith": "L"}}]}},
         lambda row: codes[row.department_id] in ("ROADS", "LIGHTS")),
        ({"directingDepartment": {}}, lambda row: row.directing_department_id is not None),
        ({"not": {"directingDepartment": {"code": {"neq": "x"}}}}, lambda row: row.directing_department_id is None),
        ({"category": {}}, lambda row: row.category_id is not None),
        ({"category": {"parentId": {"isNull": True}}}, lambda row: row.category_id is not None),
        ({"category": {"parentId": {"isNull": False}}}, lambda row: False),
        ({"contact": {"network": {"eq": "BLUESKY"}}}, lambda row: True),
        ({"contact": {"network": {"eq": "MASTODON"}}}, lambda row: False),
        ({"socialAccount": {}}, lambda row: account(row) is not None),
        ({"socialAccount": {"network": {"eq": "BLUESKY"}}},
         lambda row: account(row) is not None and account(row).network == "BLUESKY"),
        ({"not": {"socialAccount": {"network": {"eq": "BLUESKY"}}}},
         lambda row: account(row) is None or account(row).network != "BLUESKY"),
        ({"socialAccount": {"ownerDepartmentId": {"eq": roads}}},
         lambda row: account(row) is not None and codes[account(row).owner_department_id] == "ROADS"),
        ({"previous": {}}, lambda row: False),
        ({"state": {"eq": "OPEN"}, "department": {"code": {"eq": "ROADS"}}},
         lambda row: row.state == "OPEN" and in_roads(row)),
        ({"or": [{"department": {"code": {"eq": "ROADS"}}}, {"category": {}}]},
         lambda row: in_roads(row) or row.category_id is not None),
    ]  # fmt: skip


@pytest.mark.usefixtures("unwatched_statements")
@pytest.mark.parametrize(("role", "department"), [(Role.COORDINATOR, None), (Role.OPERATOR, "ROADS")])
async def test_a_related_row_counts_when_it_is_seen_and_matches(
    ask: Any, here: Planted, role: Role, department: str | None, tell: Callable[[str], None]
) -> None:
    actor = here.actor(role, department)
    is_seen, telling = oracle.sees(here, actor), 0
    asked = wishes(here, actor)
    for tree, holds in asked:
        page = (await ask(actor, LIST, filter=tree))["conversations"]
        expected = {row.id for row in here.conversations if is_seen(row) and holds(row)}
        assert {decode_id(each["id"], Conversation) for each in page["nodes"]} == expected, tree
        assert page["totalCount"] == len(expected)
        telling += 0 < len(expected) < sum(map(is_seen, here.conversations))
    tell(f"{role.value}: {len(asked)} filters over related rows, {telling} of them let some through and not others")
    assert telling > len(asked) / 3


@pytest.mark.parametrize(
    "tree",
    [
        {"department": {"parent": {"code": {"eq": "ROADS"}}}},
        {"department": {"or": [{"parent": {}}]}},
        {"department": {"not": {"parent": {}}}},
        {"previous": {"previous": {}}},
        {"department": {"code": {"eq": None}}},
        {"department": {"code": {"in": ["ROADS"] * 101}}},
        {"department": {"not": {"not": {"not": {"code": {"eq": "ROADS"}}}}}},
        {"and": [{"department": {"and": [{"code": {"eq": "ROADS"}}]}}] * 60},
        {"department": {"nonsense": {"eq": "ROADS"}}},
        {"nonsense": {"code": {"eq": "ROADS"}}},
    ],
    ids=str,
)
async def test_what_looks_too_far_or_too_often_is_refused(codes: Any, here: Planted, tree: dict[str, Any]) -> None:
    assert await codes(here.coordinator, LIST, filter=tree) == ["BAD_USER_INPUT"]


def test_a_filter_looks_only_at_what_its_reader_may_read() -> None:
    """Along a relation only to rows with a predicate of their own, or under a permission that the list needs too."""
    offered = 0
    for readable in list(REGISTRY.values()):
        if "tests" in readable.path or readable.is_figure:
            continue
        for each in related(readable).values():
            offered += 1
            own = {readable.permission, Permission.DIRECTORY_READ}
            assert not each.target.everybody_sees_it or each.target.permission in own
    assert offered > 20
    assert set(related(readable_of(Conversation))) == {
        "category", "contact", "department", "directingDepartment", "previous", "socialAccount"
    }  # fmt: skip
