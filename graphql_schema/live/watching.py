# SPDX-License-Identifier: EUPL-1.2
"""Who is told what happens to a row: whoever sees it now."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from graphql_schema.live.stream import Sight
from graphql_schema.reading.onlookers import Onlookers, Question, visible_rows
from graphql_schema.reading.rows import KEYS
from services.kernel.access import Actor
from services.kernel.outbox import Fact
from services.kernel.runtime import Runtime

SEES = "sees"


@dataclass(frozen=True)
class RowWatcher:
    """Rows of one type. A row that leaves somebody's view is not told of; it is for rows that never do."""

    node_type: type

    @property
    def key(self) -> object:
        return self.node_type

    async def look(self, runtime: Runtime, entry: Fact, actors: Sequence[Actor]) -> list[frozenset[str]]:
        """Which actors see an event's row."""
        return await _onlookers(self.node_type).ask(runtime.database.reads, actors, {KEYS.key: [entry.subject_id]})

    @staticmethod
    def sight(found: frozenset[str]) -> Sight:
        """What an actor is told of the event."""
        return Sight.SHOWN if found else Sight.SKIPPED


@cache
def _onlookers(node_type: type) -> Onlookers:
    return Onlookers({SEES: Question(visible_rows(node_type))})
