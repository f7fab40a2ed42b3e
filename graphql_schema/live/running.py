# SPDX-License-Identifier: EUPL-1.2
"""One operation on a connection that stays open, whatever carries it: by itself, then seated among others, and back."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol, cast

from graphql import GraphQLError
from strawberry.http import GraphQLRequestData
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.utils.aio import aclosing

from graphql_schema.billing import bucket_of, charge
from graphql_schema.errors import Defect, code_of, log_defect, presented, refused
from graphql_schema.limits import check_variables
from graphql_schema.live.connection import LiveConnection
from graphql_schema.seats import Seat
from services.kernel.errors import RequestRefused

Stream = Callable[..., Awaitable[AsyncGenerator[Any, None]]]
"""A schema's `stream`: the results of one operation."""


Ask = Callable[[], Awaitable[GraphQLRequestData]]
"""What is asked, once it has been found. Raises RequestRefused."""


class ClientGone(Exception):
    """Nobody is there any more to be told anything."""


class Channel(Protocol):
    """How the results of one operation get to its client. Everything raises ClientGone."""

    async def next(self, result: ExecutionResult) -> None:
        """Tell one result."""

    async def put(self, payload: str) -> None:
        """Tell one result that is JSON already."""

    async def refuse(self, errors: list[GraphQLError]) -> None:
        """Tell why nothing was executed, or goes on. The operation is over."""

    async def complete(self) -> None:
        """Tell that there is nothing more. The operation is over."""


async def run(stream: Stream, ask: Ask, connection: LiveConnection, channel: Channel) -> None:
    """Run one operation to its end. Never raises: the connection must outlive it."""
    seat = Seat(connection.feeds, channel.put)
    try:
        if connection.actor is not None:
            connection.runtime.buckets.require_any(bucket_of(connection.actor))
        asked = await ask()
        check_variables(asked.variables)
        while await _run_alone(stream, asked, connection, channel, seat):
            await seat.sit()
    except ClientGone:
        return
    except RequestRefused as refusal:
        await refuse(channel, refusal, connection)
    except Exception as error:  # noqa: BLE001  the last line of defense of a task
        log_defect(error, connection.request_id)
        await refuse(channel, Defect(), connection)
    finally:
        seat.leave()


async def refuse(channel: Channel, refusal: RequestRefused, connection: LiveConnection) -> None:
    """Tell a refusal of ours, if somebody is still there."""
    with suppress(ClientGone):
        await _refuse(channel, [*presented([refused(refusal)], connection.wording)], connection)


async def _refuse(channel: Channel, errors: list[GraphQLError], connection: LiveConnection) -> None:
    runtime = connection.runtime
    if connection.actor is not None and errors:
        charge(runtime.buckets, connection.actor, code_of(errors[0]), runtime.settings.refusal_cost)
    await channel.refuse(errors)


async def _run_alone(
    stream: Stream, asked: GraphQLRequestData, connection: LiveConnection, channel: Channel, seat: Seat
) -> bool:
    """Run an operation by itself: to its end, or until it is seated among others. Returns whether it is seated."""
    context = await connection.operation(seat)
    if context is None:
        await connection.end()
        return False
    results = await stream(
        asked.query, variable_values=asked.variables, context_value=context, operation_name=asked.operation_name
    )
    async with aclosing(results):
        is_first = True
        async for result in results:
            if is_first and isinstance(result, PreExecutionError):
                await _refuse(channel, result.errors or [], connection)
                return False
            await channel.next(cast("ExecutionResult", result))
            is_first = False
    if not seat.is_taken and not connection.is_ended:
        await channel.complete()
    return seat.is_taken
