# SPDX-License-Identifier: EUPL-1.2
"""Who sees which rows: one predicate holds in lists, counts, relations and by id, and nothing crosses organizations."""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from graphql_schema.conversations.types import Contact, Conversation, Message
from graphql_schema.deliveries.types import Delivery
from graphql_schema.identity.types import ApiClient
from graphql_schema.integrations.types import Export, WebhookEndpoint
from graphql_schema.reading.declarations import REGISTRY, decode_id, encode_id
from graphql_schema.reading.inputs import comparison_input, filter_input
from graphql_schema.reading.onlookers import Onlookers, Question, filter_values, visible_rows, watched_filter
from graphql_schema.reading.resolvers import visible_ids
from graphql_schema.reading.rows import KEYS
from graphql_schema.social_accounts.types import SocialAccount
from graphql_schema.tenancy.types import Department, Organization, Person
from services.kernel.access import Role
from tests.graphql_schema.reading import oracle
from tests.graphql_schema.reading.planting import START

CONVERSATIONS = "{ conversations(first: 100) { totalCount nodes { id messages { totalCount nodes { id } } } } }"
BY_ID = "query ById($id: ID!) { node(id: $id) { __typename id } }"


def shown(page: dict[str, Any], kind: type) -> set[Any]:
    return {decode_id(each["id"], kind) for each in page["nodes"]}


async def test_an_operator_sees_the_conversations_of_own_departments_and_topics_and_those_held(ask, here):
    operator = here.actor(Role.OPERATOR, "ROADS")
    expected = {row.id for row in filter(oracle.sees(here, operator), here.conversations)}
    assert 0 < len(expected) < len(here.conversations)
    page = (await ask(operator, CONVERSATIONS))["conversations"]
    assert shown(page, Conversation) == expected
    assert page["totalCount"] == len(expected)


async def test_what_a_list_hides_is_null_by_id_as_if_it_were_unknown(ask, here):
    operator = here.actor(Role.OPERATOR, "ROADS")
    is_seen = oracle.sees(here, operator)
    for row in here.conversations[:20]:
        found = (await ask(operator, BY_ID, id=encode_id(Conversation, row.id)))["node"]
        assert (found is not None) == is_seen(row)


async def test_messages_and_deliveries_are_seen_by_whoever_sees_their_conversation(ask, here):
    operator = here.actor(Role.OPERATOR, "ROADS")
    seen = {row.id for row in filter(oracle.sees(here, operator), here.conversations)}
    page = (await ask(operator, CONVERSATIONS))["conversations"]
    messages = {decode_id(each["id"], Message) for node in page["nodes"] for each in node["messages"]["nodes"]}
    assert messages == {each.id for each in here.messages if each.conversation_id in seen}
    deliveries = (await ask(operator, "{ deliveries(first: 100) { totalCount nodes { id } } }"))["deliveries"]
    expected = {each.delivery_id for each in here.messages if each.delivery_id and each.conversation_id in seen}
    assert shown(deliveries, Delivery) == expected
    assert deliveries["totalCount"] == len(expected)


async def test_private_messages_are_hidden_from_whoever_reads_public_conversations_only(ask, here):
    manager = here.actor(Role.MANAGER)
    page = (await ask(manager, CONVERSATIONS))["conversations"]
    public = {row.id for row in here.conversations if row.channel_kind == "PUBLIC"}
    secret = {each.id for each in here.categories if each.name == "Secrets"}
    expected = {row.id for row in here.conversations if row.id in public and row.category_id not in secret}
    assert shown(page, Conversation) == expected
    assert page["totalCount"] == len(expected)


async def test_a_relation_to_a_row_that_the_actor_does_not_see_is_null(ask, here):
    operator = here.actor(Role.OPERATOR, "ROADS")
    reach = operator.grants[0].departments
    document = "{ conversations(first: 100) { nodes { id socialAccount { id } } } }"
    nodes = (await ask(operator, document))["conversations"]["nodes"]
    accounts = {each.id: each for each in here.accounts}
    rows = {each.id: each for each in here.conversations}
    for node in nodes:
        account = accounts[rows[decode_id(node["id"], Conversation)].social_account_id]
        assert (node["socialAccount"] is not None) == (account.owner_department_id in reach)
    assert {node["socialAccount"] is None for node in nodes} == {True, False}


async def test_an_expert_sees_what_the_expert_takes_part_in(ask, here):
    page = (await ask(here.actor(Role.EXPERT), CONVERSATIONS))["conversations"]
    assert shown(page, Conversation) == {here.conversations[0].id}


async def test_an_expert_sees_who_else_takes_part(ask, here):
    document = "{ conversations { nodes { participants { nodes { person { name } } } } } }"
    nodes = (await ask(here.actor(Role.EXPERT), document))["conversations"]["nodes"]
    names = [each["person"]["name"] for each in nodes[0]["participants"]["nodes"]]
    assert sorted(names) == ["Coordinator Hierwijk", "Expert Hierwijk"]


async def test_ids_of_another_organization_lead_nowhere(ask, here, there):
    foreign = [
        encode_id(Organization, there.organization.id),
        encode_id(Department, next(iter(there.organization.departments.values()))),
        encode_id(Person, there.organization.members[Role.OPERATOR]),
        encode_id(SocialAccount, there.accounts[0].id),
        encode_id(Contact, there.contacts[0].id),
        encode_id(Conversation, there.conversations[0].id),
        encode_id(Message, there.messages[0].id),
        encode_id(Delivery, there.deliveries[0].id),
    ]
    for each in foreign:
        assert (await ask(here.coordinator, BY_ID, id=each))["node"] is None
    several = await ask(here.coordinator, "query Several($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=foreign)
    assert several["nodes"] == [None] * len(foreign)
    filtered = "query Filtered($id: ID!) { conversations(filter: {departmentId: {eq: $id}}) { totalCount } }"
    assert (await ask(here.coordinator, filtered, id=foreign[1]))["conversations"]["totalCount"] == 0


EVERYTHING = """
{
  viewer { person { id } organization { id } }
  departments(first: 100) { nodes { id } }
  categories(first: 100) { nodes { id departments { nodes { id } } } }
  socialAccounts(first: 100) { nodes { id } }
  contacts(first: 100) { nodes { id conversations { nodes { id } } } }
  deliveries(first: 100) { nodes { id message { id } } }
  conversations(first: 100) { nodes { id messages { nodes { id author { id } } } waitingSegments { nodes { id } }
    closings { nodes { id } } participants { nodes { id person { id } } } lastMessage { id } } }
}
"""


@pytest.mark.parametrize("role", list(Role))
async def test_no_id_of_one_organization_appears_in_an_answer_to_the_other(schema, reader, here, there, role):
    there_too = there.actor(role) if role in there.organization.members else there.coordinator
    mine, theirs = set[str](), set[str]()
    for actor, ids in ((here.actor(role), mine), (there_too, theirs)):
        result = await schema.execute(EVERYTHING, context_value=reader(actor))
        _collect(result.data, ids)
    assert mine.isdisjoint(theirs)
    assert bool(mine) == (role not in (Role.ADMIN, Role.VIEWER)), "those two may not read conversations at all"


def _collect(value: Any, ids: set[str]) -> None:
    if isinstance(value, dict):
        ids.update(each for name, each in value.items() if name == "id")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _collect(each, ids)


async def test_the_same_answer_comes_for_unknown_foreign_hidden_and_malformed_ids(ask, here, there):
    operator = here.actor(Role.OPERATOR, "ROADS")
    is_seen = oracle.sees(here, operator)
    hidden = next(row for row in here.conversations if not is_seen(row))
    foreign = encode_id(Conversation, there.conversations[0].id)
    unknown = encode_id(Conversation, there.organization.id)
    texts = [foreign, encode_id(Conversation, hidden.id), unknown, "x", "", "ÿ" * 24]
    answers = {orjson.dumps(await ask(operator, BY_ID, id=each)) for each in texts}
    assert answers == {b'{"node":null}'}


async def test_live_events_and_acts_ask_the_same_predicate_and_filter(reader, here, there):
    operator = here.actor(Role.OPERATOR, "ROADS")
    seen = list(filter(oracle.sees(here, operator), here.conversations))
    rows = [*(row.id for row in here.conversations), there.conversations[0].id]
    asked = watched_filter(Conversation, filter_input(Conversation)(opened_at=comparison_input(datetime)(gt=START)))
    async with reader(operator).snapshot() as snapshot:
        assert await visible_ids(snapshot, Conversation, rows) == {row.id for row in seen}
    questions = {"all": visible_rows(Conversation), "few": visible_rows(Conversation, asked)}
    onlookers = Onlookers({name: Question(each) for name, each in questions.items()})
    found: dict[str, set[UUID]] = {"all": set(), "few": set()}
    for row in rows:
        values = {**filter_values(asked), KEYS.key: [row]}
        for name in (await onlookers.ask(reader(operator).reads, [operator], values))[0]:
            found[name].add(row)
    assert found["all"] == {row.id for row in seen}
    assert found["few"] == {row.id for row in seen if row.opened_at > START} != found["all"]


async def test_every_type_with_an_id_was_asked_for_foreign_rows():
    tested = {Organization, Department, Person, SocialAccount, Contact, Conversation, Message, Delivery}
    tested |= {ApiClient, WebhookEndpoint, Export}
    hang_on_another = {
        "Participant",
        "DeprecatedUse",
        "WebhookAttempt",
        "WebhookDelivery",
        "WaitingSegment",
        "Closing",
        "CategoryDepartment",
        "Category",
        "ApiKey",
        "ClientDocument",
    }
    types = {each.python_type for each in REGISTRY.values() if each.tag is not None and "tests" not in each.path}
    assert {each.__name__ for each in types - tested} <= hang_on_another
