# SPDX-License-Identifier: EUPL-1.2
"""However a credential ends or its rights change, sockets and streams end too: at the next event or soon without."""

from collections.abc import Mapping

import pytest
from websockets.exceptions import ConnectionClosed

from graphql_schema import guard
from services.kernel.access import Role
from tests.graphql_schema.street import EVENTS, Street, event, watch
from tests.services.conversations.scenes import sql

ENDS = {
    "expiry": "update belfry.local_token set expires_at = now() where tenant_id = $1",
    "revocation": "delete from belfry.door where organization_id = $1 and kind = 'LOCAL_TOKEN'",
    "another role": "update belfry.local_token set role = 'MANAGER' where tenant_id = $1",
    "another department": "update belfry.local_token set department_id = (select id from belfry.department"
    " where tenant_id = $1 and code = 'PEOPLE') where tenant_id = $1",
    "removal": "update belfry.membership set active = false where tenant_id = $1",
    "suspension": "update belfry.organization set state = 'SUSPENDED' where tenant_id = $1",
}


@pytest.mark.parametrize("something_happens", [True, False])
@pytest.mark.parametrize("end", ENDS)
async def test_a_socket_and_a_stream_end_with_their_credential(
    street: Street,
    database_urls: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    end: str,
    something_happens: bool,
) -> None:
    monkeypatch.setattr(guard, "ACCESS_CHECK_SECONDS", 3600 if something_happens else 0.05)
    token, conversation = street.token(Role.OPERATOR, "ROADS"), await street.open("ROADS")
    async with street.api.socket(token) as socket, street.api.stream(token, EVENTS, after=await street.now()) as stream:
        await watch(socket, street)
        await street.say(conversation)
        assert (await event(socket))["event"] == (await stream.event())[1]["data"]["conversationEvents"]["event"]
        await sql(database_urls, ENDS[end], street.organization.id)
        if something_happens:
            await street.say(conversation)
        assert await stream.rest() == []
        with pytest.raises(ConnectionClosed):
            await socket.receive()
        assert await socket.closed() == 4403
