# SPDX-License-Identifier: EUPL-1.2
"""JSON, one way: orjson, with the driver's own kind of UUID understood."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson


def to_json(value: Any, *, sort_keys: bool = False) -> bytes:
    """The value as JSON. Raises TypeError for what has no JSON form."""
    return orjson.dumps(value, default=_default, option=orjson.OPT_SORT_KEYS if sort_keys else 0)


def from_json(document: bytes | str) -> Any:
    """The document as Python values. Raises ValueError (orjson.JSONDecodeError) when it is none."""
    return orjson.loads(document)


def print_instant(value: datetime) -> str:
    """An instant in UTC by RFC 3339, as everybody outside sees it: `2026-11-22T01:02:03.000004Z`."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _default(value: object) -> str:
    if isinstance(value, UUID):  # asyncpg returns a subclass, which orjson does not print by itself
        return str(value)
    raise TypeError(type(value).__name__)
