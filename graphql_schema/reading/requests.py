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
from graphql_schema.reading.bounds import check_values
from graphql_schema.reading.conditions import PageRequest
from graphql_schema.reading.declarations import ListOf, Readable, decode_id, readable_by_tag
from graphql_schema.reading.filters import NOBODY, Path
from graphql_schema.reading.plan import AnyNode, Figure, Many, Plan
from services.kernel.access import Actor
from services.kernel.clock import utc_now

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


def requests_of(
    plan: Plan, variables: VariableValues, context: Asking, known: dict[int, Request] | None = None
) -> list[Request]:
    """The arguments of every call of a plan, in their order. Raises BadUserInput.

    `known` is filled with the requests that are the same whenever somebody of this organization asks.
    """
    known = {} if known is None else known
    found: list[Request] = []
    for each in plan.calls:
        request = known.get(each.call.number)
        if request is None:
            request = _request(each, _checked(each.call.arguments(variables)), context)
            # What an id leads to depends on the rights of whoever asks.
            if each.call.is_fixed and not isinstance(each, AnyNode):
                known[each.call.number] = request
        found.append(request)
    return found


def _checked(arguments: dict[str, Any]) -> dict[str, Any]:
    check_values(arguments)
    return arguments


def shape_of(requests: Sequence[Request]) -> tuple[Any, ...]:
    """Requests of equal shapes have the same statement."""
    return tuple(each.shape for each in requests)


def _request(call: Many | AnyNode | Figure, arguments: Mapping[str, Any], context: Asking) -> Request:
    if isinstance(call, Many):
        return list_request(call.target, call.declared, call.name, arguments, context)
    if isinstance(call, AnyNode):
        ids = arguments["ids"] if call.is_list else [arguments["id"]]
        return NodeRequest(tuple(find_node(each, context) for each in ids))
    readable = call.of.readable
    given = {name: arguments.get(to_camel_case(name)) for name in readable.arguments}
    return FigureRequest(figure_values(readable, given))


# What both executors read alike.


def list_request(
    target: Readable, declared: ListOf, name: str, arguments: Mapping[str, Any], context: Asking
) -> PageRequest:
    """The arguments of a list, plain data by GraphQL names; `name` is its own. Raises BadUserInput."""
    return conditions.page_request(
        target,
        declared,
        arguments,
        field=name,
        tenant_id=context.actor.tenant_id,
        key=context.cursor_key,
    )


def figure_values(readable: Readable, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a figure by their Python names, row ids in place of global ids; null where none is given.

    Raises BadUserInput.
    """
    values: dict[str, Any] = {}
    for name, argument in readable.arguments.items():
        value = given.get(name)
        if argument.node is not None and value is not None:
            value = decode_id(value, argument.node) or NOBODY
        values[name] = value
    if readable.check is not None:
        readable.check(values, utc_now())
    return values


def find_node(global_id: str, context: Asking) -> tuple[str, UUID]:
    """The tag and the row's id behind a global id; NOWHERE for everything that the actor may not read."""
    found = decode_any_id(global_id)
    readable = readable_by_tag(found[0]) if found is not None else None
    is_open = readable is not None and context.actor.may(readable.permission)
    return found if found is not None and is_open else NOWHERE
