# SPDX-License-Identifier: EUPL-1.2
"""What the tests of deliveries look at: the rows themselves."""

from collections.abc import AsyncIterator, Mapping

import pytest

from tests.workers.towns import Evidence, evidence_of


@pytest.fixture(scope="session")
async def evidence(database_urls: Mapping[str, str]) -> AsyncIterator[Evidence]:
    """The shared database, as its superuser reads it."""
    async with evidence_of(database_urls) as found:
        yield found
