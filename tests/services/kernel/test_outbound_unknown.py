# SPDX-License-Identifier: EUPL-1.2
"""The outbound client against servers that cut, stall and lie after the first byte of a request.

The question behind every test: when there is no answer, does the error tell the truth about whether anything was
written? A wrong NotSent posts twice; a wrong OutcomeUnknown only asks a person for no reason.
"""

import asyncio

import httpcore2
import pytest

from services.kernel import outbound
from services.kernel.outbound import (
    Answer,
    FailureReason,
    OutboundLimits,
    OutcomeUnknown,
)
from tests.support.raw_server import (
    BODY,
    Handler,
    answering,
    client_for,
    cut_after_request,
    failure_of,
    raw_server,
    read_request,
)


async def cut_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept and reset: the client has connected, so it writes."""


async def cut_after_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await reader.read()


def cut_after_answering(part: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(part)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    return handler


CUT_POINTS: list[tuple[str, Handler, FailureReason, int | None]] = [
    ("accepted, nothing read", cut_at_once, FailureReason.CONNECTION_CUT, None),
    ("head read", cut_after_head, FailureReason.CONNECTION_CUT, None),
    ("request read", cut_after_request, FailureReason.CONNECTION_CUT, None),
    ("no answer ever", silence, FailureReason.TIMED_OUT, None),
    ("half a status line", cut_after_answering(b"HTTP/1.1 2"), FailureReason.CONNECTION_CUT, None),
    ("half a head", cut_after_answering(b"HTTP/1.1 200 OK\r\nContent-Le"), FailureReason.CONNECTION_CUT, None),
    (
        "half a body",
        cut_after_answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
        FailureReason.ANSWER_UNREADABLE,
        200,
    ),
    ("an answer that is not HTTP", cut_after_answering(b"220 mail\r\n\r\n"), FailureReason.CONNECTION_CUT, None),
    (
        "a compressed answer",
        answering(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok"),
        FailureReason.ANSWER_UNREADABLE,
        200,
    ),
    (
        "an announced giant",
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 99),
        FailureReason.ANSWER_TOO_LARGE,
        200,
    ),
    (
        "a giant in chunks",
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"20\r\n" + b"x" * 32 + b"\r\n0\r\n\r\n"),
        FailureReason.ANSWER_TOO_LARGE,
        200,
    ),
    ("endless headers", answering(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 40_000), FailureReason.CONNECTION_CUT, None),
]


@pytest.mark.parametrize(("point", "handler", "reason", "status"), CUT_POINTS, ids=[point[0] for point in CUT_POINTS])
async def test_after_the_first_byte_the_outcome_is_unknown(
    point: str, handler: Handler, reason: FailureReason, status: int | None
) -> None:
    limits = OutboundLimits(connect_seconds=1.0, read_seconds=0.3, total_seconds=2.0, answer_bytes_max=16)
    async with raw_server(handler) as server:
        error = await failure_of(client_for(server.port, limits=limits), f"http://127.0.0.1:{server.port}/")
        assert server.connections == 1, "one request is one connection: nothing is repeated inside"
    assert isinstance(error, OutcomeUnknown), point
    assert (error.reason, error.status) == (reason, status)


async def test_a_body_that_drips_is_cut_by_the_total_time() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    limits = OutboundLimits(read_seconds=1.0, total_seconds=0.4)
    async with raw_server(drip) as server:
        error = await failure_of(client_for(server.port, limits=limits), f"http://127.0.0.1:{server.port}/")
    assert isinstance(error, OutcomeUnknown)
    assert (error.reason, error.status) == (FailureReason.TIMED_OUT, 200)


async def test_a_server_that_stops_reading_leaves_an_unknown_outcome() -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3)

    limits = OutboundLimits(read_seconds=0.3, total_seconds=1.0, request_bytes_max=64 * 1_048_576)
    async with raw_server(stall) as server:
        client = client_for(server.port, limits=limits)
        with pytest.raises(OutcomeUnknown) as caught:
            await client.request("POST", f"http://127.0.0.1:{server.port}/", content=b"x" * (32 * 1_048_576))
        await client.aclose()
    assert caught.value.reason is FailureReason.TIMED_OUT


async def test_a_write_that_fails_counts_as_written_and_one_of_nothing_does_not() -> None:
    class Breaking(httpcore2.AsyncNetworkStream):
        async def write(self, buffer: bytes, timeout: float | None = None) -> None:
            raise httpcore2.WriteError

    sending = outbound._Sending(443)
    stream = outbound._RecordingStream(Breaking(), sending)
    for buffer, written in ((b"", False), (b"P", True)):
        with pytest.raises(httpcore2.WriteError):
            await stream.write(buffer)
        assert sending.written is written


async def test_a_refusal_that_comes_before_the_body_was_read_is_an_answer() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with raw_server(refuse) as server, client_for(server.port) as client:
        found = await client.request("POST", f"http://127.0.0.1:{server.port}/", content=BODY)
    assert found.status == 413


async def test_a_cancelled_request_stays_cancelled_and_closes_its_connection() -> None:
    closed = asyncio.Event()
    read = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        read.set()
        await reader.read()
        closed.set()

    async with raw_server(handler) as server, client_for(server.port, limits=OutboundLimits()) as client:
        task = asyncio.create_task(client.request("POST", f"http://127.0.0.1:{server.port}/", content=BODY))
        await read.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(closed.wait(), 5)


async def test_errors_and_answers_show_no_body_no_header_and_no_token() -> None:
    token = "Bearer citizen-secret-token"
    async with raw_server(cut_after_answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nsecret-part")) as server:
        error = await failure_of(
            client_for(server.port), f"http://127.0.0.1:{server.port}/", headers={"authorization": token}
        )
    shown = f"{error} {error!r} {error.args} {Answer(200, {'x': 'secret-header'}, b'secret-body')}"
    assert "secret" not in shown
