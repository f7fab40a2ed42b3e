# SPDX-License-Identifier: EUPL-1.2
"""Where no statement can bind its organization one setting serves it all: queries, acts, live events, credentials."""

from typing import Any

import pytest

from graphql_schema import guard
from graphql_schema.nodes import encode_id
from graphql_schema.reading.execution import STATEMENTS, counted
from graphql_schema.schema import api_schema
from services.kernel.access import Role
from services.kernel.database import Database
from services.kernel.runtime import open_runtime
from services.kernel.settings import Settings, TenantBinding
from tests.graphql_schema.conftest import TokenOf
from tests.graphql_schema.serving import Served, served
from tests.graphql_schema.street import Street, event, watch
from tests.graphql_schema.test_transport_sockets import expire_tokens
from tests.support.engines import no_statement_binds
from tests.support.organizations import TestOrganization, found_organization

INBOX = "{ conversations(first: 5) { totalCount nodes { id state department { name } } } }"
CLAIM = """
mutation M($id: ID!) {
  conversationClaim(input: {conversationId: $id}) { conversation { id claim { fence } } userErrors { code } }
}
"""


async def asked(api: Served, token: str, document: str, **variables: Any) -> tuple[str | None, Any]:
    answer = await api.post({"query": document, "variables": variables}, token)
    return answer.headers.get("X-Execution"), answer.json()


@pytest.mark.parametrize("binding", TenantBinding)
async def test_one_setting_serves_an_engine_where_no_statement_binds(
    binding: TenantBinding,
    edge_settings: Settings,
    database: Database,
    token_of: TokenOf,
    monkeypatch: pytest.MonkeyPatch,
    unwatched_statements: None,
) -> None:
    monkeypatch.setattr(guard, "ACCESS_CHECK_SECONDS", 3600)
    settings = edge_settings.model_copy(update={"tenant_binding": binding})
    town = await found_organization(database, name="Oeverdam")
    token = await token_of(town, Role.OPERATOR, "ROADS")
    no_statement_binds(monkeypatch)
    async with open_runtime(settings) as runtime, served(settings, api_schema()) as api:
        street = Street(api, runtime, town, {(Role.OPERATOR, "ROADS"): token})
        await street.prepare()
        if binding is TenantBinding.STATEMENT:
            found = await asked(api, token, INBOX)
            assert [each["extensions"]["code"] for each in found[1]["errors"]] == ["UNAUTHENTICATED"]
        else:
            await everything_works(street, town)


async def everything_works(street: Street, town: TestOrganization) -> None:
    """In, a query twice, an act and its payload, an event that is heard, and the end of a credential."""
    before = dict(counted(STATEMENTS))
    mine, theirs = await street.open("ROADS"), await street.open("PEOPLE")
    token, shown = street.token(Role.OPERATOR, "ROADS"), encode_id("CV", mine)
    row = {"id": shown, "state": "OPEN", "department": {"name": "Roads"}}
    for _ in range(2):
        executor, found = await asked(street.api, token, INBOX)
        assert (executor, found["data"]) == ("compiled", {"conversations": {"totalCount": 1, "nodes": [row]}})
    async with street.api.socket(token) as socket:
        await watch(socket, street)
        await street.say(theirs)  # not for these ears
        _, acted = await asked(street.api, token, CLAIM, id=shown)
        claimed = acted["data"]["conversationClaim"]
        assert claimed["userErrors"] == []
        assert claimed["conversation"]["id"] == shown
        heard = await event(socket)
        assert (heard["event"], heard["nodeId"], heard["node"]["id"]) == ("CLAIMED", shown, shown)
        await expire_tokens(street.database, town)
        await street.say(mine)
        assert await socket.closed() == 4403
    after = dict(counted(STATEMENTS))
    assert after.get("transaction", 0) > before.get("transaction", 0)
    assert after.get("statement", 0) == before.get("statement", 0)
