# SPDX-License-Identifier: EUPL-1.2
"""A connection that stays open: who opened it, and a fresh context for each of its operations."""

from abc import ABC, abstractmethod

from graphql_schema.context import Context, holds
from graphql_schema.errors import Wording
from graphql_schema.live.feeds import Feeds
from graphql_schema.seats import Seat
from services.kernel.access import Actor
from services.kernel.languages import Language


class LiveConnection(ABC):
    """What sockets and event streams have in common. `actor` is what the credential stood for at the beginning."""

    def __init__(self, feeds: Feeds, request_id: str, language: Language) -> None:
        self.runtime, self.feeds = feeds.runtime, feeds
        self.request_id, self.language = request_id, language
        self.token = ""
        self.actor: Actor | None = None

    @abstractmethod
    async def end(self) -> None:
        """Close it because its credential no longer holds. May be called again."""

    @property
    def is_ended(self) -> bool:
        """Whether it is being closed because its credential no longer holds: nothing is complete then."""
        return False

    @property
    def wording(self) -> Wording:
        """How errors are told on this connection."""
        return Wording(self.request_id, self.language)

    async def operation(self, seat: Seat) -> Context | None:
        """A fresh context for one operation; None when the credential no longer gives the rights it gave."""
        if self.actor is None or not await holds(self.runtime, self.token, self.actor):
            return None
        return Context(
            runtime=self.runtime,
            actor=self.actor,
            request_id=self.request_id,
            language=self.language,
            token=self.token,
            rings=self.feeds.rings,
            uses=self.feeds.uses,
            end_connection=self.end,
            seat=seat,
        )
