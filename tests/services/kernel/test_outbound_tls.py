# SPDX-License-Identifier: EUPL-1.2
"""The outbound client and TLS: names stay what was asked for, and a failed handshake sent nothing."""

import asyncio
import ssl
from dataclasses import dataclass

import httpx2
import pytest

from services.kernel.outbound import (
    FailureReason,
    NotSent,
    OutboundLimits,
    OutcomeUnknown,
    system_resolver,
)
from tests.support.certificates import self_signed
from tests.support.raw_server import (
    BODY,
    OK,
    TOWN,
    Handler,
    answering,
    client_for,
    cut_after_request,
    failure_of,
    raw_server,
)


@dataclass(frozen=True)
class Certificates:
    server: ssl.SSLContext
    trusting: ssl.SSLContext
    names_seen: list[str | None]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    certificate = self_signed(tmp_path_factory.mktemp("tls"), [TOWN], ["127.0.0.2"])
    server = certificate.server()
    seen: list[str | None] = []
    server.sni_callback = lambda _connection, name, _context: seen.append(name)
    return Certificates(server, certificate.trusting(), seen)


async def test_the_name_in_tls_and_in_host_stays_the_one_that_was_asked_for(certificates: Certificates) -> None:
    heads: list[bytes] = []
    certificates.names_seen.clear()
    async with raw_server(answering(OK, heads), certificates.server) as server:
        async with client_for(server.port, tls=certificates.trusting) as client:
            found = await client.request("POST", f"https://{TOWN}:{server.port}/x", content=BODY)
        expected = f"host: {TOWN}:{server.port}".encode()
    assert found.body == b"ok"
    assert certificates.names_seen == [TOWN]
    assert expected in heads[0].lower()


async def test_a_certificate_for_another_name_was_not_sent(certificates: Certificates) -> None:
    async with raw_server(answering(OK), certificates.server) as server:
        client = client_for(server.port, tls=certificates.trusting)
        error = await failure_of(client, f"https://127.0.0.1:{server.port}/")
    assert isinstance(error, NotSent)
    assert error.reason is FailureReason.TLS_FAILED


async def test_an_unknown_issuer_was_not_sent(certificates: Certificates) -> None:
    async with raw_server(answering(OK), certificates.server) as server:
        client = client_for(server.port, tls=httpx2.create_ssl_context(trust_env=False))
        error = await failure_of(client, f"https://{TOWN}:{server.port}/")
    assert isinstance(error, NotSent)
    assert error.reason is FailureReason.TLS_FAILED


async def hang_up_in_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def never_shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass


async def speak_plain_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    await writer.drain()
    await reader.read(4096)


@pytest.mark.parametrize("handler", [hang_up_in_handshake, never_shake_hands, speak_plain_http])
async def test_whatever_breaks_the_handshake_was_not_sent(handler: Handler, certificates: Certificates) -> None:
    limits = OutboundLimits(connect_seconds=0.4, read_seconds=0.4, total_seconds=3.0)
    async with raw_server(handler) as server:
        client = client_for(server.port, limits=limits, tls=certificates.trusting)
        error = await failure_of(client, f"https://{TOWN}:{server.port}/")
    assert isinstance(error, NotSent)


async def test_a_cut_inside_tls_after_the_request_leaves_an_unknown_outcome(certificates: Certificates) -> None:
    async with raw_server(cut_after_request, certificates.server) as server:
        client = client_for(server.port, tls=certificates.trusting)
        error = await failure_of(client, f"https://{TOWN}:{server.port}/")
    assert isinstance(error, OutcomeUnknown)


async def test_the_system_resolver_gives_addresses_as_text() -> None:
    assert set(await system_resolver("127.0.0.1", 443)) == {"127.0.0.1"}
