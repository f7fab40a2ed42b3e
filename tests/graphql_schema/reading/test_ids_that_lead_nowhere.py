# SPDX-License-Identifier: EUPL-1.2
"""`node` and `nodes` over HTTP, for every type: whatever does not lead to a row of the caller's answers alike.

Unknown, malformed, of another type, of another organization, of another department: the same bytes, the same headers,
and the same statement, so that nobody finds out which ids there are. Who sees what is computed here in plain Python.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

import httpx2
import pytest
from graphql import GraphQLObjectType, build_schema, get_named_type, is_leaf_type

from graphql_schema.nodes import encode_id as encode_any_id
from graphql_schema.reading.declarations import REGISTRY, Readable, encode_id
from graphql_schema.reading.execution import Executor
from graphql_schema.schema import SDL_FILE
from graphql_schema.transport import EXECUTION
from services.conversations.models import Contact
from services.kernel import identifiers
from services.kernel.access import Permission, Role
from services.kernel.database import Database
from services.kernel.isolation import TenantOwned, owned
from services.kernel.reads import Reads
from services.social_accounts.rules import Network
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.reading import oracle
from tests.graphql_schema.reading.planting import START, Planted, plant
from tests.graphql_schema.serving import Served, without_cost
from tests.support.organizations import DEPARTMENTS, found_organization

SAMPLE = 2
NEVER_ALIKE = frozenset({"x-request-id", "date", "ratelimit"})
TYPES = sorted((each for each in REGISTRY.values() if each.tag and "tests" not in each.path), key=lambda one: one.name)
SEEN_BY_ALL = {
    each.name for each in TYPES if each.permission in (Permission.DIRECTORY_READ, Permission.INTEGRATION_MANAGE)
}
"""Of those who may read the type at all."""
PRINTED = build_schema(SDL_FILE.read_text(encoding="utf-8"))
MALFORMED = (
    "", " ", "x", "nonsense", "A" * 23, "A" * 25, "A" * 24, "-" * 24, "+" * 24, "=" * 24, "ÿ" * 24, "\u0001", "0", "-1",
    "null", "1 OR 1=1", "'; --", "00000000-0000-0000-0000-000000000000", "Q29udmVyc2F0aW9uOjE=", "x" * 5_000, "😀",
)  # fmt: skip

Everything = Mapping[str, Sequence[Any]]
"""All rows of an organization, by the name of their type."""


async def everything(database: Database, planted: Planted) -> Everything:
    async with database.unit_of_work(planted.organization.system) as uow:
        return {each.name: await uow.scalars(owned(cast("type[TenantOwned]", each.model))) for each in TYPES}


@pytest.fixture(scope="module")
async def town(reading_database: Database) -> Planted:
    """An organization of this module's own, with a citizen who never asked anything: nobody sees that contact."""
    planted = await plant(reading_database, await found_organization(reading_database, name="Nergens"), 3)
    async with reading_database.unit_of_work(planted.organization.system) as uow:
        uow.add(Contact(tenant_id=planted.organization.id, network=Network.BLUESKY, external_id="-", seen_at=START))
    return planted


@pytest.fixture(scope="module")
async def mine(reading_database: Database, town: Planted) -> Everything:
    return await everything(reading_database, town)


@pytest.fixture(scope="module")
async def theirs(reading_database: Database, there: Planted) -> Everything:
    return await everything(reading_database, there)


def hidden(planted: Planted, rows: Everything, kind: Readable, department: str) -> list[UUID]:
    """The rows that an operator of a department does not see: what hangs on conversations and accounts of others."""
    operator = planted.actor(Role.OPERATOR, department)
    is_seen = oracle.sees(planted, operator)
    seen = {each.id for each in rows["Conversation"] if is_seen(each)}
    sent = {each.delivery_id for each in rows["Message"] if each.conversation_id in seen}
    asked = {each.contact_id for each in rows["Conversation"] if each.id in seen}
    sees: dict[str, Callable[[Any], bool]] = {
        "Conversation": lambda row: row.id in seen,
        "Delivery": lambda row: row.id in sent,
        "Contact": lambda row: row.id in asked,
        "Export": lambda row: row.membership_id == planted.organization.members[Role.COORDINATOR],
        "SocialAccount": lambda row: row.owner_department_id in (operator.grants[0].departments or ()),
    }
    is_seen_row = sees.get(kind.name, lambda row: row.conversation_id in seen)
    return [] if kind.name in SEEN_BY_ALL else [each.id for each in rows[kind.name] if not is_seen_row(each)]


def department_without(planted: Planted, rows: Everything, kind: Readable) -> str:
    """A department whose operator does not see some row of a type."""
    found = [each for each in DEPARTMENTS if hidden(planted, rows, kind, each)]
    assert found or kind.name in SEEN_BY_ALL
    return found[0] if found else "ROADS"


def leading_nowhere(kind: Readable, mine: Everything, theirs: Everything, hidden_ids: Sequence[UUID]) -> dict[str, str]:
    """Ids by what is wrong with them."""
    place, rows = TYPES.index(kind), [each.id for each in mine[kind.name]]
    others = [TYPES[(place + step) % len(TYPES)] for step in range(1, 1 + SAMPLE)]
    malformed = MALFORMED if place == 0 else MALFORMED[place % 5 :: 5]
    found = {f"malformed {number}": each for number, each in enumerate(malformed)}
    # The id of a row that there is, under the tags of other types, and this tag before the rows of other types.
    found |= {f"as {each.name}": encode_id(each.python_type, rows[0]) for each in others}
    found["as no type"] = encode_any_id("ZZ", rows[0])
    found |= {f"of {each.name}": encode_id(kind.python_type, mine[each.name][0].id) for each in others}
    nowhere = {
        "unknown": [identifiers.new() for _ in range(SAMPLE)],
        "foreign": [each.id for each in theirs[kind.name]][:SAMPLE],
        "hidden": hidden_ids[:SAMPLE],
    }
    return found | {
        f"{what} {number}": encode_id(kind.python_type, each)
        for what, ids in nowhere.items() for number, each in enumerate(ids)
    }  # fmt: skip


def reader_of(kind: Readable, department: str | None = None) -> tuple[Role, str | None]:
    """Somebody who may read a type: an operator of a department, or who sets machines up, or takes data out."""
    if kind.permission is Permission.EXPORT_READ:
        return Role.COORDINATOR, None
    sets_up = kind.permission is Permission.INTEGRATION_MANAGE or kind.name == "DeprecatedUse"
    return (Role.ADMIN, None) if sets_up else (Role.OPERATOR if department else Role.COORDINATOR, department)


def documents(kind: Readable) -> Iterator[str]:
    """What a client might ask of a node: nothing but its id, and all that the type has."""
    shown = PRINTED.type_map[kind.name]
    assert isinstance(shown, GraphQLObjectType)
    leaves = " ".join(name for name, field in shown.fields.items() if is_leaf_type(get_named_type(field.type)))
    for content in ("id", f"__typename ... on {kind.name} {{ {leaves} }}"):
        yield f"query One($id: ID!) {{ node(id: $id) {{ {content} }} }}"


def told(answer: httpx2.Response) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """All that a client can tell of an answer, but for its number and what is left in the bucket."""
    headers = tuple(each for each in sorted(answer.headers.items()) if each[0] not in NEVER_ALIKE)
    return answer.status_code, headers, without_cost(answer.content)


Ask = Callable[[str, str | list[str]], Awaitable[httpx2.Response]]


@pytest.fixture
async def ask_as(live: Served, town: Planted, token_of: TokenOf) -> Callable[..., Awaitable[Ask]]:
    async def caller(role: Role, department: str | None, executor: Executor) -> Ask:
        token = await token_of(town.organization, role, department)

        async def ask(document: str, ids: str | list[str]) -> httpx2.Response:
            variables = {"ids" if isinstance(ids, list) else "id": ids}
            body = {"query": document, "variables": variables}
            return await live.post(body, token, headers={EXECUTION: executor})

        return ask

    return caller


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the statements by which compiled queries are answered."""
    texts: list[str] = []
    value = Reads.value

    async def recorded(self: Reads, text: str, values: Sequence[Any]) -> Any:
        texts.append(text)
        return await value(self, text, values)

    monkeypatch.setattr(Reads, "value", recorded)
    return texts


def own(statements: Sequence[str], nowhere: Mapping[str, str]) -> set[str]:
    """The statements that looked for ids of the type itself, of which each id has one."""
    assert len(statements) == len(nowhere), "one statement for each id"
    kinds = ("unknown", "foreign", "hidden", "of ")
    return {text for text, what in zip(statements, nowhere, strict=True) if what.startswith(kinds)}


@pytest.mark.parametrize("kind", TYPES, ids=lambda each: each.name)
async def test_whatever_leads_nowhere_answers_in_the_same_bytes_from_one_statement(
    ask_as: Callable[..., Awaitable[Ask]], town: Planted, mine: Everything, theirs: Everything, statements: list[str],
    kind: Readable, tell: Callable[[str], None],
) -> None:  # fmt: skip
    department = department_without(town, mine, kind)
    nowhere = leading_nowhere(kind, mine, theirs, hidden(town, mine, kind, department))
    for executor, asked in (
        (Executor.COMPILED, list(documents(kind))[1:]),
        (Executor.ORDINARY, list(documents(kind))[:1]),
    ):
        ask = await ask_as(*reader_of(kind, department), executor)
        for document in asked:
            await ask(document, "x")  # from now on its text is known
            expected = told(await ask(document, "x"))
            assert (expected[0], expected[2].partition(b',"extensions"')[0]) == (200, b'{"data":{"node":null}')
            assert (EXECUTION.lower(), executor) in expected[1]
            statements.clear()
            for what, text in nowhere.items():
                assert told(await ask(document, text)) == expected, what
            if executor is Executor.COMPILED:
                assert len(own(statements, nowhere)) == 1
    tell(f"{kind.name}: {len(nowhere)} ids that lead nowhere, 0 differences")


@pytest.mark.parametrize("kind", TYPES, ids=lambda each: each.name)
async def test_in_a_list_each_of_them_is_null_alike(
    ask_as: Callable[..., Awaitable[Ask]], town: Planted, mine: Everything, theirs: Everything, statements: list[str],
    kind: Readable,
) -> None:  # fmt: skip
    department = department_without(town, mine, kind)
    nowhere = leading_nowhere(kind, mine, theirs, hidden(town, mine, kind, department))
    ask = await ask_as(*reader_of(kind, department), Executor.COMPILED)
    document = f"query Several($ids: [ID!]!) {{ nodes(ids: $ids) {{ id ... on {kind.name} {{ __typename }} }} }}"
    await ask(document, ["x"])
    statements.clear()
    answers = [told(await ask(document, [text] * 3)) for what, text in nowhere.items() if what.endswith("0")]
    assert len(statements) == len(answers) > 2
    assert len(set(answers)) == 1
    found = (await ask(document, list(nowhere.values()))).json()
    assert found["data"]["nodes"] == [None] * len(nowhere)


@pytest.mark.parametrize(
    "kind", [each for each in TYPES if each.permission is Permission.CONVERSATION_READ], ids=lambda each: each.name
)
async def test_without_the_right_to_a_type_its_rows_answer_like_unknown_ones(
    ask_as: Callable[..., Awaitable[Ask]], mine: Everything, kind: Readable
) -> None:
    ask = await ask_as(Role.VIEWER, None, Executor.COMPILED)
    rows = [encode_id(kind.python_type, each.id) for each in mine[kind.name]]
    document = list(documents(kind))[-1]
    await ask(document, "x")
    expected = told(await ask(document, encode_id(kind.python_type, identifiers.new())))
    for each in rows[:5]:
        assert told(await ask(document, each)) == expected


@pytest.mark.parametrize("text", ["\u0000", "A" * 23 + "\u0000", "x" * 20_001])
async def test_what_no_text_may_be_is_refused_as_an_id_too_and_asks_nothing_of_the_database(
    ask_as: Callable[..., Awaitable[Ask]], statements: list[str], text: str
) -> None:
    ask = await ask_as(Role.OPERATOR, "ROADS", Executor.COMPILED)
    answer = await ask(next(documents(TYPES[0])), text)
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert statements == []


@pytest.mark.parametrize("kind", TYPES, ids=lambda each: each.name)
async def test_what_the_caller_sees_is_found_so_that_null_means_something(
    ask_as: Callable[..., Awaitable[Ask]], town: Planted, mine: Everything, kind: Readable
) -> None:
    ask = await ask_as(*reader_of(kind), Executor.COMPILED)
    unseen = {each.id for each in mine[kind.name] if getattr(each, "external_id", "") == "-"}
    unseen |= set(hidden(town, mine, kind, "ROADS")) if kind.permission is Permission.EXPORT_READ else set()
    seen = [encode_id(kind.python_type, each.id) for each in mine[kind.name] if each.id not in unseen]
    assert seen
    for each in seen[:2]:
        assert (await ask(next(documents(kind)), each)).json()["data"] == {"node": {"id": each}}
