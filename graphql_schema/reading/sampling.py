# SPDX-License-Identifier: EUPL-1.2
"""Both executors asked at one moment, and whether they agree."""

import re
from datetime import datetime
from inspect import isawaitable
from typing import Any

import orjson
from graphql import DocumentNode, GraphQLSchema, execute

INSTANT = re.compile(rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"')


async def ordinarily(
    schema: GraphQLSchema, document: DocumentNode, name: str | None, variables: dict[str, Any], context: Any
) -> bytes:
    """The data that the ordinary executor answers. Raises what it refuses."""
    found = execute(schema, document, context_value=context, variable_values=variables, operation_name=name)
    result = await found if isawaitable(found) else found
    if result.errors:
        raise result.errors[0]
    return orjson.dumps(result.data)


def alike(one: bytes, other: bytes, begun: datetime) -> bool:
    """Whether two answers are the same bytes, but for instants of the transactions themselves.

    Two transactions see the same rows, yet each has a `now()` of its own; what a figure calls "as of" is that.
    """

    def settle(found: re.Match[bytes]) -> bytes:
        return b'"now"' if datetime.fromisoformat(found[1].decode()) >= begun else found[0]

    return one == other or INSTANT.sub(settle, one) == INSTANT.sub(settle, other)
