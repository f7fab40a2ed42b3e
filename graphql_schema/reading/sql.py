# SPDX-License-Identifier: EUPL-1.2
"""A plan as one SQL statement whose only value is the JSON of the answer. The only module that writes it.

The organization is bound inside the statement (`binding.py`), in the same round trip. Nothing that reads a table may
run before that: each root is a scalar subquery of its own on the inner side of the join, every query level that is
correlated to no row repeats `bound.tenant is not null`, and predicates inside subqueries compare with `bound.tenant`
instead of a parameter.

JSON comes from `row_to_json` and `array_to_json` alone: what they print has no spaces, as the ordinary executor's.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import (
    ARRAY,
    JSON,
    BindParameter,
    Column,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Subquery,
    Text,
    Uuid,
    bindparam,
    case,
    column,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql.visitors import replacement_traverse
from sqlalchemy.types import TypeEngine

from graphql_schema.connections import TOTAL_COUNT_MAX
from graphql_schema.nodes import encode_id_in_sql
from graphql_schema.reading import conditions
from graphql_schema.reading.binding import Parameter, compiled
from graphql_schema.reading.conditions import PageRequest
from graphql_schema.reading.declarations import (
    ARGUMENT,
    Key,
    Newest,
    Readable,
    SameRow,
    key_of,
)
from graphql_schema.reading.expressions import (
    FALSE,
    IS_BOUND,
    NULL,
    ONE,
    TRUE,
    json_array,
    key_over,
    over,
    printed,
    reference,
    row_json,
    settled,
    type_name,
)
from graphql_schema.reading.figures import FIGURE_ROWS_MAX
from graphql_schema.reading.filters import Bind, Path
from graphql_schema.reading.plan import (
    AnyNode,
    Count,
    Edges,
    Figure,
    Fixed,
    Identity,
    Info,
    Many,
    One,
    Plan,
    Selection,
    Value,
)
from graphql_schema.reading.requests import NodeRequest, Request
from services.kernel.access import Actor
from services.kernel.isolation import ACTOR_READERS
from services.kernel.settings import TenantBinding

Getter = Callable[[Actor, Sequence[Request]], Any]
"""Finds the value of a parameter in the actor or in the requests of the operation."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Text with numbered parameters, and where the value of each comes from."""

    text: str
    parameters: tuple[Getter, ...]

    def values(self, actor: Actor, requests: Sequence[Request]) -> list[Any]:
        """The values, for one actor and the requests of one operation in the order of its calls."""
        return [each(actor, requests) for each in self.parameters]


def write(plan: Plan, requests: Sequence[Request], binding: TenantBinding = TenantBinding.STATEMENT) -> Statement:
    """The statement of a plan for all requests of the same shapes."""
    return _Writer(requests, binding).statement(plan)


def _of_actor(actor: Actor, parameter: Parameter) -> Any:
    name = parameter.name
    if name not in actor.parameters:
        actor.parameters[name] = parameter.process(ACTOR_READERS[name](actor))
    return actor.parameters[name]


@dataclass
class _Writer:
    requests: Sequence[Request]
    binding: TenantBinding
    slots: dict[str, tuple[int, Path]] = field(default_factory=dict[str, tuple[int, Path]])
    references: Counter[Readable] = field(default_factory=Counter[Readable])

    def statement(self, plan: Plan) -> Statement:
        roots = [self._root(root).label(key) for key, root in plan.roots]
        found = compiled(roots, self.binding)
        return Statement(found.text, tuple(self._getter(each) for each in found.parameters))

    def _getter(self, parameter: Parameter) -> Getter:
        name, process = parameter.name, parameter.process
        if parameter.is_constant:
            constant = process(parameter.constant)
            return lambda _actor, _requests: constant
        if name not in self.slots:
            return lambda actor, _: _of_actor(actor, parameter)
        number, path = self.slots[name]
        return lambda _, requests: process(requests[number].at(path))

    def _binder(self, number: int) -> Bind:
        def bind(path: Path, _value: Any, kind: TypeEngine[Any]) -> ColumnElement[Any]:
            name = "_".join(("call", str(number), *map(str, path)))
            self.slots[name] = (number, path)
            return bindparam(name, type_=kind)

        return bind

    # Roots.

    def _root(self, root: Many | AnyNode | Figure | Fixed) -> ColumnElement[Any]:
        if isinstance(root, Fixed):
            return type_name(root.text)
        if isinstance(root, Many):
            return self._page(root, None, IS_BOUND)
        if isinstance(root, AnyNode):
            return self._node(root)
        return self._figure(root)

    def _node(self, node: AnyNode) -> ColumnElement[Any]:
        """Whatever the ids are, one row each in the order asked; null where the actor sees none."""
        request, bind = cast("NodeRequest", self.requests[node.call.number]), self._binder(node.call.number)
        row_ids, tags = bind(("row_ids",), None, ARRAY(Uuid())), bind(("tags",), None, ARRAY(Text()))
        asked = func.unnest(row_ids, tags).table_valued(
            column("row_id", Uuid()), column("tag", Text()), with_ordinality="place", name="asked"
        )
        asked = asked.render_derived()
        rows, found = cast("FromClause", asked), list[ColumnElement[Any]]()
        for tag in request.shape:
            selection = node.by_tag[tag]
            target, seen = self._refer(selection.readable)
            mine = asked.c.tag == type_name(tag), target.c.id == asked.c.row_id
            statement = select(self.object_of(selection, target).label("item")).select_from(target)
            each = statement.where(*mine, *seen).correlate(asked).lateral()
            rows, found = rows.outerjoin(each, true()), [*found, each.c.item]
        item = func.coalesce(NULL, *found, type_=JSON)
        if not node.is_list:
            return select(item).select_from(rows).where(IS_BOUND).scalar_subquery()
        ordered = func.array_agg(aggregate_order_by(item, asked.c.place), type_=ARRAY(JSON))
        return select(json_array(ordered)).select_from(rows).where(IS_BOUND).scalar_subquery()

    def _figure(self, figure: Figure) -> ColumnElement[Any]:
        readable, bind = figure.of.readable, self._binder(figure.call.number)

        def argument(element: Any, **_: Any) -> Any:
            is_one = isinstance(element, BindParameter) and element.key.startswith(ARGUMENT)
            return bind((element.key.removeprefix(ARGUMENT),), None, element.type) if is_one else None

        asked = replacement_traverse(cast("Subquery", readable.source).element, {}, argument)
        source = cast("Select[Any]", settled(asked)).subquery()
        order = None if readable.ordered_by is None else over(readable.ordered_by, readable, source)
        number = func.row_number().over(order_by=order).label("n")
        most = literal_column(str(FIGURE_ROWS_MAX if figure.is_list else 1))
        item = self.object_of(figure.of, source).label("item")
        found = select(number, item).select_from(source).where(IS_BOUND).order_by(number).limit(most).subquery()
        if not figure.is_list:
            return select(found.c.item).scalar_subquery()
        return select(json_array(func.array_agg(aggregate_order_by(found.c.item, found.c.n)))).scalar_subquery()

    # Rows.

    def _refer(self, readable: Readable) -> tuple[FromClause, Sequence[ColumnElement[bool]]]:
        self.references[readable] += 1
        return reference(readable, self.references[readable])

    def _of_row(self, selection: Selection, row: FromClause) -> Select[Any]:
        """The JSON of the row in FROM; the caller says which row."""
        return select(self.object_of(selection, row)).select_from(row)

    def object_of(self, selection: Selection, row: FromClause) -> ColumnElement[Any]:
        """The JSON of a row that an enclosing FROM holds."""
        return row_json([(key, self._item(item, selection.readable, row)) for key, item in selection.items], row)

    def _item(
        self, item: Fixed | Identity | Value | One | Many, readable: Readable, row: FromClause
    ) -> ColumnElement[Any]:
        if isinstance(item, Fixed):
            return type_name(item.text)
        if isinstance(item, Identity):
            return encode_id_in_sql(item.tag, row.c.id)
        if isinstance(item, Value):
            return printed(item, over(item.declared.source, readable, row))
        if isinstance(item, Many):
            key = cast("Key", key_of(cast("Column[Any]", item.declared.key)))
            return self._page(item, row, key.column == over(key.target, readable, row))
        return self._one(item, readable, row)

    def _one(self, one: One, readable: Readable, row: FromClause) -> ColumnElement[Any]:
        declared, wanted = one.declared, one.of.readable
        if isinstance(declared, SameRow):
            condition = over(declared.when, readable, row)
            return case((condition, self.object_of(one.of, row)))
        target, seen = self._refer(wanted)
        statement = self._of_row(one.of, target).where(*seen).correlate(row)
        if isinstance(declared, Newest):
            by = over(declared.by, wanted, target)
            mine = over(declared.key, wanted, target) == row.c.id
            newest = statement.where(mine).order_by(by.desc(), target.c.id.desc()).limit(ONE)
            return newest.scalar_subquery()
        return statement.where(target.c.id == key_over(declared, readable, row)).scalar_subquery()

    # Pages.

    def _page(self, many: Many, row: FromClause | None, mine: ColumnElement[bool]) -> ColumnElement[Any]:
        number = many.call.number
        request, bind = cast("PageRequest", self.requests[number]), self._binder(number)
        target, seen = self._refer(many.target)
        mine = over(mine, many.target, target)
        matching = [
            mine,
            *seen,
            *conditions.matching(many.target, request, target, bind, lambda each: over(each, many.target, target)),
        ]
        outer: list[FromClause] = [] if row is None else [row]

        def counted() -> ColumnElement[int]:
            one = select(ONE.label("one")).select_from(target).where(*matching).correlate(*outer)
            few = one.limit(literal_column(str(TOTAL_COUNT_MAX + 1))).subquery()
            return select(func.count()).select_from(few).scalar_subquery()

        size = bind(("size",), None, Integer())
        order = conditions.ordering(request.order, target, backward=request.backward)
        between = conditions.between(request, target, bind)
        limited = select(target).where(*matching, *between).order_by(*order).limit(size + ONE).correlate(*outer)
        return _Page(self, many, request, bind, limited.subquery(), size).json(counted)


@dataclass
class _Page:
    """One page: the rows up to one more than asked, numbered; each selection a column of theirs, aggregated once."""

    writer: _Writer
    many: Many
    request: PageRequest
    bind: Bind
    rows: Subquery
    size: ColumnElement[int]

    def json(self, counted: Callable[[], ColumnElement[int]]) -> ColumnElement[Any]:
        columns = {f"item{at}": self._column(item) for at, (_, item) in enumerate(self.many.items)}
        columns = {name: column for name, column in columns.items() if column is not None}
        if not columns:
            return row_json([(key, self._shown(item, "", None, counted)) for key, item in self.many.items], None)
        page = self._aggregated(columns)
        parts = [(key, self._shown(item, f"item{at}", page, counted)) for at, (key, item) in enumerate(self.many.items)]
        return select(row_json(parts, page)).select_from(page).scalar_subquery()

    def _column(self, item: Selection | Edges | Info | Count | Fixed) -> ColumnElement[Any] | None:
        """What each row contributes."""
        if isinstance(item, Selection):
            return self.writer.object_of(item, self.rows)
        if isinstance(item, Edges):
            return row_json([(key, self._of_edge(part)) for key, part in item.items], self.rows)
        return self._cursor() if isinstance(item, Info) else None

    def _of_edge(self, part: Selection | Fixed | None) -> ColumnElement[Any]:
        if part is None:
            return self._cursor()
        return type_name(part.text) if isinstance(part, Fixed) else self.writer.object_of(part, self.rows)

    def _cursor(self) -> ColumnElement[str]:
        prefix = self.bind(("cursor_prefix",), None, Text())
        return conditions.cursor_in_sql(prefix, self.request.order, self.rows)

    def _aggregated(self, columns: Mapping[str, ColumnElement[Any]]) -> Subquery:
        """One row: how many rows there are, and in an array what those of the page contribute."""
        order = conditions.ordering(self.request.order, self.rows, backward=self.request.backward)
        number = func.row_number().over(order_by=order).label("n")
        labelled = (column.label(name) for name, column in columns.items())
        rows = select(number, *labelled).select_from(self.rows).subquery()
        place = rows.c.n.desc() if self.request.backward else rows.c.n.asc()
        arrays = (
            func.array_agg(aggregate_order_by(rows.c[name], place), type_=ARRAY(column.type))
            .filter(rows.c.n <= self.size)
            .label(name)
            for name, column in columns.items()
        )
        return select(func.count().label("n"), *arrays).select_from(rows).subquery()

    def _shown(
        self,
        item: Selection | Edges | Info | Count | Fixed,
        name: str,
        page: Subquery | None,
        counted: Callable[[], ColumnElement[int]],
    ) -> ColumnElement[Any]:
        if isinstance(item, Fixed):
            return type_name(item.text)
        if isinstance(item, Count):
            most = literal_column(str(TOTAL_COUNT_MAX))
            return counted() <= most if item.is_exactness else func.least(counted(), most)
        page = cast("Subquery", page)
        return self._info(item, page, page.c[name]) if isinstance(item, Info) else json_array(page.c[name])

    def _info(self, info: Info, page: Subquery, cursors: ColumnElement[Any]) -> ColumnElement[Any]:
        request, more = self.request, page.c.n > self.size
        parts: Mapping[str, ColumnElement[Any]] = {
            "hasNextPage": TRUE if request.before is not None else FALSE if request.backward else more,
            "hasPreviousPage": TRUE if request.after is not None else more if request.backward else FALSE,
            "startCursor": cursors[ONE],
            "endCursor": cursors[func.cardinality(cursors)],
        }
        return row_json(
            [(key, type_name(part.text) if isinstance(part, Fixed) else parts[part]) for key, part in info.items], page
        )
