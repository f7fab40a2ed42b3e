# SPDX-License-Identifier: EUPL-1.2
"""Engines that can do less than PostgreSQL."""

import re
from typing import Any

import asyncpg
import pytest

BINDS = re.compile(r"set_config\('app\.tenant_id', (.+?), true\)")
CALLS = ("fetchval", "fetchrow", "prepare")


def no_statement_binds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here what a statement sets is set for nothing. The rule over texts, which demands that it is, must be paused."""
    for name in CALLS:
        monkeypatch.setattr(asyncpg.Connection, name, _unbound(getattr(asyncpg.Connection, name)))


def _unbound(call: Any) -> Any:
    async def run(self: Any, text: str, *values: Any, **options: Any) -> Any:
        return await call(self, BINDS.sub(r"(\1)", text), *values, **options)

    return run
