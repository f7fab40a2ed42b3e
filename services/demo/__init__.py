# SPDX-License-Identifier: EUPL-1.2
"""Two invented organizations with eight weeks of history: Molendam, large and Dutch, and Waterrode, small and French.

seed(settings)          writes them, each once          scenario.py    plays one question and answer over HTTP

plans.py                what an organization consists of; the plans themselves: organizations.py, people.py,
                        texts_dutch.py, texts_french.py, voice_dutch.py
foundation.py           founds it through the ordinary commands
arrivals.py telling.py  who writes when, and how it goes on: stories.py
exchange.py sending.py  from a story to rows: places.py, remote.py, ledger.py
own_posts.py            what the organization says unasked
history.py seeding.py   all of it together, and into the database
"""

import asyncio
import sys

from services.demo.seeding import SEED, seed_all
from services.kernel.clock import utc_now
from services.kernel.database import Database
from services.kernel.settings import Settings

__all__ = ["seed"]

POOL_SIZE = 2
"""One connection for the directories and one for the organization."""


def seed(settings: Settings) -> None:
    """Write the demo's organizations that are not there yet, and tell on stdout what was written."""
    asyncio.run(_seed(settings))


async def _seed(settings: Settings) -> None:
    now = utc_now()
    _tell(f"Demo data from seed {SEED}, eight weeks until {now:%Y-%m-%d %H:%M} UTC. Everybody in it is invented.")
    database = Database(settings.database_url, pool_size=POOL_SIZE)
    try:
        await seed_all(database, now, _tell)
    finally:
        await database.close()


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
