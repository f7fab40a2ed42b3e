# SPDX-License-Identifier: EUPL-1.2
"""These tests kill processes and break connections for minutes: `./belfry test -m chaos tests/workers` runs them."""

from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.chaos)
