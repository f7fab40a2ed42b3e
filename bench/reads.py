# SPDX-License-Identifier: EUPL-1.2
"""How fast a query is answered: compiled to one statement, by the ordinary executor, and by pgbench with the same SQL.

The API is a process of its own with everything that a request passes. Every way has its turn in every round.
"""

import asyncio
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sqlalchemy import make_url

from bench.dataset import Dataset, long_conversations, provide, tell, token
from bench.engines import Engines, measure_by
from bench.questions import CONVERSATION, INBOX, SERIES, Asking, Question, script
from bench.report import Expectation, Report, Table, number, ratio, spread, turns
from bench.serving import (
    Api,
    Lane,
    api,
    as_fast_as_possible,
    at_a_rate,
    connected,
    cpu_seconds,
    exchange,
    family,
    postmaster,
    resident_mebibytes,
)
from graphql_schema.conversations.types import Conversation
from graphql_schema.reading.declarations import encode_id
from graphql_schema.schema import api_schema
from services.embedded.binaries import postgres_bin_folder
from services.identity.queries import actor_of_token
from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.reads import SESSION

SCALE, SMALL_SCALE = 1.0, 0.01
ROUNDS = 5
SECONDS = 3.0
CONNECTIONS = 4
MODERATE_SHARE = 0.5
"""Of what the ordinary way can do at most: both ways are asked at that rate."""

WAYS = ("compiled", "ordinary", "pgbench", "pgbench without row security")
FASTER = {"Q1": 15.0, "Q2": 12.0, "Q3": 12.0}
OF_PGBENCH = {"Q1": 0.75, "Q2": 0.5, "Q3": 0.45}
CPU_MILLISECONDS_MAX, FLATNESS_MAX, ROW_SECURITY_MAX = 0.7, 1.3, 1.12


@dataclass
class Ground:
    """Where a round is run."""

    engines: Engines
    dataset: Dataset
    api: Api
    postmaster: int
    bearer: str
    scripts: Mapping[str, tuple[Path, list[str]]]

    async def turn(self, question: Question, way: str) -> Lane:
        """One way answers one question for a while, by as many connections as have always work."""
        lane, database = Lane(seconds=SECONDS), family(self.postmaster)
        before = cpu_seconds([self.api.pid]), cpu_seconds(database)
        if way in ("compiled", "ordinary"):
            request = self.api.request(self.bearer, question.body, ordinary=way == "ordinary")
            lane.latencies = await as_fast_as_possible(self.api.port, request, SECONDS, CONNECTIONS)
        else:
            lane.latencies = await self._pgbench(question, "belfry_app" if way == "pgbench" else "postgres")
        lane.api_cpu = cpu_seconds([self.api.pid]) - before[0]
        lane.database_cpu = cpu_seconds(set(database) | set(family(self.postmaster))) - before[1]
        return lane

    async def _pgbench(self, question: Question, role: str) -> list[float]:
        file, options = self.scripts[question.name]
        url = make_url(self.engines.url(role, self.dataset.database))
        session = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
        process = await asyncio.create_subprocess_exec(
            str(postgres_bin_folder() / "pgbench"),
            *("--no-vacuum", "--protocol=prepared", f"--client={CONNECTIONS}", "--jobs=1", f"--time={SECONDS:.0f}"),
            *(f"--file={file}", *options, f"--host={url.query['host']}", f"--username={role}", str(url.database)),
            env={"PGOPTIONS": session, "PGPASSWORD": str(url.password or "")},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        done = re.search(rb"actually processed: (\d+)", out)
        took = re.search(rb"latency average = ([\d.]+) ms", out)
        if process.returncode or done is None or took is None:
            raise RuntimeError(errors.decode()[:2000])
        return [float(took[1]) / 1000] * int(done[1])


async def measure(ground: Ground, questions: Sequence[Question], rounds: int) -> dict[str, dict[str, list[Lane]]]:
    """All ways and questions, round by round."""
    found: dict[str, dict[str, list[Lane]]] = {each.name: {way: [] for way in WAYS} for each in questions}
    for place, order in enumerate(turns(WAYS, rounds)):
        for question in questions:
            for way in order:
                found[question.name][way].append(await ground.turn(question, way))
        tell(f"  round {place + 1} of {rounds}")
    return found


async def moderate(ground: Ground, question: Question, rate: float) -> dict[str, Lane]:
    """Latencies when there is air: both executors at the same rate."""
    found: dict[str, Lane] = {}
    for way in ("compiled", "ordinary"):
        request = ground.api.request(ground.bearer, question.body, ordinary=way == "ordinary")
        lane = Lane(seconds=2 * SECONDS)
        lane.latencies = await at_a_rate(ground.api.port, request, lane.seconds, rate, 16)
        found[way] = lane
    return found


async def flatness(large: Ground, small: Ground, question: Question, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of the median answer to one client, on all rows and on a hundredth of them, in turns."""
    found: dict[str, list[float]] = {"all rows": [], "a hundredth": []}
    grounds = {"all rows": large, "a hundredth": small}
    for order in turns(tuple(grounds), rounds):
        for name in order:
            ground, lane = grounds[name], Lane(seconds=SECONDS)
            request = ground.api.request(ground.bearer, question.body, ordinary=False)
            lane.latencies = await as_fast_as_possible(ground.api.port, request, SECONDS, 1)
            found[name].append(lane.percentile(0.5))
    return found


async def the_same_bytes(ground: Ground, questions: Sequence[Question]) -> dict[str, int]:
    """Ask each question in both ways, demand equal answers, and return their sizes."""
    sizes: dict[str, int] = {}
    async with connected(ground.api.port) as (reader, writer):
        for each in questions:
            fast = await exchange(reader, writer, ground.api.request(ground.bearer, each.body, ordinary=False))
            slow = await exchange(reader, writer, ground.api.request(ground.bearer, each.body, ordinary=True))
            if fast != slow:
                raise RuntimeError(f"{each.name}: the two ways differ")
            sizes[each.name] = len(fast)
    return sizes


async def questions_of(engines: Engines, dataset: Dataset) -> list[Question]:
    """The three questions, to the largest organization."""
    (long, *_) = await long_conversations(engines, dataset)
    async with engines.administrator(dataset.database) as connection:
        found = await connection.fetchrow(
            "select date_trunc('week', max(opened_at)) - interval '26 weeks', date_trunc('week', max(opened_at))"
            " from belfry.waiting_segment where tenant_id = $1",
            dataset.largest.tenant_id,
        )
    if found is None:
        raise LookupError("the data set has no waits")
    period = {"since": found[0].isoformat(), "until": found[1].isoformat()}
    return [
        Question("Q1", "an inbox page of 50 conversations", INBOX, {}),
        Question("Q2", "a conversation with 100 messages", CONVERSATION, {"id": encode_id(Conversation, long)}),
        Question("Q3", "a figure over 26 weeks", SERIES, period),
    ]


async def ground_of(engines: Engines, dataset: Dataset, running: Api, folder: Path) -> Ground:
    """Everything that a turn needs."""
    bearer = await token(engines, dataset, Role.COORDINATOR)
    database = Database(engines.url("belfry_app", dataset.database), pool_size=1)
    try:
        asking = Asking(await actor_of_token(database, bearer))
    finally:
        await database.close()
    schema, scripts = api_schema(), dict[str, tuple[Path, list[str]]]()
    async with engines.administrator(dataset.database) as connection:
        for each in await questions_of(engines, dataset):
            text, values = each.statement(schema, asking)
            types = [found.name for found in (await connection.prepare(text)).get_parameters()]
            text, options = script(text, types, values)
            file = folder / f"{dataset.database}_{each.name}.sql"
            file.write_text(text, encoding="utf-8")
            scripts[each.name] = (file, options)
        database_pid = await postmaster(connection)
    return Ground(engines, dataset, running, database_pid, bearer, scripts)


def table_of(question: Question, size: int, lanes: Mapping[str, Sequence[Lane]]) -> Table:
    """What each way gave, side by side."""
    rows: list[tuple[str, ...]] = []
    for way, each in lanes.items():
        through_api = way in ("compiled", "ordinary")
        rows.append(
            (
                way,
                spread([lane.rate for lane in each]),
                number(ratio([lane.rate for lane in lanes["compiled"]], [lane.rate for lane in each])),
                number(middle([lane.api_milliseconds for lane in each])) if through_api else "",
                number(middle([lane.database_milliseconds for lane in each])),
            )
        )
    title = f"{question.name}: {question.about}, {size:,} bytes; {CONNECTIONS} connections that always work"
    columns = ("way", "requests/s", "compiled : this", "CPU ms of the application", "CPU ms of the database")
    return Table(title, columns, rows)


def latency_table(found: Mapping[str, tuple[float, Mapping[str, Lane]]]) -> Table:
    """Latencies at a rate that both ways can serve."""
    rows = [
        (f"{name} {way}", f"{rate:.0f}", number(lane.percentile(0.5)), number(lane.percentile(0.99)))
        for name, (rate, lanes) in found.items()
        for way, lane in lanes.items()
    ]
    return Table("Milliseconds at a moderate rate, the same for both", ("question", "requests/s", "p50", "p99"), rows)


def expectations(
    found: Mapping[str, Mapping[str, Sequence[Lane]]], flat: Mapping[str, Sequence[float]]
) -> list[Expectation]:
    """What was expected, as ratios of this run."""

    def gained(name: str, way: str) -> float:
        return ratio([each.rate for each in found[name]["compiled"]], [each.rate for each in found[name][way]])

    listed = [Expectation.at_least(f"{name}: compiled to ordinary", gained(name, "ordinary"), least)
              for name, least in FASTER.items()]  # fmt: skip
    listed += [Expectation.at_least(f"{name}: compiled to pgbench", gained(name, "pgbench"), least)
               for name, least in OF_PGBENCH.items()]  # fmt: skip
    inbox = found["Q1"]
    cpu = middle([lane.api_milliseconds for lane in inbox["compiled"]])
    guarded, bare = ([lane.database_milliseconds for lane in inbox[way]] for way in WAYS[2:])
    return [
        *listed,
        Expectation.at_most("Q1: CPU ms of the application", cpu, CPU_MILLISECONDS_MAX),
        Expectation.at_most("Q1: all rows to a hundredth", ratio(flat["all rows"], flat["a hundredth"]), FLATNESS_MAX),
        Expectation.at_most("Q1: database CPU with row security to without", ratio(guarded, bare), ROW_SECURITY_MAX),
    ]


def middle(values: Sequence[float]) -> float:
    """The median."""
    return median(values)


async def run(engines: Engines, *, scale: float, rounds: int) -> int:
    """Measure on the data set itself: nothing is written but tokens."""
    large, small = await provide(engines, scale=scale), await provide(engines, scale=scale * SMALL_SCALE)
    questions = await questions_of(engines, large)
    with tempfile.TemporaryDirectory(prefix="belfry-bench-") as name:
        folder = Path(name)
        async with api(engines.settings(large.database)) as one, api(engines.settings(small.database)) as other:
            ground = await ground_of(engines, large, one, folder)
            little = await ground_of(engines, small, other, folder)
            sizes = await the_same_bytes(ground, questions)
            found = await measure(ground, questions, rounds)
            calm: dict[str, tuple[float, Mapping[str, Lane]]] = {}
            for each in questions:
                rate = MODERATE_SHARE * middle([lane.rate for lane in found[each.name]["ordinary"]])
                calm[each.name] = (rate, await moderate(ground, each, rate))
            flat = await flatness(ground, little, questions[0], rounds)
            memory = resident_mebibytes(one.pid)
    tables = [table_of(each, sizes[each.name], found[each.name]) for each in questions]
    other_figures = [
        *((f"Q1, one client, {name}: median ms", spread(values)) for name, values in flat.items()),
        ("memory of the API process, MiB", f"{memory:.0f}"),
    ]
    tables += [latency_table(calm), Table("Flatness and memory", ("figure", "value"), other_figures)]
    conversations = sum(each.conversations for each in large.towns)
    measured = (
        f"{rounds} interleaved rounds of {SECONDS:.0f} s for each way. {conversations:,} conversations of"
        f" {len(large.towns)} organizations, asked by a coordinator of the largest ({large.largest.conversations:,})."
    )
    return await Report("reads", measured, tables, expectations(found, flat)).publish(engines)


def main() -> None:
    """Run the bench from the command line."""
    measure_by(run, "reads", "Queries by both executors, and the same SQL by pgbench.", scale=SCALE, rounds=ROUNDS)


if __name__ == "__main__":
    main()
