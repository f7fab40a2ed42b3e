# SPDX-License-Identifier: EUPL-1.2
"""Where the outbound client may connect, what it gives back, and when it certainly sent nothing.

The question behind every test: when there is no answer, does the error tell the truth about whether anything was
written? A wrong NotSent posts twice; a wrong OutcomeUnknown only asks a person for no reason.
"""

import asyncio
from collections.abc import Sequence

import pytest

from services.kernel import outbound
from services.kernel.outbound import (
    FailureReason,
    NotSent,
    OutboundClient,
    OutboundLimits,
)
from tests.support.raw_server import (
    BODY,
    OK,
    QUICK,
    TOWN,
    FakeResolver,
    answering,
    client_for,
    failure_of,
    raw_server,
)


async def test_a_complete_answer_comes_back_whatever_its_status() -> None:
    heads: list[bytes] = []
    answer = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"
    async with raw_server(answering(answer, heads)) as server, client_for(server.port) as client:
        found = await client.request("POST", f"http://127.0.0.1:{server.port}/x", content=BODY)
    assert (found.status, found.headers["retry-after"], found.body) == (503, "7", b"busy")
    assert heads[0].endswith(BODY)
    assert b"accept-encoding: identity" in heads[0].lower()


async def test_a_redirect_is_an_answer_and_nothing_follows_it() -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(answering(answer)) as server, client_for(server.port) as client:
        found = await client.request("GET", f"http://127.0.0.1:{server.port}/")
        assert (found.status, server.connections) == (302, 1)


async def test_a_cookie_of_one_answer_never_reaches_the_next_request() -> None:
    heads: list[bytes] = []
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=one; Path=/\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(answering(answer, heads)) as server, client_for(server.port) as client:
        for _ in range(2):
            await client.request("GET", f"http://{TOWN}:{server.port}/")
    assert len(heads) == 2
    assert not any(b"cookie" in head.lower() for head in heads)


async def test_every_request_has_a_connection_of_its_own() -> None:
    async with raw_server(answering(OK)) as server, client_for(server.port) as client:
        for _ in range(3):
            await client.request("GET", f"http://127.0.0.1:{server.port}/")
        assert server.connections == 3


@pytest.mark.parametrize(
    "answers",
    [["127.0.0.1"], ["10.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["nonsense"]],
)
async def test_one_inner_address_among_the_answers_refuses_the_whole_name(answers: list[str]) -> None:
    resolver = FakeResolver([answers])
    error = await failure_of(OutboundClient(resolver=resolver), f"https://{TOWN}/")
    assert isinstance(error, NotSent)
    assert (error.reason, error.refused_by_us) == (FailureReason.ADDRESS_REFUSED, True)
    assert resolver.asked == [(TOWN, 443)]


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "①②⑦.⓪.⓪.①", "localhost", "127.0.0.1", "[::1]"])
async def test_an_inner_host_is_refused_and_never_looked_up(host: str) -> None:
    resolver = FakeResolver([["93.184.216.34"]])
    error = await failure_of(OutboundClient(resolver=resolver), f"https://{host}/")
    assert isinstance(error, NotSent)
    assert error.refused_by_us
    assert resolver.asked == []


async def test_a_rebinding_name_is_looked_up_once_and_the_judged_address_is_used() -> None:
    # The second answer would lead to an address where nobody listens.
    resolver = FakeResolver([["127.0.0.1"], ["127.0.0.9"]])
    async with raw_server(answering(OK)) as server:
        client = OutboundClient(allowed=frozenset({f"{TOWN}:{server.port}"}), limits=QUICK, resolver=resolver)
        async with client:
            found = await client.request("GET", f"http://{TOWN}:{server.port}/")
    assert found.body == b"ok"
    assert resolver.asked == [(TOWN, server.port)]


async def test_the_connection_ignores_the_name_and_goes_to_the_judged_address() -> None:
    async with raw_server(answering(OK)) as server:
        sending = outbound._Sending(server.port, addresses=("127.0.0.1",))
        stream = await outbound._PinnedBackend(sending).connect_tcp("elsewhere.invalid", server.port, timeout=1.0)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", server.port)
        assert not sending.written
        await stream.aclose()


async def test_a_dead_address_gives_way_to_the_next_judged_one() -> None:
    resolver = FakeResolver([["127.0.0.9", "127.0.0.1"]])
    async with raw_server(answering(OK)) as server:
        client = OutboundClient(allowed=frozenset({f"{TOWN}:{server.port}"}), limits=QUICK, resolver=resolver)
        async with client:
            assert (await client.request("GET", f"http://{TOWN}:{server.port}/")).status == 200


@pytest.mark.parametrize("header", ["Host", "content-length", "Transfer-Encoding", "connection", "accept-encoding"])
async def test_a_caller_cannot_set_a_header_of_the_connection(header: str) -> None:
    error = await failure_of(client_for(9), "http://127.0.0.1:9/", headers={header: "1"})
    assert error.reason is FailureReason.HEADER_REFUSED


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "caf\u00e9", "a\x00b"])
async def test_a_token_with_a_line_break_cannot_write_a_header(value: str) -> None:
    error = await failure_of(client_for(9), "http://127.0.0.1:9/", headers={"authorization": value})
    assert error.reason is FailureReason.HEADER_REFUSED


async def test_a_name_without_address_was_not_sent() -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    error = await failure_of(OutboundClient(resolver=resolver), f"https://{TOWN}/")
    assert isinstance(error, NotSent)
    assert (error.reason, error.refused_by_us) == (FailureReason.NAME_NOT_RESOLVED, False)


async def test_a_lookup_that_never_ends_was_not_sent() -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    limits = OutboundLimits(total_seconds=0.2)
    error = await failure_of(OutboundClient(resolver=resolver, limits=limits), f"https://{TOWN}/")
    assert isinstance(error, NotSent)
    assert error.reason is FailureReason.TIMED_OUT


@pytest.mark.parametrize("answers", [[], ["8.8.8.8"] * (outbound.ANSWERS_MAX + 1)])
async def test_no_answer_and_too_many_answers_were_not_sent(answers: list[str]) -> None:
    error = await failure_of(OutboundClient(resolver=FakeResolver([answers])), f"https://{TOWN}/")
    assert isinstance(error, NotSent)
    assert error.reason is FailureReason.NAME_NOT_RESOLVED


async def test_a_refused_connection_was_not_sent() -> None:
    async with raw_server(answering(OK)) as server:
        port = server.port
    error = await failure_of(client_for(port), f"http://127.0.0.1:{port}/")
    assert isinstance(error, NotSent)
    assert error.reason is FailureReason.CONNECTION_FAILED


async def test_a_request_over_the_cap_was_not_sent() -> None:
    async with raw_server(answering(OK)) as server:
        client = client_for(server.port, limits=OutboundLimits(request_bytes_max=8))
        error = await failure_of(client, f"http://127.0.0.1:{server.port}/")
        assert server.connections == 0
    assert isinstance(error, NotSent)
    assert error.reason is FailureReason.REQUEST_TOO_LARGE
