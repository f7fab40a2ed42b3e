# SPDX-License-Identifier: EUPL-1.2
"""How many statements an operation runs: one for each level, however many rows a level has."""

from collections.abc import Iterator

import pytest
from sqlalchemy import event

from graphql_schema.conversations.types import Conversation
from graphql_schema.reading.declarations import REGISTRY, Readable, encode_id
from graphql_schema.reading.execution import Executor
from graphql_schema.reading.resolvers import load_by_id
from graphql_schema.reading.rows import frame_of
from tests.graphql_schema.reading.conftest import Way

DEEP = """
query Deep($first: Int) {
  conversations(first: $first) {
    totalCount
    nodes {
      department { name } category { responsibleDepartment { name } departments { nodes { department { name } } } }
      socialAccount { ownerDepartment { name } } contact { displayName } claim { holder { name } }
      lastMessage { text author { name } }
      messages(first: 2) { totalCount nodes { text author { name } delivery { state socialAccount { handle } } } }
      waitingSegments { nodes { openedAt } } closings { nodes { text } }
    }
  }
}
"""


@pytest.fixture(params=["ordinary"])
def way(schema, reading_database) -> Way:
    """The ordinary executor alone: what is counted here are its statements."""
    return Way(schema, reading_database, Executor.ORDINARY)


@pytest.fixture
def statements(reading_database) -> Iterator[list[str]]:
    """The texts of all reads, in order."""
    texts: list[str] = []

    def see(_connection, _cursor, statement, *_) -> None:
        if "current_setting" not in statement and not statement.startswith("SET"):
            texts.append(statement)

    event.listen(reading_database.engine.sync_engine, "before_cursor_execute", see)
    yield texts
    event.remove(reading_database.engine.sync_engine, "before_cursor_execute", see)


async def test_a_deep_page_takes_the_same_statements_for_three_rows_and_for_sixty(ask, here, statements, tell):
    await ask(here.coordinator, DEEP, first=3)
    few = len(statements)
    statements.clear()
    await ask(here.coordinator, DEEP, first=100)
    assert len(statements) <= few + 2, "levels that happen to be empty on a short page"
    assert len(statements) <= 24
    tell(f"{len(here.conversations)} conversations with 15 relations: {len(statements)} statements")


async def test_a_page_is_one_statement_and_its_count_another(ask, here, statements):
    await ask(here.coordinator, "{ conversations { nodes { id } } }")
    assert len(statements) == 1
    statements.clear()
    await ask(here.coordinator, "{ conversations { totalCount isTotalCountExact nodes { id } } }")
    assert len(statements) == 2


async def test_lists_asked_alike_are_read_once(ask, here, statements):
    await ask(here.coordinator, "{ one: departments { nodes { name } } two: departments { nodes { code } } }")
    assert len(statements) == 1


async def test_several_nodes_of_a_type_are_one_statement(ask, here, statements):
    ids = [encode_id(Conversation, each.id) for each in here.conversations[:50]]
    found = await ask(here.coordinator, "query Several($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)
    assert [each["id"] for each in found["nodes"]] == ids
    assert len(statements) == 1


async def test_what_is_read_back_after_an_act_is_never_what_was_read_before(reader, here, statements):
    context = reader(here.coordinator)
    readable = REGISTRY[Conversation]
    await load_by_id(context, readable, here.conversations[0].id)
    await load_by_id(context, readable, here.conversations[0].id)
    assert len(statements) == 1
    context.loaders.clear()  # as read_back() does
    await load_by_id(context, readable, here.conversations[0].id)
    assert len(statements) == 2


@pytest.mark.parametrize(
    "readable", [each for each in REGISTRY.values() if not each.is_figure], ids=lambda each: each.name
)
def test_every_type_is_read_by_a_plain_statement_with_tenant_and_predicate(readable: Readable):
    statement = frame_of(readable).visible
    # The ORM's compiler would run for every statement, and its row processing for every row.
    assert not statement._propagate_attrs
    text = str(statement)
    assert f"{readable.source.name}_1.tenant_id = :actor_tenant" in text
    assert text.count("tenant_id") >= text.count("FROM")
