# SPDX-License-Identifier: EUPL-1.2
"""The data set of the benches: 405,000 conversations and more than 1,200,000 messages of a hundred organizations.

`./belfry bench dataset --keep DIR` loads it into a folder, where other benches find it. A load that was cut off is
done again from the beginning; one that is finished is used as it is, unless what it is made from has changed.
"""

import asyncio
import hashlib
import json
import sys
import time
from dataclasses import dataclass
from uuid import UUID

from bench.engines import Engines, arguments, open_engines
from bench.filling import LONG_MESSAGES, fill, fingerprint
from bench.plans import TownPlan, towns
from services.identity import commands as identity
from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.migrations import ROOT

SEED = 1421
SCALE = 1.0

TABLES = ("organization", "membership", "contact", "conversation", "message", "waiting_segment", "reply", "delivery",
          "closing", "claim", "participant")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dataset:
    """A loaded data set: which database, and what is in it."""

    database: str
    scale: float
    seed: int
    towns: list[TownPlan]

    @property
    def largest(self) -> TownPlan:
        return self.towns[0]


async def provide(engines: Engines, *, scale: float, seed: int = SEED) -> Dataset:
    """The data set of a scale: the one that is there, or one that is loaded now."""
    found = Dataset(f"dataset_{round(scale * 1000)}_{seed}", scale, seed, towns(scale, seed))
    mark = json.dumps({"made from": fingerprint(), "migrations": _migrations(), "scale": scale, "seed": seed})
    before = (await engines.databases()).get(found.database)
    if before != mark:
        tell(f"Loading scale {scale:g}, seed {seed}: {sum(each.conversations for each in found.towns):,} conversations")
        began = time.monotonic()
        await engines.drop(found.database)
        await engines.create(found.database)
        await fill(engines, found.database, found.towns, seed, tell)
        await engines.describe(found.database, mark)  # last: without it the load counts as cut off
        tell(f"Loaded in {time.monotonic() - began:.0f} s.")
    return found


async def token(engines: Engines, dataset: Dataset, role: Role, *, department: str | None = None) -> str:
    """A bearer token of the largest organization, issued as for any local installation."""
    settings = engines.settings(dataset.database)
    database = Database(settings.database_url, pool_size=1)
    try:
        return await identity.issue_local_token(
            database, is_local=settings.is_local, slug=dataset.largest.slug, role=role, department_code=department
        )
    finally:
        await database.close()


async def long_conversations(engines: Engines, dataset: Dataset) -> list[UUID]:
    """The conversations of the largest organization with exactly LONG_MESSAGES messages."""
    async with engines.administrator(dataset.database) as connection:
        rows = await connection.fetch(
            "select conversation_id from belfry.message where tenant_id = $1 and conversation_id is not null"
            " group by 1 having count(*) = $2 order by 1",
            dataset.largest.tenant_id,
            LONG_MESSAGES,
        )
    return [UUID(int=row["conversation_id"].int) for row in rows]


async def describe(engines: Engines, dataset: Dataset) -> list[str]:
    """How many rows there are, and how they are spread over organizations."""
    lines: list[str] = []
    async with engines.administrator(dataset.database) as connection:
        for table in TABLES:
            count = await connection.fetchval(f"select count(*) from belfry.{table}")
            lines.append(f"  {table:<16} {count:>9,}")
        rows = await connection.fetch(
            "select tenant_id, count(*) conversations, count(*) filter (where state <> 'CLOSED') open,"
            " count(*) filter (where lease_until > now()) held from belfry.conversation group by 1"
        )
        messages = dict(
            tuple(row) for row in await connection.fetch("select tenant_id, count(*) from belfry.message group by 1")
        )
        size = await connection.fetchval("select pg_size_pretty(pg_database_size(current_database()))")
    by_id = {row["tenant_id"]: row for row in rows}
    lines += [f"  on disk {size}", "  organization            conversations  not closed   held   messages"]
    for town in dataset.towns:
        if town.place in (1, 2, 3, 5, 10, 20, 50, 100):
            row = by_id[town.tenant_id]
            lines.append(
                f"  {town.place:>3}. {town.slug:<20} {row['conversations']:>10,} {row['open']:>11,} {row['held']:>6,}"
                f" {messages[town.tenant_id]:>10,}"
            )
    count = len(await long_conversations(engines, dataset))
    return [*lines, f"  conversations of the largest organization with {LONG_MESSAGES} messages: {count}"]


def tell(line: str) -> None:
    """Say at once what goes on."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _migrations() -> str:
    versions = sorted((ROOT / "alembic" / "versions").glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in versions)).hexdigest()[:16]


def main() -> None:
    """Load a data set, or find it loaded, and print what it holds."""
    parser = arguments("dataset", "Load the data set of the benches into a folder, for other benches.", scale=SCALE)
    parser.add_argument("--seed", type=int, default=SEED, help="the number from which all chance follows")
    given = parser.parse_args()

    async def run(engines: Engines) -> None:
        dataset = await provide(engines, scale=given.scale, seed=given.seed)
        print(f"Data set of scale {given.scale:g}, seed {given.seed}")
        print("\n".join(await describe(engines, dataset)))

    with open_engines(given.keep) as engines:
        asyncio.run(run(engines))


if __name__ == "__main__":
    main()
