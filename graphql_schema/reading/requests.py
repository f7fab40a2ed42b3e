# SPDX-License-Identifier: EUPL-1.2
"""The arguments of a planned operation, read anew for every run: one request for each call of the plan.

Requests of equal shapes have the same statement; the values come from `at`, by the paths under which they were bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast
from uuid import UUID

from graphql.execution import VariableValues
from strawberry.utils.str_converters import to_camel_case

from graphql_schema.nodes import decode_id as decode_any_id
from graphql_schema.reading import conditions
from graphql_schema.reading.conditions import NOBODY, PageRequest, Path
from graphql_schema.reading.declarations import decode_id, readable_by_tag
from graphql_schema.reading.plan import AnyNode, Figure, Many, Plan
from services.kernel.access import Actor

NOWHERE = ("", NOBODY)
"""What an id stands for that leads nowhere: a type and a row that do not exist."""


@dataclass(frozen=True, slots=True)
class NodeRequest:
    """Rows by their ids, each as (tag of its type, row id)."""

    found: tuple[tuple[str, UUID], ...]

    @property
    def shape(self) -> tuple[str, ...]:
        """The types that are asked for."""
        return tuple(sorted({tag for tag, _ in self.found} - {NOWHERE[0]}))

    def at(self, path: Path) -> Any:
        place = ("tags", "row_ids").index(cast("str", path[0]))
        return [each[place] for each in self.found]


@dataclass(frozen=True, slots=True)
class FigureRequest:
    """The arguments of a figure by their Python names; what is not given is null."""

    arguments: Mapping[str, Any]

    @property
    def shape(self) -> object:
        return None

    def at(self, path: Path) -> Any:
        return self.arguments.get(cast("str", path[0]))


Request = PageRequest | NodeRequest | FigureRequest


class Asking(Protocol):
    """What reading arguments needs of an operation's context."""

    @property
    def actor(self) -> Actor: ...
    @property
    def cursor_key(self) -> bytes: ...


def requests_of(plan: Plan, variables: VariableValues, context: Asking) -> list[Request]:
    """The arguments of every call of a plan, in their order. Raises BadUserInput."""
    return [_request(each, each.call.arguments(variables), context) for each in plan.calls]


def shape_of(requests: Sequence[Request]) -> tuple[Any, ...]:
    """Requests of equal shapes have the same statement."""
    return tuple(each.shape for each in requests)


def _request(call: Many | AnyNode | Figure, arguments: Mapping[str, Any], context: Asking) -> Request:
    if isinstance(call, Many):
        return conditions.page_request(
            call.target,
            call.declared.order,
            arguments,
            field=call.name,
            tenant_id=context.actor.tenant_id,
            key=context.cursor_key,
        )
    if isinstance(call, AnyNode):
        ids = arguments["ids"] if call.is_list else [arguments["id"]]
        return NodeRequest(tuple(_found(each, context) for each in ids))
    values: dict[str, Any] = {}
    for name, argument in call.of.readable.arguments.items():
        value = arguments.get(to_camel_case(name))
        if argument.node is not None and value is not None:
            value = decode_id(value, argument.node) or NOBODY
        values[name] = value
    return FigureRequest(values)


def _found(global_id: str, context: Asking) -> tuple[str, UUID]:
    found = decode_any_id(global_id)
    readable = readable_by_tag(found[0]) if found is not None else None
    is_open = readable is not None and context.actor.may(readable.permission)
    return found if found is not None and is_open else NOWHERE
