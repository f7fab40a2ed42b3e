# SPDX-License-Identifier: EUPL-1.2
"""What people who work notice of somebody who sends what was made to cost: the eighty bodies of P15, again and again.

One API process serves a few people, who ask for an inbox page at fixed instants whatever the answers do. Nobody else,
an abuser at a steady rate, and one whose next body leaves as soon as the last is refused have their turns in every
round, so that whatever else the machine does hits them alike.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle

import orjson

from bench.dataset import SEED, Dataset, provide, tell
from bench.engines import Engines, measure_by
from bench.report import Expectation, Report, Table, number, ratio, spread, turns
from bench.serving import Api, Lane, api, connected, cpu_seconds, exchange
from services.identity import commands as identity
from services.kernel.access import Role
from services.kernel.database import Database
from tests.graphql_schema.abuse import DOCUMENTS

SCALE = 0.01
ROUNDS = 8
SECONDS = 10.0
REQUESTS_A_SECOND = 20
PEOPLE = 8
"""Each has a bucket of their own, which this rate does not empty."""
CONNECTIONS = 16
STEADY_A_SECOND = 5
HEALTHY_RATIO_MAX = 1.5

ALONE, STEADY, RESTLESS = "nobody else", f"abuse, {STEADY_A_SECOND} a second", "abuse without a rest"
WAYS = (ALONE, STEADY, RESTLESS)
INBOX = """query Inbox {
  conversations(first: 10, filter: {state: {in: [NEW, OPEN]}}) {
    nodes { id version state priority openedAt department { name } lastMessage { text } }
  }
}"""


@dataclass
class Turn:
    """One turn: the people's latencies, and how many bodies the abuser got rid of."""

    healthy: Lane
    bodies_sent: int = 0
    api_cpu: float = 0.0


@dataclass
class Abuser:
    """Sends every body in turn, and counts them."""

    server: Api
    token: str
    bodies_sent: int = 0
    bodies: Sequence[bytes] = field(default_factory=lambda: list(DOCUMENTS.values()))

    async def run(self, a_second: float | None) -> None:
        """Until it is cancelled; None is as fast as one connection can. A body that is cut off gets a new one."""
        due = time.perf_counter()
        for body in cycle(self.bodies):
            await self._send(body)
            self.bodies_sent += 1
            if a_second is not None:
                due += 1 / a_second
                await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def _send(self, body: bytes) -> None:
        async with connected(self.server.port) as (reader, writer):
            writer.write(self.server.request(self.token, body, ordinary=False))
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")


async def healthy(server: Api, tokens: Sequence[str]) -> Lane:
    """The people's requests, sent at fixed instants; waiting for a free connection counts."""
    body, lane = orjson.dumps({"query": INBOX}), Lane(seconds=SECONDS)
    due: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()

    async def serve() -> None:
        async with connected(server.port) as (reader, writer):
            while (next_one := await due.get()) is not None:
                planned, request = next_one
                await exchange(reader, writer, request)
                lane.latencies.append(time.perf_counter() - planned)

    serving = [asyncio.create_task(serve()) for _ in range(CONNECTIONS)]
    began, people = time.perf_counter(), cycle(tokens)
    for place in range(int(SECONDS * REQUESTS_A_SECOND)):
        planned = began + place / REQUESTS_A_SECOND
        await asyncio.sleep(max(0.0, planned - time.perf_counter()))
        due.put_nowait((planned, server.request(next(people), body, ordinary=False)))
    for _ in serving:
        due.put_nowait(None)
    await asyncio.gather(*serving)
    return lane


async def turn(server: Api, tokens: Sequence[str], way: str) -> Turn:
    """The people work; meanwhile the abuser of this way does what it does."""
    abuser, before = Abuser(server, tokens[0]), cpu_seconds([server.pid])
    running = None
    if way != ALONE:
        running = asyncio.create_task(abuser.run(STEADY_A_SECOND if way == STEADY else None))
    found = Turn(await healthy(server, tokens[1:]))
    if running is not None:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    found.bodies_sent, found.api_cpu = abuser.bodies_sent, cpu_seconds([server.pid]) - before
    return found


async def measure(server: Api, tokens: Sequence[str], rounds: int) -> dict[str, list[Turn]]:
    """All ways, round by round. One round before them, which fills caches, does not count."""
    found: dict[str, list[Turn]] = {way: [] for way in WAYS}
    await turn(server, tokens, RESTLESS)
    for place, order in enumerate(turns(WAYS, rounds)):
        for way in order:
            found[way].append(await turn(server, tokens, way))
        last = (f"{way} {number(p95(found[way])[-1])} ms" for way in WAYS)
        tell(f"  round {place + 1} of {rounds}: {', '.join(last)}")
    return found


def p95(each: Sequence[Turn]) -> list[float]:
    """Milliseconds below which 19 of 20 answers came, of each turn."""
    return [one.healthy.percentile(0.95) for one in each]


async def tokens_of(engines: Engines, dataset: Dataset) -> list[str]:
    """The abuser's, which is as good as anybody's, and those of the people."""
    settings = engines.settings(dataset.database)
    database = Database(settings.database_url, pool_size=1)
    try:
        return [
            await identity.issue_local_token(
                database,
                is_local=True,
                slug=dataset.largest.slug,
                role=Role.OPERATOR,
                department_code=None,
                person_number=place + 1,
            )
            for place in range(1 + PEOPLE)
        ]
    finally:
        await database.close()


def report(found: dict[str, list[Turn]], rounds: int) -> Report:
    """Latencies by way, and their ratios to those of people who are alone."""
    alone = p95(found[ALONE])
    rows = [
        (
            way,
            spread([one.healthy.percentile(0.5) for one in each]),
            spread(p95(each)),
            number(ratio(p95(each), alone)),
            f"{sum(one.bodies_sent for one in each):,}",
            f"{sum(one.api_cpu for one in each) / (SECONDS * len(each)):.0%}",
        )
        for way, each in found.items()
    ]
    columns = ("besides the people", "p50 ms", "p95 ms", "p95 : alone", "bodies", "CPU of the application")
    return Report(
        "abuse",
        f"{rounds} interleaved rounds of {SECONDS:.0f} s for each way. {PEOPLE} people ask for {REQUESTS_A_SECOND}"
        f" inbox pages a second; the abuser has a credential and sends {len(DOCUMENTS)} bodies in turn.",
        [Table("What the people notice: median (lowest to highest round)", columns, rows)],
        [
            Expectation.at_most(f"healthy p95, {way} : {ALONE}", ratio(p95(found[way]), alone), HEALTHY_RATIO_MAX)
            for way in WAYS[1:]
        ],
    )


async def run(engines: Engines, *, scale: float, rounds: int) -> int:
    """Measure on the data set itself: nothing is written but tokens."""
    dataset = await provide(engines, scale=scale, seed=SEED)
    tokens = await tokens_of(engines, dataset)
    async with api(engines.settings(dataset.database)) as server:
        found = await measure(server, tokens, rounds)
    return await report(found, rounds).publish(engines)


def main() -> None:
    """Run the bench from the command line."""
    measure_by(run, "abuse", "What people notice of a client that sends abuse.", scale=SCALE, rounds=ROUNDS)


if __name__ == "__main__":
    main()
