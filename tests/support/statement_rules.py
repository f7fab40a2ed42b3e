# SPDX-License-Identifier: EUPL-1.2
"""What the tests demand of every SQL text that a serving role runs, found out by parsing it.

A tenant table must be bound, on the query level that names it, to `tenant_id = $n`, or by equality of `tenant_id` to a
table that is: the neighbor in a join, or the outer level of a correlated subquery. Row security would hide a forgotten
organization; this makes it fail.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

CONTROL = re.compile(
    r"^(BEGIN|START TRANSACTION|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|RESET|SHOW|DEALLOCATE|EXECUTE"
    r"|SET TRANSACTION|SET LOCAL)\b",
    re.IGNORECASE,
)
SESSION_TENANT = re.compile(r"^SET\s+(SESSION\s+)?app\.", re.IGNORECASE)
NOTIFICATION = re.compile(r"^(NOTIFY|LISTEN|UNLISTEN)\b", re.IGNORECASE)
EXPLAIN = re.compile(r"^EXPLAIN(\s*\([^)]*\)|\s+ANALYZE|\s+VERBOSE)*\s+", re.IGNORECASE)
VOLATILE = frozenset(
    {
        *("clock_timestamp", "timeofday", "random", "setseed", "nextval", "setval", "currval"),
        *("gen_random_uuid", "uuidv4", "uuidv7", "uuid_generate_v4"),
    }
)
RELAYED = frozenset({"outbox", "job"})
"""What the relay may read over all organizations, by its own policy."""


@dataclass(frozen=True, slots=True)
class Demands:
    """Whose statement it is: the tenant tables, and those among them that may be read without a tenant."""

    tenant_tables: frozenset[str]
    readable_across: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Level:
    """One query level: its tables by alias, the derived ones among them, and what is equal to what."""

    tables: dict[str, str] = field(default_factory=dict[str, str])
    derived: set[str] = field(default_factory=set[str])
    bound: set[str] = field(default_factory=set[str])
    follows: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(a, b): when a is bound, b is."""


def violations(sql: str, demands: Demands) -> tuple[str, ...]:
    """Every rule that the text breaks, in words; empty when it is clean."""
    text = EXPLAIN.sub("", sql.strip())
    if SESSION_TENANT.match(text):
        return ("a tenant set for the whole session",)
    if NOTIFICATION.match(text):
        return ("NOTIFY",)
    if CONTROL.match(text):
        return ()
    try:
        parsed = [each for each in sqlglot.parse(text, dialect="postgres") if each is not None]
    except (ParseError, TokenError) as error:
        return (f"cannot be parsed: {str(error).splitlines()[0]}",)
    return tuple(dict.fromkeys(found for each in parsed for found in _violations(each, demands)))


def _violations(statement: exp.Expr, demands: Demands) -> Iterator[str]:
    yield from _forbidden_calls(statement)
    known = {each.alias_or_name.lower() for each in statement.find_all(exp.CTE)}
    for node in statement.walk():
        if isinstance(node, exp.Select | exp.Update | exp.Delete | exp.Merge):
            yield from _unbound(node, demands, known)
        elif isinstance(node, exp.Insert):
            yield from _insert(node, demands)


def _forbidden_calls(statement: exp.Expr) -> Iterator[str]:
    for call in statement.find_all(exp.Func):
        name = _name(call)
        if name == "set_config" and not _is_compiled_read(call):
            yield "set_config outside the compiled read"
        elif name == "pg_notify":
            yield "NOTIFY"
        elif name.startswith(("pg_advisory", "pg_try_advisory")):
            yield "an advisory lock"
        elif name in VOLATILE and call.find_ancestor(exp.Update, exp.OnConflict, exp.Merge):
            yield f"a volatile call in an UPDATE: {name}()"


def _name(call: exp.Func) -> str:
    return (call.name if isinstance(call, exp.Anonymous) else call.sql("postgres").partition("(")[0]).lower()


def _is_compiled_read(call: exp.Func) -> bool:
    """The one form that may: `with bound as materialized (select set_config('app.tenant_id', $1, true) …)`."""
    around = call.find_ancestor(exp.CTE)
    if around is None or around.alias_or_name != "bound" or not around.args.get("materialized"):
        return False
    setting, tenant, local = call.expressions
    return (
        setting.name == "app.tenant_id"
        and (_is_parameter(tenant) or _leads_there(tenant))
        and isinstance(local, exp.Boolean)
        and bool(local.this)
        and around.parent is not None
        and around.parent.parent is call.root()
    )


def _leads_there(tenant: exp.Expr) -> bool:
    """The organization to which a key of the directory leads, in the statement that finds out who asks."""
    column = _bare(tenant)
    return isinstance(column, exp.Column) and (column.table, column.name) == ("door", "organization_id")


def _insert(node: exp.Insert, demands: Demands) -> Iterator[str]:
    target = node.this
    table = target.this if isinstance(target, exp.Schema) else target
    if not isinstance(table, exp.Table) or table.name not in demands.tenant_tables:
        return
    columns = {each.name for each in target.expressions} if isinstance(target, exp.Schema) else set[str]()
    if "tenant_id" not in columns:
        yield f"an INSERT into {table.name} that does not name tenant_id"
    conflict = node.args.get("conflict")
    keys = conflict.args.get("conflict_keys") if conflict is not None else None
    if keys and not any(each.find(exp.Column) and each.find(exp.Column).name == "tenant_id" for each in keys):
        yield f"an ON CONFLICT of {table.name} whose key lacks tenant_id"


def _unbound(node: exp.Expr, demands: Demands, known: set[str]) -> Iterator[str]:
    level = _level(node, demands.tenant_tables, known)
    locks = bool(node.args.get("locks"))
    reads = isinstance(node, exp.Select)
    for alias, table in level.tables.items():
        if alias in level.bound or (reads and not locks and table in demands.readable_across):
            continue
        if locks:
            yield f"FOR UPDATE of {table} without tenant_id = $n"
        elif reads:
            yield f"{table} is read without tenant_id = $n"
        else:
            yield f"{type(node).__name__.upper()} of {table} without tenant_id = $n"


def _level(node: exp.Expr, tenant_tables: frozenset[str], known: set[str]) -> _Level:
    level = _Level()
    conditions: list[tuple[exp.Expr, str | None]] = []
    for source, join in _sources(node):
        alias = source.alias_or_name
        if isinstance(source, exp.Table) and source.name in tenant_tables and _is_ours(source, known):
            level.tables[alias] = source.name
        elif not isinstance(source, exp.Table) or not _is_ours(source, known):
            level.derived.add(alias)
        if join is not None and join.args.get("on") is not None:
            # What an outer join demands holds for the side that may be missing, and for no other.
            conditions.append((join.args["on"], alias if join.side == "LEFT" else None))
    if node.args.get("where") is not None:
        conditions.append((node.args["where"].this, None))
    if isinstance(node, exp.Merge):
        conditions.append((node.args["on"], node.this.alias_or_name))
    for condition, only in conditions:
        for equality in _conjuncts(condition):
            _note(level, equality, only)
    _spread(level)
    return level


def _sources(node: exp.Expr) -> Iterator[tuple[exp.Expr, exp.Join | None]]:
    if isinstance(node, exp.Update | exp.Delete | exp.Merge):
        yield from _flatten(node.this, None)
    using = node.args.get("using")
    for each in using if isinstance(using, list) else [using] if isinstance(using, exp.Expr) else []:
        yield from _flatten(each, None)
    if node.args.get("from_") is not None:
        yield from _flatten(node.args["from_"].this, None)
    for join in node.args.get("joins") or ():
        yield from _flatten(join.this, join)


def _flatten(source: exp.Expr, join: exp.Join | None) -> Iterator[tuple[exp.Expr, exp.Join | None]]:
    """A source, and those that stand in parentheses with it."""
    inner = source.this if isinstance(source, exp.Subquery | exp.Paren) else source
    if inner is not source and isinstance(inner, exp.Table):
        yield from _flatten(inner, join)
    else:
        yield source, join
    for nested in source.args.get("joins") or ():
        yield from _flatten(nested.this, nested)


def _is_ours(table: exp.Table, known: set[str]) -> bool:
    return table.db == "belfry" or (not table.db and table.name.lower() not in known)


def _conjuncts(condition: exp.Expr) -> Iterable[exp.Expr]:
    if isinstance(condition, exp.Paren):
        return _conjuncts(condition.this)
    if isinstance(condition, exp.And):
        return [*_conjuncts(condition.this), *_conjuncts(condition.expression)]
    return [condition]


def _note(level: _Level, equality: exp.Expr, only: str | None) -> None:
    if not isinstance(equality, exp.EQ):
        return
    for one, other in ((equality.this, equality.expression), (equality.expression, equality.this)):
        alias = _tenant_column(one, level)
        if alias is None or alias not in level.tables or only not in (None, alias):
            continue
        if _is_parameter(other) or _is_bound_tenant(other):
            level.bound.add(alias)
        elif (against := _tenant_column(other, level)) is not None:
            if against in level.tables:
                level.follows.append((against, alias))
            else:
                level.bound.add(alias)  # an outer level, or a derived table, which is checked by itself


def _tenant_column(node: exp.Expr, level: _Level) -> str | None:
    """The alias whose tenant column this is; without a prefix it can only be the level's single table."""
    node = _bare(node)
    if not isinstance(node, exp.Column) or node.name != "tenant_id":
        return None
    if node.table:
        return node.table
    return next(iter(level.tables)) if len(level.tables) == 1 and not level.derived else None


def _is_parameter(node: exp.Expr) -> bool:
    return isinstance(_bare(node), exp.Parameter | exp.Placeholder)


def _is_bound_tenant(node: exp.Expr) -> bool:
    """`bound.tenant` of a compiled read, whose first part is nothing but the organization of its parameter."""
    column = _bare(node)
    if not isinstance(column, exp.Column) or (column.table, column.name) != ("bound", "tenant"):
        return False
    whole = cast("exp.Select", node.root())
    parts = {each.alias_or_name: each for each in whole.ctes} if isinstance(whole, exp.Select) else {}
    bound = parts.get("bound")
    if bound is None or not parts.keys() <= {"bound", "door"} or not isinstance(bound.this, exp.Select):
        return False
    content = _bare(bound.this.expressions[0].unalias())
    return _is_parameter(content) or (isinstance(content, exp.Func) and _name(content) == "set_config")


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Cast | exp.Paren):
        node = node.this
    return node


def _spread(level: _Level) -> None:
    for _ in level.tables:
        level.bound |= {alias for against, alias in level.follows if against in level.bound}
