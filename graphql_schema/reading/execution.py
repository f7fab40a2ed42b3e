# SPDX-License-Identifier: EUPL-1.2
"""Which executor answers an operation, why, and how much of the database it took: per operation, and counted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from prometheus_client import Counter


class Executor(StrEnum):
    """The two ways to answer, as the header X-Execution names them."""

    COMPILED = "compiled"
    ORDINARY = "ordinary"


class RowsReadBack(Protocol):
    """What reads the rows that payloads and events show."""

    async def read(self, path: Sequence[str | int], global_id: str, context: Any) -> bool | None:
        """Read the row of the field at `path`: whether the actor sees it; None when the executor shall read it."""


@dataclass(slots=True)
class Execution:
    """Made for one operation: what was asked, and what became of it."""

    asked: Executor | None = None
    used: Executor = Executor.ORDINARY
    is_tried: bool = False
    """Whether the compiled way has been tried already, and cannot answer."""
    read_backs: RowsReadBack | None = None


@dataclass(slots=True)
class Spent:
    """The time that the statements of one document took so far, waiting for the database included."""

    runs: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.runs += 1
        self.seconds += seconds


FALLBACKS = Counter("belfry_ordinary_queries", "Queries that took the ordinary executor, by reason.", ["reason"])
STATEMENTS = Counter("belfry_compiled_statements", "Statements that entered the cache, by binding.", ["binding"])
SAMPLES = Counter("belfry_sampled_reads", "Compiled reads that were compared with the ordinary way.", ["outcome"])


def counted(counter: Counter) -> Iterator[tuple[str, float]]:
    """What a counter of one label has counted so far, by the label's value."""
    for metric in counter.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                yield next(iter(sample.labels.values())), sample.value
