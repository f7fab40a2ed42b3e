# SPDX-License-Identifier: EUPL-1.2
"""In which language an answer is: as the request asks, else as the person or the organization prefers."""

from collections.abc import Mapping

import pytest

from graphql_schema.nodes import encode_id
from services.kernel import identifiers
from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.errors import NotFound, Unauthenticated
from services.kernel.languages import Language, said
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.serving import JSON, Served
from tests.services.conversations.scenes import sql
from tests.support.organizations import found_organization

BOTH_ENDS = {"query": "{ departments(first: 1, last: 1) { nodes { id } } }"}
SENTENCES = {
    Language.EN: "Use either first or last.",
    Language.NL: "Gebruik first of last, niet beide.",
    Language.FR: "Utilisez first ou last, pas les deux.",
    Language.DE: "Verwenden Sie first oder last, nicht beide.",
}
RENAME = (
    "mutation M($input: DepartmentRenameInput!) { departmentRename(input: $input) { userErrors { code message } } }"
)


@pytest.mark.parametrize("language", Language)
async def test_a_refusal_is_told_in_the_language_of_the_request(api: Served, token: str, language: Language) -> None:
    answer = await api.post(BOTH_ENDS, token, headers={"Accept-Language": f"es, {language}-BE;q=0.8"})
    [error] = answer.json()["errors"]
    assert error["message"] == SENTENCES[language]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert answer.headers["content-language"] == language


@pytest.mark.parametrize("language", Language)
async def test_so_is_a_refusal_before_anybody_is_known(api: Served, language: Language) -> None:
    answer = await api.post({"query": "{ __typename }"}, headers={"Accept-Language": language})
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["message"] == said(Unauthenticated(), language)
    assert answer.headers["content-language"] == language


async def test_and_a_user_error_in_a_payload(api: Served, token: str) -> None:
    given = {"departmentId": encode_id("DP", identifiers.new()), "name": "x", "expectedVersion": 1}
    answer = await api.post({"query": RENAME, "variables": {"input": given}}, token, headers={"Accept-Language": "de"})
    [error] = answer.json()["data"]["departmentRename"]["userErrors"]
    assert error == {"code": "NOT_FOUND", "message": said(NotFound(), Language.DE)}
    assert answer.headers["content-language"] == "de"


async def test_without_a_wish_the_person_s_language_counts_then_the_organization_s_then_english(
    api: Served, database: Database, database_urls: Mapping[str, str], token_of: TokenOf
) -> None:
    town = await found_organization(database, name="Taalstad")
    token = await token_of(town, Role.VIEWER)

    async def told(accept_language: str | None = None) -> str:
        headers = {} if accept_language is None else {"Accept-Language": accept_language}
        answer = await api.post(BOTH_ENDS, token, headers=headers)
        assert answer.json()["errors"][0]["message"] == SENTENCES[Language(answer.headers["content-language"])]
        return answer.headers["content-language"]

    async def prefer(person: str, *organization: str) -> None:
        await sql(database_urls, "update belfry.person set locale = $2 where id = $1", town.people[Role.VIEWER], person)
        await sql(
            database_urls, "update belfry.organization set locales = $2 where tenant_id = $1", town.id,
            list(organization),
        )  # fmt: skip

    await prefer("fr-BE", "de")
    assert await told() == "fr"
    assert await told("nl") == "nl"
    assert await told("*") == "fr"
    await prefer("sv", "da", "de", "nl")
    assert await told() == "de"
    await prefer("sv")
    assert await told() == "en"


async def test_what_is_said_to_developers_is_english_and_says_so(api: Served, token: str) -> None:
    for document in ("{", "{ nothing }"):
        answer = await api.post({"query": document}, token, headers={"Accept-Language": "nl"}, accept=JSON)
        assert answer.headers["content-language"] == "en"
    answer = await api.post({"query": "{ __typename }"}, token, headers={"Accept-Language": "nl"})
    assert answer.headers["content-language"] == "nl"


@pytest.mark.parametrize(("wish", "expected"), [("fr", "fr"), (None, "en"), (7, "en")])
async def test_a_socket_names_its_language_when_it_begins(api: Served, token: str, wish: object, expected: str) -> None:
    async with api.socket() as socket:
        await socket.send(type="connection_init", payload={"authorization": f"Bearer {token}", "language": wish})
        assert (await socket.receive())["type"] == "connection_ack"
        await socket.subscribe(BOTH_ENDS["query"])
        frame = await socket.receive()
        assert frame["payload"][0]["message"] == SENTENCES[Language(expected)]
