# SPDX-License-Identifier: EUPL-1.2
"""Bearer tokens of a local installation, from the command line."""

import asyncio

from services.identity import commands
from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.settings import Settings


def issue(settings: Settings, *, organization: str, role: str, department: str | None, person: int) -> str:
    """A token for one person in one role. Raises a refusal that says what does not exist."""
    return asyncio.run(_issue(settings, organization, Role(role.upper()), department, person))


async def _issue(settings: Settings, slug: str, role: Role, department: str | None, person: int) -> str:
    database = Database(settings.database_url, pool_size=2)
    try:
        return await commands.issue_local_token(
            database,
            is_local=settings.is_local,
            slug=slug,
            role=role,
            department_code=department,
            person_number=person,
        )
    finally:
        await database.close()
