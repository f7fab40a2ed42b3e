# SPDX-License-Identifier: EUPL-1.2
"""Ids: UUIDv7 (RFC 9562), made in Python so that they are known before the insert and sort by time of creation."""

import os
import time
from base64 import urlsafe_b64encode
from uuid import UUID


def new() -> UUID:
    """A new id: 48 bits of Unix milliseconds, version 7, and 74 bits of chance."""
    milliseconds = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10))
    value = (milliseconds & (1 << 48) - 1) << 80 | chance
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def global_id(tag: str, row_id: UUID) -> str:
    """A row's id as clients know it, `tag` being the two letters of its type."""
    return urlsafe_b64encode(tag.encode() + row_id.bytes).decode()
