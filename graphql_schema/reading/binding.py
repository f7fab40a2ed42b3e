# SPDX-License-Identifier: EUPL-1.2
"""How a statement that is a whole answer binds its organization.

    with bound as materialized (select set_config('app.tenant_id', $1, true)::uuid as tenant)
    select … from bound cross join lateral (select … where bound.tenant is not null offset 0) as op

Row security reads the setting, so nothing that reads a table may run before `bound`. Whether that holds is the
planner's affair: it is asked once for every statement, and where it does not hold the transaction binds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Select, Text, Uuid, func, literal_column, select, true
from sqlalchemy import cast as sql_cast

from graphql_schema.reading.expressions import DIALECT, IS_BOUND, json_of
from graphql_schema.reading.safety import reads_too_early
from services.kernel.isolation import ACTOR
from services.kernel.reads import Answers
from services.kernel.settings import TenantBinding


class HasText(Protocol):
    """A statement of any make."""

    @property
    def text(self) -> str: ...


S = TypeVar("S", bound=HasText)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a statement: what finds its value, or the value itself; and what the driver wants made of it."""

    name: str
    is_constant: bool
    constant: Any
    process: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Compiled:
    """Text with numbered parameters, and the parameters in their order."""

    text: str
    parameters: tuple[Parameter, ...]


def compiled(parts: Sequence[ColumnElement[Any]], binding: TenantBinding) -> Compiled:
    """The statement whose one value is the JSON of these labelled parts, read after the organization is bound."""
    op = select(*parts).where(IS_BOUND).offset(literal_column("0")).lateral("op")
    tenant = sql_cast(ACTOR.tenant, Text)
    if binding is TenantBinding.STATEMENT:
        tenant = func.set_config(literal_column("'app.tenant_id'"), tenant, literal_column("true"))
    bound = select(sql_cast(tenant, Uuid).label("tenant")).cte("bound").prefix_with("MATERIALIZED")
    whole: Select[Any] = select(sql_cast(json_of(op), Text)).select_from(bound.join(op, true()))
    found = cast("Any", whole.compile(dialect=DIALECT))
    binds = cast("Mapping[str, BindParameter[Any]]", found.binds)
    return Compiled(str(found), tuple(_parameter(name, binds[name]) for name in found.positiontup))


def _parameter(name: str, bound: BindParameter[Any]) -> Parameter:
    process = bound.type.dialect_impl(DIALECT).bind_processor(DIALECT)
    return Parameter(name, not bound.required, bound.value, process or _unchanged)


def _unchanged(value: Any) -> Any:
    return value


async def safe_form(write: Callable[[TenantBinding], S], reads: Answers) -> tuple[S, TenantBinding]:
    """Write a statement, and ask the database once whether it binds its organization before it reads."""
    if reads.binding is TenantBinding.STATEMENT:
        statement = write(TenantBinding.STATEMENT)
        if not reads_too_early(await reads.explain(statement.text)):
            return statement, TenantBinding.STATEMENT
    return write(TenantBinding.TRANSACTION), TenantBinding.TRANSACTION


async def run(text: str, binding: TenantBinding, tenant_id: UUID, values: Sequence[Any], reads: Answers) -> Any:
    """The one value of a statement. Raises ServiceUnavailable."""
    if binding is TenantBinding.STATEMENT:
        return await reads.value(text, values)
    return await reads.value_in_transaction(tenant_id, text, values)
