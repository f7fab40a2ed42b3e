# SPDX-License-Identifier: EUPL-1.2
"""The third opinion: who sees which conversation, what a filter means and how an order goes, in plain Python.

Both executors share the code that makes SQL of filters, orders and cursors; a mistake there would look the same in
both. This module shares nothing with it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from graphql_schema.conversations.types import Category, Contact
from graphql_schema.reading.declarations import decode_id, encode_id
from graphql_schema.social_accounts.types import SocialAccount
from graphql_schema.tenancy.types import Department, Person
from services.conversations.models import Conversation
from services.conversations.rules import Priority
from services.kernel.access import Actor, Role
from services.kernel.serialization import print_instant
from tests.graphql_schema.reading.planting import Planted

IDS = {
    "departmentId": ("department_id", Department),
    "categoryId": ("category_id", Category),
    "socialAccountId": ("social_account_id", SocialAccount),
    "contactId": ("contact_id", Contact),
    "holderId": ("holder_id", Person),
}
INSTANTS = {"openedAt": "opened_at", "lastMessageAt": "last_message_at", "nextContactDueAt": "due_order"}
ORDERS = {"OPENED_AT": "opened_at", "LAST_MESSAGE_AT": "last_message_at", "PRIORITY": "priority",
          "NEXT_CONTACT_DUE_AT": "due_order"}  # fmt: skip


def sees(planted: Planted, actor: Actor) -> Callable[[Conversation], bool]:
    """Who sees which conversation, for a coordinator of the organization and for operators of departments."""
    if Role.COORDINATOR in actor.roles:
        return lambda row: True
    grant = actor.grants[0]
    assert grant.role is Role.OPERATOR
    departments = grant.departments or frozenset(planted.organization.departments.values())
    # The planted topics belong to the departments in their order; nobody may look at another's.
    answered = zip(planted.categories, planted.organization.departments.values(), strict=False)
    topics = {category.id for category, department in answered if department in departments}

    def is_seen(row: Conversation) -> bool:
        held = row.holder_id == actor.membership_id
        return row.department_id in departments or row.category_id in topics or held

    return is_seen


def holds(tree: Mapping[str, Any] | None, row: Conversation) -> bool:
    """Whether a filter lets a row through."""
    for name, value in (tree or {}).items():
        if value is None:
            continue
        if name == "and":
            found = all(holds(each, row) for each in value)
        elif name == "or":
            found = any(holds(each, row) for each in value)
        elif name == "not":
            found = not holds(value, row)
        else:
            found = all(_compare(name, comparator, operand, row) for comparator, operand in value.items())
        if not found:
            return False
    return True


def _compare(name: str, comparator: str, operand: Any, row: Conversation) -> bool:
    value, operand = _value(name, row), _operand(name, operand) if comparator != "isNull" else operand
    if comparator == "isNull":
        return (value is None) == operand
    if comparator in ("neq", "nin"):
        return not (value == operand if comparator == "neq" else value in operand)
    if value is None:
        return False
    return {
        "eq": lambda: value == operand,
        "in": lambda: value in operand,
        "gt": lambda: value > operand,
        "gte": lambda: value >= operand,
        "lt": lambda: value < operand,
        "lte": lambda: value <= operand,
    }[comparator]()


def _value(name: str, row: Conversation) -> Any:
    if name in IDS:
        return getattr(row, IDS[name][0])
    if name in INSTANTS:
        return getattr(row, INSTANTS[name])
    return {"state": row.state.value, "channelKind": row.channel_kind.value, "priority": row.priority}[name]


def _operand(name: str, operand: Any) -> Any:
    if isinstance(operand, list):
        return [_operand(name, each) for each in operand]
    if name in IDS:
        return decode_id(operand, IDS[name][1]) or UUID(int=0)
    if name in INSTANTS:
        return datetime.fromisoformat(operand)
    return Priority[operand].value if name == "priority" else operand


def ordered(rows: Sequence[Conversation], keys: Sequence[Mapping[str, str]]) -> list[Conversation]:
    """The rows in an order; the id is the last key, in the direction of the key before it."""
    keys = keys or [{"field": "NEXT_CONTACT_DUE_AT", "direction": "ASC"}]
    found = sorted(rows, key=lambda row: row.id, reverse=keys[-1]["direction"] == "DESC")
    for key in reversed(keys):
        found.sort(key=lambda row: getattr(row, ORDERS[key["field"]]), reverse=key["direction"] == "DESC")
    return found


def filters(planted: Planted, other: Planted) -> st.SearchStrategy[dict[str, Any]]:
    """Filters over everything that conversations offer, with ids that exist, are foreign, malformed or of other types.

    Most have one or two conditions: long ones let nothing through, and then every mistake looks right.
    """
    one = st.sampled_from([tree for trees in comparisons(planted, other).values() for tree in trees])
    two = st.tuples(one, one).map(lambda pair: {**pair[0], **pair[1]})
    tree = leaf = st.one_of(one, one, two, st.sampled_from([{}, {"state": None}]))
    for _ in range(3):
        several = st.lists(tree, min_size=1, max_size=3)
        nested = st.one_of(
            several.map(lambda trees: {"and": trees}),
            several.map(lambda trees: {"or": trees}),
            tree.map(lambda each: {"not": each}),
        )
        tree = st.one_of(leaf, nested)
    return tree


def comparisons(planted: Planted, other: Planted) -> dict[str, list[dict[str, Any]]]:
    """By field: filters of one comparison each, every comparator with operands that let some rows through."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, (attribute, shown) in IDS.items():
        here = sorted(
            {encode_id(shown, row_id) for each in planted.conversations if (row_id := getattr(each, attribute))}
        )
        foreign = [encode_id(shown, row_id) for each in other.conversations if (row_id := getattr(each, attribute))]
        strange = [foreign[0], "", "?", encode_id(SocialAccount if shown is Person else Person, planted.accounts[0].id)]
        found[name] = _each(name, [*here[:2], *strange], here[:2], NULLS)
    for name, attribute in INSTANTS.items():
        instants = sorted({print_instant(getattr(each, attribute)) for each in planted.conversations})
        found[name] = _each(name, [instants[3], instants[-4]], instants[2:6], RANGES)
    found["state"] = _each("state", ["OPEN", "SNOOZED"], ["OPEN", "NEW"])
    found["channelKind"] = _each("channelKind", ["DIRECT", "MAIL"], ["DIRECT", "FORM"])
    found["priority"] = _each("priority", [each.name for each in Priority], ["LOW", "URGENT"], RANGES)
    return found


RANGES = ("gt", "gte", "lt", "lte")
NULLS = ("isNull",)


def _each(name: str, values: list[Any], several: list[Any], more: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    comparators = ("eq", "neq", *(each for each in more if each != "isNull"))
    found = [{name: {comparator: value}} for comparator in comparators for value in values]
    found += [{name: {comparator: list_}} for comparator in ("in", "nin") for list_ in (several, [], [values[-1]])]
    return found + [{name: {"isNull": value}} for value in (True, False) if "isNull" in more]


def orders() -> st.SearchStrategy[list[dict[str, str]]]:
    """Orders of up to three keys in any directions."""
    directions = st.sampled_from(("ASC", "DESC"))
    fields = st.lists(st.sampled_from(sorted(ORDERS)), max_size=3, unique=True)
    return fields.flatmap(
        lambda names: st.tuples(*(directions for _ in names)).map(
            lambda chosen: [{"field": name, "direction": each} for name, each in zip(names, chosen, strict=True)]
        )
    )
