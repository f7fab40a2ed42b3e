# SPDX-License-Identifier: EUPL-1.2
"""The outbound client and TLS: names stay what was asked for, and a failed handshake sent nothing."""

import asyncio
import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.kernel.outbound import (
    FailureReason,
    NotSent,
    OutboundLimits,
    OutcomeUnknown,
    system_resolver,
)
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
    folder: Path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Belfry test")])
    start = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=3))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(TOWN), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    seen: list[str | None] = []
    server.sni_callback = lambda _connection, name, _context: seen.append(name)
    return Certificates(server, ssl.create_default_context(cafile=str(folder / "certificate.pem")), seen)


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
