# SPDX-License-Identifier: EUPL-1.2
"""How the database keeps organizations apart: tenant tables, composite keys, and the actor inside a statement.

Every tenant table has `tenant_id` first, `PRIMARY KEY (tenant_id, id)`, keys that begin with `tenant_id`, and forced
row security. Models say only `TenantOwned` and `tenant_reference("department")`; the composite foreign key follows.
The DDL of the same conventions, for migrations, lies in `kernel/migrations.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BindParameter,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Dialect,
    ForeignKeyConstraint,
    Select,
    SQLColumnExpression,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    bindparam,
    event,
    func,
    text,
)
from sqlalchemy import DateTime as SqlDateTime
from sqlalchemy.schema import ColumnCollectionConstraint
from sqlmodel import Field, SQLModel, col, select

from services.kernel import identifiers
from services.kernel.access import Actor, ActorKind, Permission, Role, Scope
from services.kernel.errors import Conflict

SCHEMA = "belfry"
SQLModel.metadata.schema = SCHEMA


def _own_columns(constraint: ColumnCollectionConstraint, _table: Table) -> str:
    return "_".join(column.name for column in constraint.columns if column.name != "tenant_id")


SQLModel.metadata.naming_convention = {
    "own_columns": _own_columns,
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(own_columns)s",
    "uq": "uq_%(table_name)s_%(own_columns)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""Stands for "no instant" in a column that orders a list: keyset cursors cannot pass over nulls."""

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


class TextEnum(TypeDecorator[E]):
    """A closed set of words, stored as text under a CHECK: row security makes equality on native enums unindexable."""

    impl = Text
    cache_ok = True

    def __init__(self, words: type[E]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: E | str | None, dialect: Dialect) -> str | None:
        return None if value is None else self.words(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> E | None:
        return None if value is None else self.words(value)

    @property
    def python_type(self) -> type[E]:
        return self.words


class UtcDateTime(TypeDecorator[datetime]):
    """An instant. A naive datetime is refused, because PostgreSQL would silently read it in some zone."""

    impl = SqlDateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("An instant needs a zone.")
        return value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)


def words(enum: type[StrEnum], **options: Any) -> Any:
    """A field whose column holds one of the enum's values, under a CHECK made from the same enum."""
    return Field(sa_type=cast("Any", TextEnum(enum)), **options)


def instant(**options: Any) -> Any:
    """A field that holds an instant (`timestamptz`)."""
    return Field(sa_type=cast("Any", UtcDateTime()), **options)


class DataClass(StrEnum):
    """What a personal column holds. Its retention class follows, and with it what erasure and retention do."""

    CITIZEN_CONTENT = "CITIZEN_CONTENT"
    CITIZEN_IDENTITY = "CITIZEN_IDENTITY"
    COLLEAGUE = "COLLEAGUE"
    OWN_PUBLICATION = "OWN_PUBLICATION"
    AUDIT = "AUDIT"
    SECRET = "SECRET"  # noqa: S105  the name of a class, not a secret


RETENTION_DAYS: Mapping[DataClass, int | None] = {
    DataClass.CITIZEN_CONTENT: 365,
    DataClass.CITIZEN_IDENTITY: 365,
    DataClass.COLLEAGUE: None,
    DataClass.OWN_PUBLICATION: None,
    DataClass.AUDIT: 7 * 365,
    DataClass.SECRET: None,
}
"""Days after which a class is anonymized by default; None: kept while the row lives. A tenant may only lengthen."""


def personal(data_class: DataClass, **options: Any) -> Any:
    """A field with personal data. Columns of free text that hold none are named in the model's `__not_personal__`."""
    return Field(sa_column_kwargs={"info": {"data_class": data_class}}, **options)


def tenant_reference(table: str, *, cascade: bool = False, **options: Any) -> Any:
    """A field that names a row of the same organization: `department_id: UUID = tenant_reference("department")`.

    The foreign key is composite, `(tenant_id, department_id) → (tenant_id, id)`: a key on the id alone would let one
    organization point at another's row, because foreign-key checks ignore row security.
    """
    return Field(sa_type=Uuid, sa_column_kwargs={"info": {"tenant_reference": table, "cascade": cascade}}, **options)


@event.listens_for(Column, "after_parent_attach")
def _add_constraints(column: Column[Any], table: Table) -> None:
    target = column.info.get("tenant_reference")
    if target is not None:
        table.append_constraint(
            ForeignKeyConstraint(
                ["tenant_id", column.name],
                [f"{SCHEMA}.{target}.tenant_id", f"{SCHEMA}.{target}.id"],
                ondelete="CASCADE" if column.info["cascade"] else None,
            )
        )
    if isinstance(column.type, TextEnum):
        values = cast("type[StrEnum]", column.type.words)
        table.append_constraint(CheckConstraint(in_words(column.name, [each.value for each in values]), column.name))


def in_words(column: str, values: list[str]) -> str:
    """The CHECK of a text enum. Names and values are the code's own words, never input."""
    if not all(word.replace("_", "").isalnum() for word in (column, *values)):
        raise ValueError(f"Not plain words: {column}, {values}.")
    quoted = ", ".join(f"'{value}'" for value in values)
    return f"{column} in ({quoted})"


class TenantRow(SQLModel):
    """A row of one organization: `tenant_id` is the first column and the first part of every key."""

    if TYPE_CHECKING:  # SQLModel declares a function here; every table of ours says its name
        __tablename__: ClassVar[str]  # pyright: ignore[reportIncompatibleVariableOverride]
    __table_args__: ClassVar[Any] = {"schema": SCHEMA}
    __not_personal__: ClassVar[frozenset[str]] = frozenset()

    tenant_id: UUID = Field(primary_key=True, sa_type=Uuid, nullable=False)


class TenantOwned(TenantRow):
    """A row of one organization with an id of its own. Ledgers partitioned by month are plain `TenantRow`s."""

    id: UUID = Field(
        default_factory=identifiers.new,
        primary_key=True,
        sa_type=Uuid,
        nullable=False,
        sa_column_kwargs={"server_default": text("uuidv7()")},
    )
    created_at: datetime = Field(
        default=None,
        sa_type=cast("Any", UtcDateTime()),
        nullable=False,
        sa_column_kwargs={"server_default": func.now()},
    )


class Versioned(TenantOwned):
    """A row that people edit. `version` rises with every change; the unit of work does it."""

    version: int = Field(default=1, nullable=False)

    def require_version(self, expected: int | None) -> None:
        """Raises Conflict when somebody changed the row since `expected` was read; None: whatever it is."""
        if expected is not None and self.version != expected:
            raise Conflict


class PlatformLocal(SQLModel):
    """A row that belongs to no organization: people, and the directories that are read before one is known.

    Such a table has no key to or from a tenant table.
    """

    if TYPE_CHECKING:  # SQLModel declares a function here; every table of ours says its name
        __tablename__: ClassVar[str]  # pyright: ignore[reportIncompatibleVariableOverride]
    __table_args__: ClassVar[Any] = {"schema": SCHEMA}
    __not_personal__: ClassVar[frozenset[str]] = frozenset()


def constraints(*items: Any) -> tuple[Any, ...]:
    """`__table_args__` with further keys, checks and indexes, in our schema."""
    return (*items, {"schema": SCHEMA})


class ActorParameters:
    """The actor as bind parameters, so that a predicate's text is the same for everybody.

    Write predicates over these; `actor_values(actor)` gives the values when the statement runs.
    """

    tenant: BindParameter[UUID] = bindparam("actor_tenant", type_=Uuid())
    selves: BindParameter[Sequence[UUID]] = bindparam("actor_selves", type_=ARRAY(Uuid()))
    """Only ever compared as `column == any_(ACTOR.selves)`, and never under a NOT: see Actor.among."""
    sees_small_numbers: BindParameter[bool] = bindparam("actor_sees_small_numbers", type_=Boolean())
    """Whether figures over fewer than five items may be shown: not to somebody who is a VIEWER only,
    nor to a machine that may not read what they count."""

    @staticmethod
    def everywhere(permission: Permission) -> BindParameter[bool]:
        """Whether the permission reaches the whole organization."""
        return bindparam(f"actor_{permission.name.lower()}_everywhere", type_=Boolean())

    @staticmethod
    def coordinates(permission: Permission) -> BindParameter[bool]:
        """Whether it comes from a COORDINATOR of the whole organization, who also sees what is confidential."""
        return bindparam(f"actor_{permission.name.lower()}_coordinates", type_=Boolean())

    @staticmethod
    def held(permission: Permission) -> BindParameter[bool]:
        """Whether it reaches what the actor holds or takes part in."""
        return bindparam(f"actor_{permission.name.lower()}_held", type_=Boolean())

    @staticmethod
    def departments(permission: Permission) -> BindParameter[Sequence[UUID]]:
        """The departments it reaches, descendants included."""
        return bindparam(f"actor_{permission.name.lower()}_departments", type_=ARRAY(Uuid()))


ACTOR = ActorParameters()


def _actor_readers() -> Mapping[str, Callable[[Actor], Any]]:
    readers: dict[str, Callable[[Actor], Any]] = {
        "actor_tenant": lambda actor: actor.tenant_id,
        "actor_selves": lambda actor: list(actor.selves),
        "actor_sees_small_numbers": lambda actor: (
            actor.kind is ActorKind.SYSTEM
            or bool(set(actor.roles) - {Role.VIEWER})
            or Scope.CONVERSATIONS_READ in actor.scopes
        ),
    }
    for permission in Permission:
        name = f"actor_{permission.name.lower()}"
        readers[f"{name}_everywhere"] = lambda actor, of=permission: actor.range_of(of).everywhere
        readers[f"{name}_coordinates"] = lambda actor, of=permission: actor.range_of(of).coordinates
        readers[f"{name}_held"] = lambda actor, of=permission: actor.range_of(of).held
        readers[f"{name}_departments"] = lambda actor, of=permission: sorted(actor.range_of(of).departments)
    return readers


ACTOR_READERS = _actor_readers()
"""How to find the value of each parameter that a predicate over `ACTOR` may hold, by its name."""


def actor_values(actor: Actor) -> dict[str, Any]:
    """A value for every parameter that a predicate over `ACTOR` may hold."""
    return {name: read(actor) for name, read in ACTOR_READERS.items()}


M = TypeVar("M", bound=TenantRow)


def owned(model: type[M], *conditions: SQLColumnExpression[bool] | bool) -> Select[M]:
    """Select rows of the actor's organization: row security is the second lock, this predicate is the first."""
    return cast("Select[M]", select(model).where(col(model.tenant_id) == ACTOR.tenant, *conditions))


def same_tenant(one: type[TenantRow], other: type[TenantRow]) -> ColumnElement[bool]:
    """The tenant half of a join between two tenant tables."""
    return col(one.tenant_id) == col(other.tenant_id)


class TableKind(StrEnum):
    """What a table is, for isolation."""

    TENANT = "TENANT"
    REFERENCE = "REFERENCE"
    PLATFORM_LOCAL = "PLATFORM_LOCAL"


BOOKKEEPING = frozenset({"alembic_version", "migration_lock"})
"""Platform-local tables without a model."""


def table_registry() -> Mapping[str, TableKind]:
    """Every table by name. A table of the catalogue that is missing here, or the reverse, fails CI."""
    kinds = dict.fromkeys(BOOKKEEPING, TableKind.PLATFORM_LOCAL)
    for mapper in SQLModel._sa_registry.mappers:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  it has no public name
        table = cast("Table", mapper.local_table)
        tenant = issubclass(mapper.class_, TenantRow)
        kinds[table.name] = TableKind.TENANT if tenant else TableKind.PLATFORM_LOCAL
    return kinds
