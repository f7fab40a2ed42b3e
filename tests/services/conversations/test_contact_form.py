# SPDX-License-Identifier: EUPL-1.2
"""A citizen's submission: what is taken, what is refused and why, and that nothing acknowledged is lost."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from secrets import token_hex
from typing import Any

import orjson
import pytest
from sqlalchemy import update
from sqlmodel import col

from services.conversations.rules import reference_of
from services.kernel.settings import Settings
from services.social_accounts.models import SocialAccount
from services.social_accounts.rules import Lifecycle
from services.tenancy.models import Organization
from services.tenancy.rules import OrganizationState
from tests.support.contact_form import Served, drain, messages, open_form, path_of, raw_events, served
from tests.support.database import connection_as
from tests.support.organizations import TestOrganization

SQL = "'); DROP TABLE belfry.message; --"
EMAILS = ("noor@example.org", "n.o'or+tag@sub.example.org", "noor@bücher.example", "a@b.co")
NOT_EMAILS = (
    "noor",
    "noor@",
    "@example.org",
    "no or@example.org",
    "noor@example",
    "noor@-a.example",
    "a@b@c.org",
    "a@b..c",
)


@pytest.fixture(scope="module")
async def form(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def problems(form: Served, organization: TestOrganization, body: Any, **headers: str) -> list[tuple[str, str]]:
    """The field and code of every error; the request must be refused and nothing kept."""
    before = len(await raw_events(form.runtime, organization))
    async with form.client() as client:
        answer = await client.post(f"/contact/{organization.slug}", json=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert len(await raw_events(form.runtime, organization)) == before
    errors = answer.json()["errors"]
    assert all(error["message"].strip() for error in errors)
    return [(error["field"], error["code"]) for error in errors]


async def test_a_submission_is_kept_before_it_is_acknowledged(form: Served, organization: TestOrganization) -> None:
    await open_form(form.runtime, organization)
    given = {"name": "Noor Bakker", "email": "noor@example.org", "text": "De lamp is stuk.", "language": "nl"}
    async with form.client() as client:
        answer = await client.post(f"/contact/{organization.slug}", json=given)
        kept = await raw_events(form.runtime, organization)
    assert answer.status_code == 202
    assert set(answer.json()) == {"reference", "statusUrl"}
    [event] = kept
    assert answer.json()["reference"] == reference_of(event.external_id)
    body = orjson.loads(event.body)
    assert body == given | {"reference": answer.json()["reference"], "thread": event.external_id}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"] == answer.json()["statusUrl"]


async def test_only_the_text_is_needed(form: Served, organization: TestOrganization) -> None:
    account = await open_form(form.runtime, organization)
    async with form.client() as client:
        for body in ({"text": "Hallo"}, {"text": "Hallo", "name": None, "email": "", "language": " ", "other": [1]}):
            assert (await client.post(f"/contact/{organization.slug}", json=body)).status_code == 202
    await drain(form.runtime, organization, account)
    assert [each.text for each in await messages(form.runtime, organization)] == ["Hallo", "Hallo"]


async def test_the_text_has_ten_thousand_characters_at_most(form: Served, organization: TestOrganization) -> None:
    account = await open_form(form.runtime, organization)
    async with form.client() as client:
        for letter in ("x", "é", "😀"):
            answer = await client.post(f"/contact/{organization.slug}", content=orjson.dumps({"text": letter * 10_000}),
                                       headers={"Content-Type": "application/json"})  # fmt: skip
            assert answer.status_code == 202, letter
    assert await problems(form, organization, {"text": "x" * 10_001}) == [("text", "TOO_LONG")]
    await drain(form.runtime, organization, account)
    assert [len(each.text) for each in await messages(form.runtime, organization)] == [10_000] * 3


async def test_every_wrong_field_is_named_at_once(form: Served, organization: TestOrganization) -> None:
    await open_form(form.runtime, organization)
    wrong = {"text": " \n", "name": "n" * 201, "email": "nobody", "language": "nl_BE"}
    assert await problems(form, organization, wrong) == [
        ("text", "REQUIRED"),
        ("name", "TOO_LONG"),
        ("email", "INVALID"),
        ("language", "INVALID"),
    ]
    assert await problems(form, organization, {}) == [("text", "REQUIRED")]
    assert await problems(form, organization, {"text": 7, "name": []}) == [("text", "INVALID"), ("name", "INVALID")]


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("name", ("n" * 200, "Zoë\u202eBakker"), ("n" * 201,)),
        (
            "email",
            (*EMAILS, "a" * 64 + "@" + ("b" * 62 + ".") * 2 + "b" * 60 + ".be"),
            (*NOT_EMAILS, "a" * 65 + "@b.be"),
        ),
        ("language", ("nl", "fr-BE", "zgh-Tfng-MA"), ("n", "nederlands", "nl_BE", "nl-", "a-b-c-d-e-f")),
    ],
)
async def test_the_bounds_of_the_optional_fields(
    form: Served, organization: TestOrganization, field: str, good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    await open_form(form.runtime, organization)
    async with form.client() as client:
        for value in good:
            answer = await client.post(f"/contact/{organization.slug}", json={"text": "x", field: value})
            assert answer.status_code == 202, value
    for value in bad:
        [(named, _)] = await problems(form, organization, {"text": "x", field: value})
        assert named == field, value


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff", b'{"text": "\\ud83d"}', b"NaN"])
async def test_a_body_that_cannot_be_read_is_refused(form: Served, organization: TestOrganization, body: bytes) -> None:
    await open_form(form.runtime, organization)
    async with form.client() as client:
        answer = await client.post(
            f"/contact/{organization.slug}", content=body, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 400
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(None, "INVALID")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {},
    ],
)
async def test_other_kinds_of_content_are_refused(
    form: Served, organization: TestOrganization, headers: Mapping[str, str]
) -> None:
    await open_form(form.runtime, organization)
    async with form.client() as client:
        answer = await client.post(f"/contact/{organization.slug}", content=b'{"text": "x"}', headers=headers)
    assert answer.status_code == 415
    assert answer.json()["errors"][0]["code"] == "UNSUPPORTED_MEDIA_TYPE"
    assert await raw_events(form.runtime, organization) == []


async def test_an_unknown_organization_and_one_without_a_form_cannot_be_told_apart(
    form: Served, organization: TestOrganization, other_organization: TestOrganization
) -> None:
    await open_form(form.runtime, other_organization)
    async with form.runtime.database.unit_of_work(other_organization.system) as uow:
        await uow.write(
            update(Organization)
            .where(col(Organization.tenant_id) == uow.tenant_id)
            .values(state=OrganizationState.SUSPENDED)
        )
    answers = []
    async with form.client() as client:
        for slug in (organization.slug, other_organization.slug, "no-such-town", "NO", "x" * 300, "a%00b"):
            posted = await client.post(f"/contact/{slug}", json={"text": "x"})
            page = await client.get(f"/contact/{slug}")
            answers.append((posted.status_code, posted.content, page.status_code, page.content))
    assert set(answers) == {answers[0]}
    assert answers[0][0] == answers[0][2] == 404
    assert b"NOT_FOUND" in answers[0][1]


async def test_a_form_whose_account_is_being_closed_takes_nothing_in(
    form: Served, organization: TestOrganization
) -> None:
    account = await open_form(form.runtime, organization)
    async with form.runtime.database.unit_of_work(organization.system) as uow:
        await uow.write(
            update(SocialAccount)
            .where(col(SocialAccount.tenant_id) == uow.tenant_id, col(SocialAccount.id) == account)
            .values(lifecycle=Lifecycle.CLOSING)
        )
    async with form.client() as client:
        assert (await client.post(f"/contact/{organization.slug}", json={"text": "x"})).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_refused(form: Served, organization: TestOrganization, method: str) -> None:
    await open_form(form.runtime, organization)
    async with form.client() as client:
        answer = await client.request(method, f"/contact/{organization.slug}")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


async def test_what_looks_like_code_is_only_text(form: Served, organization: TestOrganization) -> None:
    account = await open_form(form.runtime, organization)
    async with form.client() as client:
        answer = await client.post(f"/contact/{organization.slug}", json={"text": SQL + "\x00\x07", "name": SQL})
        path = path_of(answer.json()["statusUrl"])
        for _ in range(2):
            shown = (await client.get(path, headers={"Accept": "application/json"})).json()
            assert [each["text"] for each in shown["messages"]] == [SQL + "\ufffd\ufffd"]
            await drain(form.runtime, organization, account)
    assert [each.text for each in await messages(form.runtime, organization)] == [SQL + "\ufffd\ufffd"]


async def test_the_same_key_and_content_are_one_submission_however_often_they_come(
    form: Served, organization: TestOrganization, other_organization: TestOrganization
) -> None:
    await open_form(form.runtime, organization)
    await open_form(form.runtime, other_organization)
    key = token_hex(16)
    async with form.client(headers={"Idempotency-Key": key}) as client:
        answers = await asyncio.gather(
            *(client.post(f"/contact/{organization.slug}", json={"text": "x"}) for _ in range(20))
        )
        quoted = await client.post(
            f"/contact/{organization.slug}", json={"text": "x"}, headers={"Idempotency-Key": f'"{key}"'}
        )
        elsewhere = await client.post(f"/contact/{other_organization.slug}", json={"text": "x"})
    assert {(answer.status_code, answer.content) for answer in [*answers, quoted]} == {(202, answers[0].content)}
    assert elsewhere.status_code == 202
    assert elsewhere.json()["reference"] != answers[0].json()["reference"]
    assert len(await raw_events(form.runtime, organization)) == 1
    async with form.client() as client:
        assert (await client.get(path_of(answers[0].json()["statusUrl"]))).status_code == 200


async def test_a_key_with_another_content_is_refused_and_leads_nobody_to_the_first_page(
    form: Served, organization: TestOrganization
) -> None:
    await open_form(form.runtime, organization)
    async with form.client(headers={"Idempotency-Key": "k" * 16}) as client:
        first = await client.post(f"/contact/{organization.slug}", json={"text": "mine"})
        other = await client.post(f"/contact/{organization.slug}", json={"text": "yours"})
        again = await client.post(f"/contact/{organization.slug}", json={"text": "mine"})
    assert (first.status_code, other.status_code) == (202, 422)
    assert again.content == first.content
    assert [error["code"] for error in other.json()["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert len(await raw_events(form.runtime, organization)) == 1


@pytest.mark.parametrize("key", ["", "short", "k" * 201, "with a space in it all", "é" * 16])
async def test_a_key_that_could_be_guessed_is_refused(form: Served, organization: TestOrganization, key: str) -> None:
    await open_form(form.runtime, organization)
    async with form.client() as client:
        answer = await client.post(
            f"/contact/{organization.slug}", json={"text": "x"}, headers={b"Idempotency-Key": key.encode()}
        )
    assert answer.status_code == 400
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [("Idempotency-Key", "INVALID")]


async def test_without_a_key_the_same_words_are_two_submissions(form: Served, organization: TestOrganization) -> None:
    await open_form(form.runtime, organization)
    async with form.client() as client:
        urls = {(await client.post(f"/contact/{organization.slug}", json={"text": "x"})).json()["statusUrl"]
                for _ in range(2)}  # fmt: skip
    assert len(urls) == len(await raw_events(form.runtime, organization)) == 2


async def test_a_submission_that_cannot_be_kept_is_not_acknowledged_and_its_repeat_succeeds(
    form: Served, organization: TestOrganization, database_urls: Mapping[str, str]
) -> None:
    await open_form(form.runtime, organization)
    async with form.client(headers={"Idempotency-Key": token_hex(16)}) as client:
        async with connection_as(database_urls, "postgres") as blocker, blocker.transaction():
            await blocker.execute("LOCK TABLE belfry.raw_event IN ACCESS EXCLUSIVE MODE")
            refused = await client.post(f"/contact/{organization.slug}", json={"text": "x"})
        kept = await raw_events(form.runtime, organization)
        repeated = await client.post(f"/contact/{organization.slug}", json={"text": "x"})
        page = await client.get(path_of(repeated.json()["statusUrl"]))
    assert (refused.status_code, kept) == (503, [])
    assert int(refused.headers["retry-after"]) > 0
    assert (repeated.status_code, page.status_code) == (202, 200)
    assert len(await raw_events(form.runtime, organization)) == 1


async def test_without_a_database_the_form_says_when_to_come_again(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql+asyncpg://belfry_app@127.0.0.1:1/belfry"})
    async with served(away) as form, form.client() as client:
        answer = await client.post("/contact/some-town", json={"text": "x"})
        page = await client.get("/contact/some-town", headers={"Accept-Language": "nl"})
    assert (answer.status_code, page.status_code) == (503, 503)
    assert answer.json()["errors"][0]["code"] == "SERVICE_UNAVAILABLE"
    assert int(answer.headers["retry-after"]) > 0
    assert "Probeer het zo dadelijk opnieuw" in page.text
