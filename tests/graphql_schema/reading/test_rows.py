# SPDX-License-Identifier: EUPL-1.2
"""Rows, relations and objects over the same row, as an inbox shows them."""

from datetime import UTC, datetime

from graphql_schema.conversations.types import Conversation
from graphql_schema.reading.declarations import decode_id, encode_id
from services.conversations.rules import Priority
from services.kernel.serialization import print_instant

INBOX = """
query Inbox($first: Int) {
  conversations(first: $first) {
    totalCount isTotalCountExact
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { id } }
    nodes {
      __typename id version state priority openedAt nextContactDueAt
      department { id name }
      category { name responsibleDepartment { name } departments { nodes { isResponsible department { code } } } }
      socialAccount { network handle ownerDepartment { code } } contact { displayName }
      claim { holder { name } fence leaseUntil }
      lastMessage { id text occurredAt author { name } delivery { id state message { id } } }
      messages(first: 3) { totalCount nodes { id text direction occurredAt } }
      waitingSegments { nodes { wallSeconds isFirst } }
      closings { nodes { outcome text } }
      participants { nodes { kind person { name } } }
    }
  }
}
"""


async def test_an_inbox_shows_each_conversation_with_everything_around_it(ask, here):
    data = await ask(here.coordinator, INBOX, first=100)
    page = data["conversations"]
    assert page["totalCount"] == len(here.conversations)
    assert page["isTotalCountExact"] is True
    assert [each["node"]["id"] for each in page["edges"]] == [each["id"] for each in page["nodes"]]
    ordered = sorted(here.conversations, key=lambda each: (each.due_order, each.id))
    assert [decode_id(each["id"], Conversation) for each in page["nodes"]] == [each.id for each in ordered]
    names = {each.id: each for each in (*here.accounts, *here.categories, *here.contacts)}
    for shown, row in zip(page["nodes"], ordered, strict=True):
        assert shown["state"] == row.state.value
        assert shown["priority"] == Priority(row.priority).name
        assert shown["openedAt"] == print_instant(row.opened_at)
        assert (shown["nextContactDueAt"] is None) == (row.next_contact_due_at is None)
        assert shown["socialAccount"]["handle"] == names[row.social_account_id].handle
        assert shown["contact"]["displayName"] == names[row.contact_id].display_name
        assert (shown["category"] or {}).get("name") == (names[row.category_id].name if row.category_id else None)
        assert len(shown["waitingSegments"]["nodes"]) == 1
        assert len(shown["closings"]["nodes"]) == (row.state == "CLOSED")


async def test_a_claim_is_shown_only_while_its_lease_runs(ask, here):
    data = await ask(here.coordinator, INBOX, first=100)
    shown = {decode_id(each["id"], Conversation): each["claim"] for each in data["conversations"]["nodes"]}
    for row in here.conversations:
        if row.lease_until is not None and row.lease_until > datetime.now(UTC):
            assert shown[row.id]["fence"] == row.fence
            assert shown[row.id]["holder"]["name"] == "Operator Hierwijk"
            assert shown[row.id]["leaseUntil"] == print_instant(row.lease_until)
        else:
            assert shown[row.id] is None
    assert any(shown.values())
    assert any(each.lease_until is not None and shown[each.id] is None for each in here.conversations)


async def test_messages_come_oldest_first_and_the_last_one_is_the_newest(ask, here):
    data = await ask(here.coordinator, INBOX, first=100)
    for shown in data["conversations"]["nodes"]:
        row_id = decode_id(shown["id"], Conversation)
        expected = here.messages_of(next(each for each in here.conversations if each.id == row_id))
        assert shown["messages"]["totalCount"] == len(expected)
        assert [each["text"] for each in shown["messages"]["nodes"]] == [each.text for each in expected[:3]]
        last = shown["lastMessage"]
        assert (last and last["text"]) == (expected[-1].text if expected else None)
        if last and last["delivery"]:
            assert last["delivery"]["message"]["id"] == last["id"]


async def test_a_viewer_learns_who_is_asking_and_what_it_may_do(ask, here):
    data = await ask(here.coordinator, "{ viewer { person { name } organization { id name slug } roles permissions } }")
    assert data["viewer"]["person"] == {"name": "Coordinator Hierwijk"}
    assert data["viewer"]["organization"]["slug"] == here.organization.slug
    assert data["viewer"]["roles"] == ["COORDINATOR"]
    assert "conversations:take_over" in data["viewer"]["permissions"]


async def test_a_topic_names_the_department_that_answers_for_it(ask, here):
    data = await ask(here.coordinator, "{ categories { nodes { name responsibleDepartment { id } } } }")
    assert [each["name"] for each in data["categories"]["nodes"]] == ["Lamps", "Potholes", "Secrets"]
    from graphql_schema.tenancy.types import Department

    expected = [encode_id(Department, each) for each in list(here.organization.departments.values())[:3]]
    assert [each["responsibleDepartment"]["id"] for each in data["categories"]["nodes"]] == expected
