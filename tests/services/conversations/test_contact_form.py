# SPDX-License-Identifier: EUPL-1.2
"""The contact form, from a submission to its status page."""

from collections.abc import AsyncIterator

import pytest

from services.kernel.settings import Settings
from tests.support.contact_form import Served, drain, open_form, path_of, raw_events, served
from tests.support.organizations import TestOrganization


@pytest.fixture
async def form(settings: Settings) -> AsyncIterator[Served]:
    async with served(settings) as running:
        yield running


async def test_smoke(form: Served, organization: TestOrganization) -> None:
    account = await open_form(form.runtime, organization)
    async with form.client() as client:
        answer = await client.post(f"/contact/{organization.slug}", json={"text": "De lamp is stuk."})
        print(answer.status_code, answer.headers, answer.text)
        path = path_of(answer.json()["statusUrl"])
        print((await client.get(path, headers={"Accept": "application/json"})).json())
        print(len(await raw_events(form.runtime, organization)))
        await drain(form.runtime, organization, account)
        print((await client.get(path, headers={"Accept": "application/json"})).json())
        print((await client.post(path, json={"text": "Nog iets <b>&"})).text)
        print((await client.get(path)).text)
        await drain(form.runtime, organization, account)
        print((await client.get(path)).text)
        print((await client.get(f"/contact/{organization.slug}")).text)
