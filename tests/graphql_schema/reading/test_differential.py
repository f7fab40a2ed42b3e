# SPDX-License-Identifier: EUPL-1.2
"""Whatever a client writes, both executors answer the same bytes at the same moment, and refuse alike.

Thousands of documents over the whole schema, with their variables, for every role and two organizations. Each shard
tells its seed; `BELFRY_SEED=<n>` runs the same again. Hypothesis shrinks what fails.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from graphql_schema.billing import objects_in
from graphql_schema.conversations.types import Contact, Conversation
from graphql_schema.reading.declarations import encode_id
from graphql_schema.reading.execution import STATEMENTS, Execution, Executor, counted
from graphql_schema.reading.sampling import alike
from graphql_schema.schema import ApiSchema, api_schema
from services.kernel.access import Role
from services.kernel.database import Database
from tests.graphql_schema.reading.documents import Author
from tests.graphql_schema.reading.planting import Planted, Reader

SEED = int(os.environ.get("BELFRY_SEED", "0")) or Random().randrange(2**32)
SHARDS, EACH = 10, 500
SHARDS_EACH_TIME = 5
"""The others are drawn at the whole size of the gate only."""
AT_ONCE = 64
GROWING = "censored"
"""In the name of a figure that grows with every second: compared at one moment only, by the other tests here."""
BITS = st.integers(0, 2**32 - 1)
EXAMPLES = settings(
    max_examples=EACH,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    print_blob=True,
    suppress_health_check=[*HealthCheck],  # pyright: ignore[reportArgumentType]
)
ROLES = (Role.COORDINATOR, Role.OPERATOR, Role.MANAGER, Role.EXPERT, Role.ADMIN, Role.VIEWER)
TOLD: Counter[str] = Counter()


@pytest.fixture(scope="module")
def whole() -> ApiSchema:
    """Everything that can be asked."""
    return api_schema()


@pytest.fixture(scope="module")
def ids(here: Planted, there: Planted) -> list[str]:
    """Global ids that exist, and some of another organization."""
    found = [encode_id(Conversation, each.id) for each in (*here.conversations[:4], *there.conversations[:4])]
    return found + [encode_id(Contact, each.id) for each in (*here.contacts[:2], *there.contacts[:1])]


def told(result: Any) -> tuple[bytes, list[Any]]:
    """What a client would read, but for the request's id."""
    errors = [(each.message, each.path, (each.extensions or {}).get("code")) for each in result.errors or ()]
    return orjson.dumps(result.data), errors


async def compare(schema: ApiSchema, database: Database, chance: Random, planted: Planted, ids: list[str]) -> None:
    """Draw one document, answer it twice, and demand the same."""
    author = Author(schema.core, chance, ids, roots_of(schema))
    document, role = author.document(), chance.choice(ROLES)
    where = f"{role}: {document} {author.variables}"
    actor = planted.actor(role, chance.choice([None, "ROADS"]) if role is Role.OPERATOR else None)
    reader = Reader(database, actor)
    async with database.reads.moment() as moment:
        once, asking = reader.at(moment), replace(reader.at(moment), execution=Execution())
        ordinary = await schema.execute(document, author.variables, once)
        compiled = await schema.execute(document, author.variables, asking)
    (data, errors), (other_data, other_errors) = told(compiled), told(ordinary)
    assert errors == other_errors, where
    assert alike(data, other_data, moment.began_at), f"{where}\n{data.decode()}\n{other_data.decode()}"
    for answered, result in ((asking, compiled), (once, ordinary)):
        bill = answered.bill
        assert result.data is None or bill.weights + objects_in(result.data) <= (bill.requested or 0), where
    assert asking.bill.requested == once.bill.requested
    codes = [(each.extensions or {}).get("code") for each in ordinary.errors or ()]
    TOLD[str(codes[0]) if codes else asking.execution.used.value] += 1


def roots_of(schema: ApiSchema) -> list[str]:
    """Everything that can be asked, lists and nodes six times as often as figures, which have few shapes."""
    query = schema.core.query_type
    assert query is not None
    figures = {name for name, each in query.fields.items() if "since" in each.args}
    return sorted(figures) + 6 * sorted(query.fields.keys() - figures)


class Drawn(Random):
    """Chance that Hypothesis draws, so that it can make less of it: no additions, the first of a choice."""

    data: st.DataObject

    def random(self) -> float:
        return 1 - (self.data.draw(BITS) + 1) / 2**32

    def getrandbits(self, k: int, /) -> int:
        return self.data.draw(st.integers(0, 2**k - 1))


def drawn(data: st.DataObject) -> Drawn:
    """Made so, because Random hashes what it is made from."""
    found = Drawn(0)
    found.data = data
    return found


def shard(number: int) -> Callable[..., Any]:
    """One part of the corpus, so that several processes share it."""

    @pytest.mark.usefixtures("unwatched_statements")
    @seed(SEED + number)
    @EXAMPLES
    @given(data=st.data(), is_here=st.booleans())
    async def test(
        whole: ApiSchema,
        reading_database: Database,
        here: Planted,
        there: Planted,
        ids: list[str],
        data: st.DataObject,
        is_here: bool,
    ) -> None:
        await compare(whole, reading_database, drawn(data), here if is_here else there, ids)

    return test


for _number in range(SHARDS):
    _shard = shard(_number) if _number < SHARDS_EACH_TIME else pytest.mark.slow(shard(_number))
    globals()[f"test_a_shard_of_documents_{_number}"] = _shard


async def test_most_documents_are_compiled_and_none_is_unsafe(
    whole: ApiSchema,
    reading_database: Database,
    here: Planted,
    ids: list[str],
    tell: Callable[[str], None],
    unwatched_statements: None,
) -> None:
    """The corpus shows nothing if what it draws is refused, or answered twice by the same executor."""
    TOLD.clear()
    before = dict(counted(STATEMENTS)).get("transaction", 0)
    chance = Random(SEED)
    for _ in range(200):
        await compare(whole, reading_database, chance, here, ids)
    tell(f"seed {SEED}: 200 documents, 0 differences: {dict(TOLD)}")
    assert TOLD[Executor.COMPILED] > 200 / 3
    assert dict(counted(STATEMENTS)).get("transaction", 0) == before


async def test_the_corpus_answers_the_same_with_many_requests_at_once(
    whole: ApiSchema,
    reading_database: Database,
    here: Planted,
    there: Planted,
    ids: list[str],
    tell: Callable[[str], None],
    unwatched_statements: None,
) -> None:
    """Isolation: the same documents one after another and 64 at a time, as people of two organizations."""
    asked: list[tuple[Any, str, dict[str, Any], bytes]] = []
    chance = Random(SEED)
    async with reading_database.reads.moment() as moment:
        began_at = moment.began_at
    while len(asked) < 300:
        author = Author(whole.core, chance, ids, roots_of(whole))
        document, planted = author.document(), chance.choice([here, there])
        if GROWING in document:
            continue
        actor = planted.actor(chance.choice(ROLES))
        alone = await whole.execute(document, author.variables, Reader(reading_database, actor, execution=Execution()))
        asked.append((actor, document, author.variables, told(alone)[0]))
    several = asked * 3
    chance.shuffle(several)
    gate, one_by_one, compiled = asyncio.Semaphore(AT_ONCE), asyncio.Lock(), 0

    async def again(actor: Any, document: str, variables: dict[str, Any], expected: bytes) -> None:
        nonlocal compiled
        async with gate:
            reader = Reader(reading_database, actor, execution=Execution())
            result = await whole.execute(document, variables, reader)
            async with one_by_one:  # so many at once may have to wait for a connection longer than is allowed
                while is_busy(result):
                    result = await whole.execute(document, variables, reader)
        compiled += reader.execution.used is Executor.COMPILED
        assert alike(told(result)[0], expected, began_at), f"seed {SEED}: {document}"
        other = there if actor.tenant_id == here.organization.id else here
        assert not any(canary in expected for canary in canaries(other)), f"seed {SEED}: {document}"

    await asyncio.gather(*(again(*each) for each in several))
    tell(
        f"seed {SEED}: {len(several)} requests, {AT_ONCE} at a time, {compiled} compiled: 0 differences, 0 foreign ids"
    )
    assert compiled > len(several) / 3


def is_busy(result: Any) -> bool:
    """Whether the database had no connection to give."""
    return any((each.extensions or {}).get("code") == "SERVICE_UNAVAILABLE" for each in result.errors or ())


def canaries(planted: Planted) -> list[bytes]:
    """What nobody of another organization may ever read."""
    found = [encode_id(Conversation, each.id) for each in planted.conversations]
    return [each.encode() for each in (*found, *(encode_id(Contact, each.id) for each in planted.contacts))]
