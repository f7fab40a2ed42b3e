# SPDX-License-Identifier: EUPL-1.2
"""Fixtures of several domains: a town with its accounts, and what a handler works with."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.kernel.database import Database
from services.kernel.encryption import Vault
from services.kernel.runtime import Runtime
from services.kernel.settings import Settings
from tests.services.conversations.standing import Town, found_town


@pytest.fixture
async def town(database: Database) -> Town:
    """A town of its own for every test."""
    return await found_town(database)


@pytest.fixture
def runtime(settings: Settings, database: Database) -> Runtime:
    """Without network and without Valkey, for handlers that call nobody."""
    missing: Any = None
    vault = Vault(settings.master_key)
    return Runtime(settings, database, vault, missing, missing, missing, missing, lambda: datetime.now(UTC))
