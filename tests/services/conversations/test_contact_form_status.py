# SPDX-License-Identifier: EUPL-1.2
"""The status page: what the citizen said, what was published to them, and nothing else; and a place to go on."""

from collections.abc import AsyncIterator
from datetime import timedelta
from secrets import token_hex, token_urlsafe
from typing import Any

import orjson
import pytest
from sqlalchemy import update
from sqlmodel import col

from services.conversations import commands
from services.conversations.models import Contact, Conversation, Message
from services.conversations.rules import Direction, Outcome, ReplyPurpose
from services.deliveries import commands as deliveries
from services.kernel.access import Role
from services.kernel.isolation import owned
from services.kernel.settings import Settings
from services.social_accounts.models import RawEvent, SocialAccount
from services.social_accounts.rules import Lifecycle
from tests.support.contact_form import (
    Served,
    conversations,
    drain,
    messages,
    open_form,
    path_of,
    publish,
    raw_events,
    reply,
    served,
)
from tests.support.organizations import TestOrganization

JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
async def form(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def asked(form: Served, organization: TestOrganization, **fields: Any) -> str:
    """The path of the status page of a new submission."""
    async with form.client() as client:
        body = {"text": "De lamp is stuk.", "language": "nl"} | fields
        return path_of((await client.post(f"/contact/{organization.slug}", json=body)).json()["statusUrl"])


async def went_on(form: Served, path: str, text: str) -> None:
    async with form.client() as client:
        answer = await client.post(path, json={"text": text})
    assert answer.status_code == 202
    assert path_of(answer.json()["statusUrl"]) == path


async def shown(form: Served, path: str) -> dict[str, Any]:
    async with form.client() as client:
        answer = await client.get(path, headers=JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


async def said(form: Served, path: str) -> tuple[str, list[tuple[str, str | None]]]:
    """The state, and every message as (direction, text); the HTML page must tell the same texts."""
    seen = await shown(form, path)
    async with form.client() as client:
        page = (await client.get(path)).text
    assert all(each["text"] is None or each["text"] in page for each in seen["messages"])
    return seen["state"], [(each["direction"], each["text"]) for each in seen["messages"]]


async def test_a_question_is_shown_before_anybody_has_taken_it_in(form: Served, organization: TestOrganization) -> None:
    account = await open_form(form.runtime, organization)
    path = await asked(form, organization)
    seen = await shown(form, path)
    assert set(seen) == {"reference", "state", "acknowledgement", "messages"}
    assert seen["reference"] in seen["acknowledgement"]
    assert await said(form, path) == ("RECEIVED", [("INBOUND", "De lamp is stuk.")])
    await drain(form.runtime, organization, account)
    assert await said(form, path) == ("OPEN", [("INBOUND", "De lamp is stuk.")])
    [conversation] = await conversations(form.runtime, organization)
    assert conversation.reference == seen["reference"]


async def test_an_answer_appears_when_it_is_published_and_not_before(
    form: Served, organization: TestOrganization
) -> None:
    account = await open_form(form.runtime, organization)
    path = await asked(form, organization)
    await drain(form.runtime, organization, account)
    delivery = await reply(form.runtime, organization, "Woensdag brandt hij weer.")
    assert await said(form, path) == ("OPEN", [("INBOUND", "De lamp is stuk.")])
    await publish(form.runtime, organization, delivery)
    answered = [("INBOUND", "De lamp is stuk."), ("OUTBOUND", "Woensdag brandt hij weer.")]
    assert await said(form, path) == ("ANSWERED", answered)
    async with form.client() as client:
        page = (await client.get(path)).text
    assert "Coordinator" not in page
    assert "Beantwoord" in page


async def test_a_failed_answer_never_appears(form: Served, organization: TestOrganization) -> None:
    account = await open_form(form.runtime, organization)
    path = await asked(form, organization)
    await drain(form.runtime, organization, account)
    delivery = await reply(form.runtime, organization, "SECRET DRAFT")
    async with form.runtime.database.unit_of_work(organization.system) as uow:
        attempt = await deliveries.begin(uow, delivery_id=delivery, check_schedule=(10,))
        assert attempt is not None
        await deliveries.record_refused(uow, attempt, "REFUSED")
    async with form.runtime.database.unit_of_work(organization.system) as uow:
        await commands.record_failed(uow, delivery_id=delivery, error="REFUSED")
    assert await said(form, path) == ("OPEN", [("INBOUND", "De lamp is stuk.")])


async def test_an_acknowledgement_of_a_person_is_shown_and_answers_nothing(
    form: Served, organization: TestOrganization
) -> None:
    account = await open_form(form.runtime, organization)
    path = await asked(form, organization)
    await drain(form.runtime, organization, account)
    delivery = await reply(form.runtime, organization, "Wij kijken ernaar.", ReplyPurpose.ACKNOWLEDGEMENT)
    await publish(form.runtime, organization, delivery)
    state, entries = await said(form, path)
    assert (state, entries[-1]) == ("OPEN", ("OUTBOUND", "Wij kijken ernaar."))


async def test_a_follow_up_joins_its_conversation_and_keeps_the_name(
    form: Served, organization: TestOrganization
) -> None:
    account = await open_form(form.runtime, organization)
    path = await asked(form, organization, name="Noor Bakker", email="noor@example.org")
    await drain(form.runtime, organization, account)
    delivery = await reply(form.runtime, organization, "Welke lamp?", ReplyPurpose.CLARIFYING_QUESTION)
    await publish(form.runtime, organization, delivery)
    assert (await said(form, path))[0] == "WAITING_ON_CITIZEN"
    await went_on(form, path, "Nummer 40213.")
    entries = [("INBOUND", "De lamp is stuk."), ("OUTBOUND", "Welke lamp?"), ("INBOUND", "Nummer 40213.")]
    assert await said(form, path) == ("OPEN", entries)
    await drain(form.runtime, organization, account)
    assert await said(form, path) == ("OPEN", entries)
    [conversation] = await conversations(form.runtime, organization)
    assert {each.conversation_id for each in await messages(form.runtime, organization)} == {conversation.id}
    async with form.runtime.database.snapshot(organization.system) as snapshot:
        contact = await snapshot.one(owned(Contact))
    assert (contact.display_name, contact.email) == ("Noor Bakker", "noor@example.org")


async def test_follow_ups_that_come_in_before_the_first_was_taken_in_are_one_conversation_in_order(
    form: Served, organization: TestOrganization
) -> None:
    account = await open_form(form.runtime, organization)
    path, other = await asked(form, organization), await asked(form, organization, text="Iets anders")
    for number in range(3):
        await went_on(form, path, f"En nog iets: {number}")
    entries = [("INBOUND", "De lamp is stuk."), *(("INBOUND", f"En nog iets: {number}") for number in range(3))]
    assert await said(form, path) == ("RECEIVED", entries)
    await drain(form.runtime, organization, account)
    assert await said(form, path) == ("OPEN", entries)
    assert await said(form, other) == ("OPEN", [("INBOUND", "Iets anders")])
    assert len(await conversations(form.runtime, organization)) == 2


async def test_a_follow_up_with_a_key_is_kept_once(form: Served, organization: TestOrganization) -> None:
    await open_form(form.runtime, organization)
    path, other = await asked(form, organization), await asked(form, organization)
    key = {"Idempotency-Key": token_hex(16)}
    async with form.client() as client:
        answers = [await client.post(path, json={"text": "Nog iets"}, headers=key) for _ in range(3)]
        reused = await client.post(path, json={"text": "Iets anders"}, headers=key)
        elsewhere = await client.post(other, json={"text": "Iets anders"}, headers=key)
    assert [answer.status_code for answer in [*answers, reused, elsewhere]] == [202, 202, 202, 422, 202]
    assert (await said(form, path))[1][1:] == [("INBOUND", "Nog iets")]
    assert len(await raw_events(form.runtime, organization)) == 4


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"text": ""}, 400, "REQUIRED"),
        ({"text": "x" * 10_001}, 400, "TOO_LONG"),
        ({"text": 7}, 400, "INVALID"),
        ({"text": "x" * 66_000}, 413, "PAYLOAD_TOO_LARGE"),
    ],
)
async def test_a_follow_up_has_the_bounds_of_a_question(
    form: Served, organization: TestOrganization, body: dict[str, Any], status: int, code: str
) -> None:
    await open_form(form.runtime, organization)
    path = await asked(form, organization)
    async with form.client() as client:
        answer = await client.post(path, json=body)
        odd = await client.post(path, content="text", headers={"Content-Type": "text/plain"})
        whole = await client.post(path, json={"text": "x" * 10_000})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)
    assert (odd.status_code, whole.status_code) == (415, 202)


async def test_a_closed_question_says_so_and_a_follow_up_opens_it_again(
    form: Served, organization: TestOrganization
) -> None:
    account = await open_form(form.runtime, organization)
    path = await asked(form, organization)
    await drain(form.runtime, organization, account)
    await close(form, organization, "INTERNAL REMARK")
    assert await said(form, path) == ("CLOSED", [("INBOUND", "De lamp is stuk.")])
    async with form.client() as client:
        assert "INTERNAL REMARK" not in (await client.get(path)).text
    await went_on(form, path, "Hij is weer stuk.")
    await drain(form.runtime, organization, account)
    assert (await said(form, path))[0] == "OPEN"
    assert len(await conversations(form.runtime, organization)) == 1


async def test_after_the_reopen_window_the_page_goes_on_over_two_conversations(
    form: Served, organization: TestOrganization
) -> None:
    account = await open_form(form.runtime, organization)
    path = await asked(form, organization)
    await drain(form.runtime, organization, account)
    await close(form, organization, "klaar")
    async with form.runtime.database.unit_of_work(organization.system) as uow:
        await uow.write(
            update(Conversation)
            .where(col(Conversation.tenant_id) == uow.tenant_id)
            .values(closed_at=uow.now - timedelta(days=60))
        )
    await went_on(form, path, "Twee maanden later")
    await drain(form.runtime, organization, account)
    assert [each.episode for each in await conversations(form.runtime, organization)] == [1, 2]
    await publish(form.runtime, organization, await reply(form.runtime, organization, "Dag opnieuw"))
    assert await said(form, path) == (
        "ANSWERED",
        [("INBOUND", "De lamp is stuk."), ("INBOUND", "Twee maanden later"), ("OUTBOUND", "Dag opnieuw")],
    )


async def test_deleted_messages_are_shown_as_deleted(form: Served, organization: TestOrganization) -> None:
    account = await open_form(form.runtime, organization)
    path = await asked(form, organization)
    await drain(form.runtime, organization, account)
    await publish(form.runtime, organization, await reply(form.runtime, organization, "TAKEN BACK"))
    async with form.runtime.database.unit_of_work(organization.system) as uow:
        await uow.write(
            update(Message)
            .where(col(Message.tenant_id) == uow.tenant_id, col(Message.direction) == Direction.OUTBOUND)
            .values(deleted_at=uow.now)
        )
    assert [each["deleted"] for each in (await shown(form, path))["messages"]] == [False, True]
    assert (await said(form, path))[1][1] == ("OUTBOUND", None)
    async with form.client() as client:
        page = (await client.get(path)).text
    assert "TAKEN BACK" not in page
    assert "Dit bericht is verwijderd." in page


async def test_a_link_opens_nothing_under_another_organization(
    form: Served, organization: TestOrganization, other_organization: TestOrganization
) -> None:
    for each in (organization, other_organization):
        await open_form(form.runtime, each)
    token = (await asked(form, organization)).rpartition("/")[2]
    answers = set()
    async with form.client() as client:
        for slug, secret in (
            (other_organization.slug, token),
            (other_organization.slug, token_urlsafe(32)),
            (organization.slug, token[:-1] + ("A" if token[-1] != "A" else "B")),
            (organization.slug, token[:-1]),
            (organization.slug, token.swapcase()),
            ("no-such-town", token),
        ):
            path = f"/contact/{slug}/{secret}"
            read, written = await client.get(path, headers=JSON), await client.post(path, json={"text": "x"})
            answers.add((read.status_code, read.content, written.status_code, written.content))
        assert (await client.get(f"/contact/{organization.slug}/{token}")).status_code == 200
    assert [(read, written) for read, _, written, _ in answers] == [(404, 404)]
    assert len(await raw_events(form.runtime, organization)) == 1
    assert await raw_events(form.runtime, other_organization) == []


async def test_a_page_outlives_its_form_but_takes_nothing_more(form: Served, organization: TestOrganization) -> None:
    account = await open_form(form.runtime, organization)
    path = await asked(form, organization)
    async with form.runtime.database.unit_of_work(organization.system) as uow:
        await uow.write(
            update(SocialAccount)
            .where(col(SocialAccount.tenant_id) == uow.tenant_id, col(SocialAccount.id) == account)
            .values(lifecycle=Lifecycle.CLOSED)
        )
    assert await said(form, path) == ("RECEIVED", [("INBOUND", "De lamp is stuk.")])
    async with form.client() as client:
        page, written = await client.get(path), await client.post(path, json={"text": "x"})
    assert "Het formulier is gesloten" in page.text
    assert "<form" not in page.text
    assert written.status_code == 404


async def test_a_door_without_a_submission_leads_nowhere(form: Served, organization: TestOrganization) -> None:
    """What a process leaves behind that dies between the two commits."""
    await open_form(form.runtime, organization)
    path = await asked(form, organization)
    async with form.runtime.database.unit_of_work(organization.system) as uow:
        for each in await uow.scalars(owned(RawEvent)):
            each.external_id = f"gone-{each.external_id}"
    async with form.client() as client:
        assert (await client.get(path)).status_code == 404


async def test_the_page_shows_the_newest_two_hundred(form: Served, organization: TestOrganization) -> None:
    account = await open_form(form.runtime, organization)
    path = await asked(form, organization)
    [first] = await raw_events(form.runtime, organization)
    body = orjson.loads(first.body)
    async with form.runtime.database.unit_of_work(organization.system) as uow:
        for number in range(250):
            uow.add(
                RawEvent(
                    tenant_id=organization.id,
                    social_account_id=account,
                    kind=first.kind,
                    external_id=f"{first.external_id}.{number:03}",
                    version=first.version,
                    occurred_at=uow.now + timedelta(seconds=number),
                    body=orjson.dumps(body | {"text": f"Nummer {number:03}"}),
                )
            )
    for state in ("RECEIVED", "OPEN"):
        seen = await said(form, path)
        assert (seen[0], len(seen[1])) == (state, 200)
        assert seen[1][-1] == ("INBOUND", "Nummer 249")
        assert seen[1] == sorted(seen[1], key=lambda entry: entry[1] or "")
        await drain(form.runtime, organization, account)


async def close(form: Served, organization: TestOrganization, text: str) -> None:
    [conversation] = await conversations(form.runtime, organization)
    async with form.runtime.database.unit_of_work(organization.actor(Role.COORDINATOR)) as uow:
        await commands.close(
            uow,
            conversation_id=conversation.id,
            outcome=Outcome.RESOLVED,
            text=text,
            expected_version=conversation.version,
        )
