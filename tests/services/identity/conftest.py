# SPDX-License-Identifier: EUPL-1.2
"""Credentials are looked up on every kind of engine."""

import contextlib
from collections.abc import AsyncIterator, Mapping

import pytest

from services.kernel.database import Database
from services.kernel.settings import TenantBinding
from tests.support.engines import no_statement_binds
from tests.support.statements import unwatched


@pytest.fixture(params=TenantBinding)
async def database(
    request: pytest.FixtureRequest, database_urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    """An engine on which a statement can bind its organization, and one on which it cannot."""
    opened = Database(database_urls["belfry_app"], binding=request.param)
    with contextlib.ExitStack() as stack:
        if request.param is TenantBinding.TRANSACTION:
            stack.enter_context(unwatched())
            no_statement_binds(monkeypatch)
        yield opened
    await opened.close()
