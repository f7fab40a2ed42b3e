# SPDX-License-Identifier: EUPL-1.2
"""Which of many actors see some rows: one statement for all who watch, made of the predicates of every other read.

The actors come as rows, one for each, in place of the parameters that a predicate over `ACTOR` holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    bindparam,
    column,
    exists,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from graphql_schema.reading.binding import Compiled, compiled, run, safe_form
from graphql_schema.reading.declarations import readable_of
from graphql_schema.reading.expressions import BOUND_TENANT
from graphql_schema.reading.filters import Path, filter_condition, read_filter
from graphql_schema.reading.inputs import as_tree
from graphql_schema.reading.rows import ONE, frame_of
from services.kernel.access import Actor
from services.kernel.isolation import ACTOR, ACTOR_READERS
from services.kernel.reads import Answers
from services.kernel.serialization import from_json, to_json
from services.kernel.settings import TenantBinding

ACTORS = "actors"
NO_NUMBERS = literal_column("'[]'::json")


@dataclass(frozen=True, slots=True)
class Question:
    """Whether an actor sees rows of `rows`; they may look at the one row of `beside`, the same for everybody."""

    rows: Select[Any]
    beside: FromClause | None = None


class Onlookers:
    """Questions by their names. Made once, asked often."""

    def __init__(self, questions: Mapping[str, Question]) -> None:
        self._questions = questions
        found = {each.key: each for question in questions.values() for each in _actor_parameters(question.rows)}
        self._rights = dict(sorted(found.items()))
        self._forms: dict[TenantBinding, tuple[Compiled, TenantBinding]] = {}

    async def ask(self, reads: Answers, actors: Sequence[Actor], values: Mapping[str, Any]) -> list[frozenset[str]]:
        """For each actor the questions that are answered by yes. `values` are those of the questions' parameters."""
        if reads.binding not in self._forms:
            self._forms[reads.binding] = await safe_form(self.write, reads)
        statement, binding = self._forms[reads.binding]
        tenant_id = actors[0].tenant_id
        known = {**values, ACTORS: self._as_rows(actors), ACTOR.tenant.key: tenant_id}
        given = [each.process(each.constant if each.is_constant else known[each.name]) for each in statement.parameters]
        answer = from_json(await run(statement.text, binding, tenant_id, given, reads))
        numbers = {name: frozenset(cast("list[int]", answer[name])) for name in self._questions}
        return [frozenset(name for name in numbers if place in numbers[name]) for place in range(len(actors))]

    def _as_rows(self, actors: Sequence[Actor]) -> str:
        rows = [
            {"number": place, **{name: ACTOR_READERS[name](actor) for name in self._rights}}
            for place, actor in enumerate(actors)
        ]
        return to_json(rows).decode()

    def write(self, binding: TenantBinding) -> Compiled:
        """The statement."""
        return compiled([self._part(each).label(name) for name, each in self._questions.items()], binding)

    def _part(self, question: Question) -> ColumnElement[Any]:
        actors = func.jsonb_to_recordset(sql_cast(bindparam(ACTORS, type_=Text), JSONB)).table_valued(
            column("number", Integer), *(column(name, each.type) for name, each in self._rights.items())
        )
        actors = actors.render_derived(name="actor", with_types=True)
        rows = cast("Select[Any]", replacement_traverse(question.rows, {}, _as_column))
        numbers = select(func.coalesce(func.json_agg(literal_column("actor.number")), NO_NUMBERS))
        source = actors if question.beside is None else actors.join(question.beside, true())
        return numbers.select_from(source).where(exists(rows)).scalar_subquery()


def visible_rows(node_type: type, tree: Mapping[str, Any] | None = None) -> Select[Any]:
    """The rows among the parameter `keys` that an actor sees and a filter lets through."""
    readable = readable_of(node_type)
    frame = frame_of(readable)
    condition = filter_condition(readable, tree or {}, frame.alias, _bind)
    return frame.by_ids().where(condition).with_only_columns(ONE)


def watched_filter(node_type: type, asked: object) -> dict[str, Any]:
    """A filter input as plain data with row ids in it. Raises BadUserInput."""
    return read_filter(readable_of(node_type), as_tree(asked) or {})


def filter_values(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the parameters that `visible_rows` makes of a filter."""
    return dict(_filter_values(tree, ("filter",)))


def _filter_values(value: Any, path: Path) -> Iterator[tuple[str, Any]]:
    yield _name(path), value
    if isinstance(value, Mapping):
        for name, each in cast("Mapping[str, Any]", value).items():
            yield from _filter_values(each, (*path, name))
    elif isinstance(value, list) and path[-1] in ("and", "or"):
        for place, each in enumerate(cast("list[Any]", value)):
            yield from _filter_values(each, (*path, place))


def _bind(path: Path, _value: Any, kind: Any) -> ColumnElement[Any]:
    return bindparam(_name(path), type_=kind)


def _name(path: Path) -> str:
    return "_".join(map(str, path))


def _actor_parameters(rows: Select[Any]) -> Iterator[BindParameter[Any]]:
    for each in iterate(rows):
        if isinstance(each, BindParameter) and each.key in ACTOR_READERS and each.key != ACTOR.tenant.key:
            yield each


def _as_column(element: Any, **_: Any) -> ColumnElement[Any] | None:
    if not isinstance(element, BindParameter):
        return None
    if element.key == ACTOR.tenant.key:
        return BOUND_TENANT
    return literal_column(f"actor.{element.key}", element.type) if element.key in ACTOR_READERS else None
