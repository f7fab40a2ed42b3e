# SPDX-License-Identifier: EUPL-1.2
"""Facts: frozen, past tense, versioned. They carry ids, never rows and never citizens' words."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

EVENTS: dict[str, type["Event"]] = {}
"""Every kind of fact, by its name: how the relay finds the class of a stored row."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to one subject. A subclass names its kind, `noun.verb_past`, and its subject's field.

    @dataclass(frozen=True, kw_only=True)
    class ConversationClosed(Event, kind="conversation.closed", subject="conversation_id"):
        conversation_id: UUID
    """

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    subject_field: ClassVar[str]

    def __init_subclass__(cls, *, kind: str, subject: str, version: int = 1) -> None:
        super().__init_subclass__()
        if kind in EVENTS and EVENTS[kind].__qualname__ != cls.__qualname__:
            raise TypeError(f"Two events are called {kind}.")
        cls.kind, cls.version, cls.subject_field = kind, version, subject
        EVENTS[kind] = cls

    @property
    def subject_kind(self) -> str:
        return self.subject_field.removesuffix("_id")

    @property
    def subject_id(self) -> UUID:
        return getattr(self, self.subject_field)

    def body(self) -> dict[str, Any]:
        """The fields by name, as values that orjson prints."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True, kw_only=True)
class Occurrence(Generic[E_co]):
    """An event as it was recorded: what a handler receives. `seq` orders all events of one organization by commit."""

    event: E_co
    id: UUID
    tenant_id: UUID
    seq: int
    occurred_at: datetime


def read_event(kind: str, body: dict[str, Any]) -> Event:
    """The stored row as a fact again. Raises KeyError for an unknown kind, ValueError for a body that does not fit."""
    return TypeAdapter(EVENTS[kind]).validate_python(body)
