# SPDX-License-Identifier: EUPL-1.2
"""Payloads of mutations: the nodes that they changed, and what the caller can repair.

Every payload has its own error type, `<NounVerb>UserError implements UserError`; a contributor writes neither it nor
the field. One enum holds the codes of all refusals, made from the classes that the domains' rules declare.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar, cast, dataclass_transform
from uuid import UUID

import strawberry
from strawberry.types.base import get_object_definition
from strawberry.utils.str_converters import to_camel_case

import services
from graphql_schema.reading.annotations import shape_of
from graphql_schema.reading.bounds import INPUT_LIST_MAX
from graphql_schema.reading.declarations import ReadBack, declaration_of
from graphql_schema.reading.mapping import vocabulary
from graphql_schema.reading.sizes import ListSize
from services.kernel.errors import REFUSALS, DomainError
from services.kernel.languages import Language, said

USER_ERRORS = "user_errors"
FEW = ListSize(assumed_size=1)
MANY = ListSize(assumed_size=INPUT_LIST_MAX)
RESULTS = "belfry.results"
"""What a field's metadata says of the results of a bulk act."""
SHOWN_ONCE = "belfry.shown_once"
"""What a field's metadata says of a secret in a payload."""

C = TypeVar("C", bound=type)


def _import_rules() -> None:
    """Refusals register themselves when their module is imported; the enum below needs them all."""
    for root in services.__path__:
        for domain in pkgutil.iter_modules([root]):
            if any(each.name == "rules" for each in pkgutil.iter_modules([f"{root}/{domain.name}"])):
                importlib.import_module(f"services.{domain.name}.rules")


_import_rules()

UserErrorCode = vocabulary(
    cast("type[StrEnum]", StrEnum("UserErrorCode", [(each, each) for each in sorted(REFUSALS)], module=__name__)),
    "Why an act was refused. Values are added over time; `code` is always the most specific one.",
    **{
        code: inspect.cleandoc(refusal.__dict__.get("__doc__") or refusal.message) for code, refusal in REFUSALS.items()
    },
)


@strawberry.interface(description="Something that the caller can understand or repair. The act had no effect.")
class UserError:
    """What all error types of payloads share."""

    code: UserErrorCode = strawberry.field(description="What kind of refusal this is; it never changes.")  # pyright: ignore[reportInvalidTypeForm]
    message: str = strawberry.field(description="A sentence for a person. Compare the code instead.")
    field: list[str] | None = strawberry.field(
        description="The path into the input, outermost first; null when no single field is at fault."
    )


@dataclass(frozen=True)
class PayloadShape:
    """What the mutation layer knows of one payload type."""

    payload: type
    error: type
    nodes: Mapping[str, type]
    secrets: tuple[str, ...] = ()

    def refused(self, refusals: Iterable[DomainError], nodes: Mapping[str, UUID], language: Language) -> Any:
        """The payload of an act that was refused; `nodes` are those that the caller should look at."""
        errors = [self.error(**_error(each, language)) for each in refusals]
        return self.payload(**{**self.of(nodes), USER_ERRORS: errors})

    def restored(self, answer: Mapping[str, str | None]) -> Any:
        """The payload of a repeated request, made from the stored ids."""
        return self.payload(**self.of({name: UUID(each) for name, each in answer.items() if each is not None}))

    def of(self, ids: Mapping[str, UUID]) -> dict[str, Any]:
        """A reference for every node whose id is given, null for the others and for every secret."""
        found = {name: cast("Any", node).of(ids[name]) if name in ids else None for name, node in self.nodes.items()}
        return {**found, **dict.fromkeys(self.secrets)}

    def ids(self, payload: Any) -> dict[str, UUID | None]:
        """The ids of a payload's nodes, as an idempotency row keeps them."""
        references = {name: getattr(payload, name) for name in self.nodes}
        return {name: None if each is None else each.row_id for name, each in references.items()}


def shown_once(description: str) -> Any:
    """A secret of a payload: `secret: str | None = shown_once("The key.")`. Nothing keeps it, so a repeat has null."""
    return strawberry.field(description=description, metadata={SHOWN_ONCE: True})


def results(description: str) -> Any:
    """How each row of a bulk act went, in the order asked: `results: list[NounBulkVerbResult] = results("…")`."""
    return strawberry.field(default_factory=list, description=description, metadata={RESULTS: True}, directives=[MANY])


@dataclass_transform(kw_only_default=True)
def mutation_result(cls: C) -> C:
    """Make the type of one result of a bulk act, of a class with `node: <Type> | None = read_back(…)`."""
    return _with_user_errors(cls, "Result")


def result_of(result: type, node: Any, refusal: DomainError | None, language: Language) -> Any:
    """How one row of a bulk act went: the row, or why not."""
    fields = get_object_definition(result, strict=True).fields
    error = shape_of(next(each for each in fields if each.python_name == USER_ERRORS)).of
    errors = [] if refusal is None else [error(**_error(refusal, language))]
    return result(node=node, user_errors=errors)


@dataclass_transform(kw_only_default=True)
def mutation_payload(cls: C) -> C:
    """Make a payload type of a class whose fields are `read_back` nodes. `userErrors` and their type are added."""
    return _with_user_errors(cls, "Payload")


def _with_user_errors(cls: C, kind: str) -> C:
    path = f"{cls.__module__}.{cls.__qualname__}"
    if not cls.__name__.endswith(kind) or not cls.__doc__:
        raise TypeError(f"{path} is a {kind.lower()}: name it …{kind} and say in a docstring what it answers.")
    noun_verb = cls.__name__.removesuffix("Payload")
    error = type(f"{noun_verb}UserError", (UserError,), {"__module__": cls.__module__})
    error = strawberry.type(error, description="What the caller can repair. The act had no effect.")
    cls.__annotations__[USER_ERRORS] = list[error]
    described = "What the caller can repair; empty when the act was done."
    setattr(cls, USER_ERRORS, strawberry.field(default_factory=list, description=described, directives=[FEW]))
    return strawberry.type(description=inspect.cleandoc(cls.__doc__))(cls)


def payload_shape(payload: type) -> PayloadShape:
    """The shape of a payload type. Raises TypeError when a field is neither a `read_back` node nor the errors."""
    definition = get_object_definition(payload, strict=True)
    nodes: dict[str, type] = {}
    secrets: list[str] = []
    error: type | None = None
    for field in definition.fields:
        if field.python_name == USER_ERRORS:
            error = shape_of(field).of
        elif field.metadata.get(RESULTS):
            continue
        elif field.metadata.get(SHOWN_ONCE) and shape_of(field).is_nullable:
            secrets.append(field.python_name)
        elif isinstance(declaration_of(field), ReadBack) and shape_of(field).is_nullable:
            nodes[field.python_name] = shape_of(field).of
        else:
            path = f"{payload.__module__}.{payload.__name__}.{field.python_name}"
            raise TypeError(f"{path} must be `<Type> | None = read_back(…)`: payloads hold nodes that may be absent.")
    if error is None:
        raise TypeError(f"{payload.__module__}.{payload.__name__} must be made with @mutation_payload.")
    return PayloadShape(payload, error, MappingProxyType(nodes), tuple(secrets))


def _error(refusal: DomainError, language: Language) -> dict[str, Any]:
    path = [to_camel_case(each) for each in refusal.field]
    return {"code": UserErrorCode[refusal.code], "message": said(refusal, language), "field": path or None}
