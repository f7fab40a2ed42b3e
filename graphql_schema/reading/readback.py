# SPDX-License-Identifier: EUPL-1.2
"""The rows that payloads and events show: read by statements while the executor runs, put in their places after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from graphql_schema.reading.execution import Executor
from graphql_schema.reading.operations import CompiledContext, Kept, Operations
from graphql_schema.reading.sampling import ordinarily
from graphql_schema.reading.trimming import Piece, PlacePath

Path = Sequence[str | int]
BEFORE, AFTER = len('{"node":'), len("}")
NOTHING = "null"


@dataclass
class ReadBacks:
    """The pieces of one running operation. `answers` holds what was read and is not in its place yet."""

    operations: Operations
    pieces: Mapping[PlacePath, tuple[Piece, Kept]]
    variables: Mapping[str, Any]
    answers: dict[tuple[str | int, ...], str] = field(default_factory=dict[tuple[str | int, ...], str])
    fell_back: bool = False

    async def read(self, path: Path, global_id: str, context: CompiledContext) -> bool | None:
        """Read the row of the field at `path`: whether the actor sees it; None when nothing was taken out there."""
        found = self.pieces.get(tuple(each for each in path if isinstance(each, str)))
        if found is None:
            return None
        content = await self.content(*found, global_id, context)
        context.execution.used = Executor.ORDINARY if self.fell_back else Executor.COMPILED
        if content == NOTHING:
            return False
        self.answers[tuple(path)] = content
        return True

    async def content(self, piece: Piece, kept: Kept, global_id: str, context: CompiledContext) -> str:
        """The JSON of a row, or of null."""
        given = {name: self.variables[name] for name in piece.variables if name in self.variables}
        given[piece.row] = global_id
        prepared = self.operations.prepare(kept, given, context)
        answer = None if prepared is None else await self.operations.answer(prepared, context)
        if answer is None:
            self.fell_back = True
            answer = (await ordinarily(self.operations.schema, kept.document, None, given, context)).decode()
        return answer[BEFORE:-AFTER]

    def put_into(self, data: Any) -> None:
        """Put what was read where it belongs, unless an error has made its surroundings null."""
        answers, self.answers = self.answers, {}
        for path, content in answers.items():
            *outer, last = path
            here = data
            for each in outer:
                here = here[each] if here is not None else None
            if here is not None and here[last] is not None:
                here[last] = orjson.Fragment(content)
