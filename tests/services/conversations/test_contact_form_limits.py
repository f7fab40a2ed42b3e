# SPDX-License-Identifier: EUPL-1.2
"""What the form withstands: floods, large and slow bodies, forged addresses, and a Valkey that is away."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import orjson
import pytest

from services.conversations.routes import contact, receiving
from services.kernel.rates import RateCounter
from services.kernel.settings import Settings
from tests.support.contact_form import Served, new_address, open_form, path_of, raw_events, served
from tests.support.organizations import TestOrganization

BODY_BYTES_MAX = 64 * 1024


@pytest.fixture(scope="module")
async def form(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def statuses(form: Served, slug: str, count: int, *, address: str, **headers: str) -> list[int]:
    """What an address gets that posts the same unusable submission again and again."""
    async with form.client(address) as client:
        return [
            (await client.post(f"/contact/{slug}", json={"text": ""}, headers=headers)).status_code
            for _ in range(count)
        ]


async def test_the_sixty_first_of_an_address_within_a_minute_is_refused(
    form: Served, organization: TestOrganization
) -> None:
    await open_form(form.runtime, organization)
    address = new_address()
    assert await statuses(form, organization.slug, 62, address=address) == [400] * 60 + [429] * 2
    async with form.client(address) as client:
        refused = await client.post(f"/contact/{organization.slug}", json={"text": "x"})
        page = await client.post(f"/contact/{organization.slug}", data={"text": "x"}, headers={"Accept-Language": "fr"})
        assert (await client.get(f"/contact/{organization.slug}")).status_code == 200
    assert refused.json()["errors"][0]["code"] == "THROTTLED"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "Réessayez dans une minute" in page.text
    assert await raw_events(form.runtime, organization) == []
    async with form.client() as client:
        assert (await client.post(f"/contact/{organization.slug}", json={"text": "x"})).status_code == 202


async def test_questions_and_follow_ups_of_an_address_are_counted_together(
    form: Served, organization: TestOrganization
) -> None:
    await open_form(form.runtime, organization)
    address = new_address()
    async with form.client(address) as client:
        path = path_of((await client.post(f"/contact/{organization.slug}", json={"text": "x"})).json()["statusUrl"])
        assert await statuses(form, organization.slug, 58, address=address) == [400] * 58
        assert (await client.post(path, json={"text": "x"})).status_code == 202
        assert (await client.post(path, json={"text": "x"})).status_code == 429


async def test_the_six_hundred_and_first_of_an_organization_is_refused_wherever_it_comes_from(
    form: Served, organization: TestOrganization, other_organization: TestOrganization
) -> None:
    for each in (organization, other_organization):
        await open_form(form.runtime, each)
    counter = RateCounter(form.runtime.valkey, secret=form.runtime.vault.derive("rate limits"))
    for _ in range(592):
        assert (await counter.take(contact.BY_ORGANIZATION, str(organization.id))).allowed
    answers = []
    for _ in range(9):
        async with form.client() as client:
            answers.append(await client.post(f"/contact/{organization.slug}", json={"text": "x"}))
    assert [answer.status_code for answer in answers] == [202] * 8 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert len(await raw_events(form.runtime, organization)) == 8
    async with form.client() as client:
        assert (await client.post(f"/contact/{other_organization.slug}", json={"text": "x"})).status_code == 202


async def test_an_unusable_submission_does_not_count_for_the_organization(
    form: Served, organization: TestOrganization
) -> None:
    await open_form(form.runtime, organization)
    counter = RateCounter(form.runtime.valkey, secret=form.runtime.vault.derive("rate limits"))
    for _ in range(599):
        await counter.take(contact.BY_ORGANIZATION, str(organization.id))
    assert await statuses(form, organization.slug, 3, address=new_address()) == [400] * 3
    async with form.client() as client:
        sent = [(await client.post(f"/contact/{organization.slug}", json={"text": "x"})).status_code for _ in range(2)]
    assert sent == [202, 429]


async def test_a_forged_header_gives_nobody_another_address(settings: Settings, organization: TestOrganization) -> None:
    async with served(settings) as form:
        await open_form(form.runtime, organization)
        got = []
        async with form.client() as client:
            for number in range(61):
                forged = {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
                answer = await client.post(f"/contact/{organization.slug}", json={"text": ""}, headers=forged)
                got.append(answer.status_code)
    assert got == [400] * 60 + [429]


async def test_behind_a_trusted_proxy_the_senders_are_told_apart(
    settings: Settings, organization: TestOrganization
) -> None:
    address = new_address()
    async with served(settings, trusted_proxy=address) as form:
        await open_form(form.runtime, organization)
        senders = [new_address() for _ in range(3)]
        for sender in senders:
            got = await statuses(form, organization.slug, 31, address=address, **{"X-Forwarded-For": sender})
            assert got == [400] * 31
        got = await statuses(form, organization.slug, 30, address=address, **{"X-Forwarded-For": senders[-1]})
        assert got == [400] * 29 + [429]


@pytest.mark.parametrize("away", ["redis://127.0.0.1:1/0", "unix:///nowhere/at/all"])
async def test_without_valkey_the_form_keeps_answering_and_keeps_its_limit(
    settings: Settings, organization: TestOrganization, away: str
) -> None:
    async with served(settings.model_copy(update={"valkey_url": away})) as form:
        await open_form(form.runtime, organization)
        address = new_address()
        async with form.client(address) as client:
            assert (await client.post(f"/contact/{organization.slug}", json={"text": "x"})).status_code == 202
        assert await statuses(form, organization.slug, 60, address=address) == [400] * 59 + [429]
        assert len(await raw_events(form.runtime, organization)) == 1


async def test_a_valkey_that_never_answers_costs_a_moment_once(
    settings: Settings, organization: TestOrganization
) -> None:
    connections = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    async with served(settings.model_copy(update={"valkey_url": url})) as form:
        await open_form(form.runtime, organization)
        async with form.client() as client:
            answer = await client.post(f"/contact/{organization.slug}", json={"text": "x"})
    server.close()
    assert answer.status_code == 202
    assert connections


def in_chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


@pytest.mark.parametrize(("chunked", "largest"), [(False, 3_000_000), (True, 1_000_000)])
async def test_a_body_has_sixty_four_kibibytes_at_most(
    form: Served, organization: TestOrganization, chunked: bool, largest: int
) -> None:
    await open_form(form.runtime, organization)
    codes = []
    async with form.client() as client:
        for size in (BODY_BYTES_MAX - 1, BODY_BYTES_MAX, BODY_BYTES_MAX + 1, largest):
            body = orjson.dumps({"text": "x"}).ljust(size)
            assert len(body) == size

            async def chunks(body: bytes = body) -> AsyncIterator[bytes]:
                for chunk in in_chunks(body):
                    yield chunk

            answer = await client.post(
                f"/contact/{organization.slug}",
                content=chunks() if chunked else body,
                headers={"Content-Type": "application/json"},
            )
            codes.append(answer.status_code)
    assert codes == [202, 202, 413, 413]
    assert len(await raw_events(form.runtime, organization)) == 2


async def test_a_large_form_is_refused_with_a_page(form: Served, organization: TestOrganization) -> None:
    await open_form(form.runtime, organization)
    async with form.client() as client:
        answer = await client.post(f"/contact/{organization.slug}?language=de", data={"text": "x" * BODY_BYTES_MAX})
    assert answer.status_code == 413
    assert "Diese Nachricht ist zu groß." in answer.text


async def test_a_body_that_does_not_come_to_its_end_is_given_up(
    form: Served, organization: TestOrganization, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_form(form.runtime, organization)
    monkeypatch.setattr(receiving, "RECEIVE_SECONDS_MAX", 0.2)
    head = (
        f"POST /contact/{organization.slug} HTTP/1.1\r\nHost: form\r\nContent-Type: application/json\r\n"
        f"X-Test-Address: {new_address()}\r\nContent-Length: 100\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", int(form.url.rpartition(":")[2]))
    writer.write(head.encode() + b'{"text": ')
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"TIMEOUT" in answer
    assert await raw_events(form.runtime, organization) == []


async def test_a_sender_that_leaves_in_the_middle_leaves_nothing(form: Served, organization: TestOrganization) -> None:
    await open_form(form.runtime, organization)
    head = (
        f"POST /contact/{organization.slug} HTTP/1.1\r\nHost: form\r\nContent-Type: application/json\r\n"
        f"X-Test-Address: {new_address()}\r\nContent-Length: 15\r\n\r\n"
    )
    for sent in (b"", b'{"text": "x"'):
        _, writer = await asyncio.open_connection("127.0.0.1", int(form.url.rpartition(":")[2]))
        writer.write(head.encode() + sent)
        await writer.drain()
        writer.transport.abort()
    async with form.client() as client:
        assert (await client.post(f"/contact/{organization.slug}", json={"text": "y"})).status_code == 202
    assert len(await raw_events(form.runtime, organization)) == 1
