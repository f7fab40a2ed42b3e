# SPDX-License-Identifier: EUPL-1.2
"""P14: nobody can use us to reach inside.

Every address that this process sends to is on a tape. The list: public addresses on the port of https, the server that
was listed, and the name server. A canary listens on loopback; what it says must never come back to the caller. The
names are the attacker's own, and are asked over UDP of a server that changes its mind. TLS believes everybody here, so
that only the judgement of addresses stands between a caller and the canary.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx2
import pytest

from services.kernel import addresses, outbound
from services.kernel.addresses import Target
from services.kernel.outbound import Answer, NotSent, OutboundClient, OutboundError, OutboundLimits
from tests.services.kernel.inside_urls import NAMES, PUBLIC, attacks, leading_on
from tests.support import network
from tests.support.certificates import self_signed
from tests.support.name_server import HOST, NameServer, name_server
from tests.support.network import Contact
from tests.support.raw_server import RawServer, raw_server, read_request

SECRET = b"canary-5f1c0a7e42d94b0f"
CANARY = b"HTTP/1.1 200 %b\r\nX-Canary: %b\r\nContent-Length: %d\r\n\r\n%b" % (SECRET, SECRET, len(SECRET), SECRET)
LIMITS = OutboundLimits(connect_seconds=1.0, read_seconds=1.0, total_seconds=3.0)
URLS_MIN = 500
LISTED_SAYS = b"listed"


@dataclass
class Found:
    """What came of a run."""

    off_the_list: list[str] = field(default_factory=list)
    bytes_given: int = 0
    canary_reached: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    connected: Counter[str] = field(default_factory=Counter)

    @property
    def is_clean(self) -> bool:
        return not self.off_the_list and not self.bytes_given and not self.canary_reached


@dataclass(frozen=True)
class Ground:
    """Everything on loopback: the attacker's name server, a canary in plain and in TLS, and the listed server."""

    names: NameServer
    plain: RawServer
    secure: RawServer
    listed: RawServer

    @property
    def inside(self) -> list[str]:
        return [f"http://{HOST}:{self.plain.port}/", f"https://{HOST}:{self.secure.port}/"]

    def client(self) -> OutboundClient:
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        listed = frozenset({f"{HOST}:{self.listed.port}"})
        return OutboundClient(allowed=listed, limits=LIMITS, resolver=self.names.resolve, tls=blind)

    def urls(self) -> list[str]:
        own = f"http://{HOST}:{self.listed.port}"
        return [*attacks(), *self.inside, *(f"{own}{path}" for path in leading_on(self.inside))]

    def is_on_the_list(self, contact: Contact, url: str) -> bool:
        if contact.host in PUBLIC:
            return contact.port == addresses.HTTPS_PORT
        if (contact.host, contact.port) == (HOST, self.listed.port):
            return url.startswith(f"http://{HOST}:{self.listed.port}/")
        return (contact.host, contact.port) == (HOST, self.names.port)


async def canary(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(CANARY)
    await writer.drain()
    await reader.read()


async def lead_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """`/307/2/<place>` sends on to `/307/1/<place>`, that one to `/307/0/<place>`, and that one to the place."""
    request = await read_request(reader)
    host = next(each for each in request.split(b"\r\n") if each.lower().startswith(b"host:")).split()[1].decode()
    _, kind, links, place = request.split(b" ")[1].decode().split("/")
    to = unquote(place) if links == "0" else f"http://{host}/{kind}/{int(links) - 1}/{place}"
    length = f"Content-Length: {len(LISTED_SAYS)}\r\n\r\n{LISTED_SAYS.decode()}"
    head = {
        "refresh": f"HTTP/1.1 200 OK\r\nRefresh: 0; url={to}\r\nContent-Location: {to}\r\nLink: <{to}>; rel=next\r\n",
        "proxy": f"HTTP/1.1 407 Ask\r\nProxy-Authenticate: Basic\r\nLocation: {to}\r\n",
        "hint": f'HTTP/1.1 103 Early Hints\r\nLocation: {to}\r\n\r\nHTTP/1.1 200 OK\r\nAlt-Svc: h2="{to}"\r\n',
        "switch": f"HTTP/1.1 426 Upgrade\r\nUpgrade: h2c\r\nLocation: {to}\r\n",
    }.get(kind, f"HTTP/1.1 {kind} Elsewhere\r\nLocation: {to}\r\n")
    writer.write((head + length).encode())
    await writer.drain()
    await reader.read()


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with opened_ground(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def opened_ground(folder: Path) -> AsyncIterator[Ground]:
    tls = self_signed(folder, ["canary.test"]).server()
    async with AsyncExitStack() as stack:
        yield Ground(
            await stack.enter_async_context(name_server(NAMES)),
            await stack.enter_async_context(raw_server(canary)),
            await stack.enter_async_context(raw_server(canary, tls)),
            await stack.enter_async_context(raw_server(lead_on)),
        )


Request = Callable[[str], Awaitable[Answer]]


async def attack(ground: Ground, urls: Sequence[str], request: Request) -> Found:
    """Ask for each URL, and judge who was spoken to meanwhile and what the caller got."""
    found = Found()
    for url in urls:
        got: list[object] = []
        with network.recorded() as tape:
            try:
                answer = await request(url)
            except OutboundError as error:
                found.outcomes[f"{type(error).__name__} {error.reason}"] += 1
                got += [error, error.args, error.detail, error.host]
            else:
                found.outcomes[f"answer {answer.status}"] += 1
                got += [answer.status, dict(answer.headers), answer.body]
        # The servers of this test run in the same process, and what they say is not the client's.
        ours = {ground.names.port, ground.plain.port, ground.secure.port, ground.listed.port}
        for contact in (each for each in tape if each.own_port not in ours):
            found.connected[contact.host if contact.host in PUBLIC else contact.event] += 1
            if not ground.is_on_the_list(contact, url):
                found.off_the_list.append(f"{url!r}: {contact}")
        found.bytes_given += len(SECRET) * repr(got).count(SECRET.decode())
    found.canary_reached = ground.plain.connections + ground.secure.connections
    return found


def behind_the_canary(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the canary listen where https does: whatever reaches loopback finds it."""
    monkeypatch.setattr(addresses, "HTTPS_PORT", ground.secure.port)


@pytest.mark.parametrize("port", ["of https", "of the canary"])
async def test_p14_of_500_urls_none_leads_inside_and_nothing_of_it_comes_back(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, port: str, tell: Callable[[str], None]
) -> None:
    if port == "of the canary":
        behind_the_canary(ground, monkeypatch)
    urls = ground.urls()
    assert len(urls) == len(set(urls)) >= URLS_MIN
    async with ground.client() as client:
        found = await attack(ground, urls, lambda url: client.request("POST", url, content=b"{}"))
    assert found.off_the_list == []
    assert (found.bytes_given, found.canary_reached) == (0, 0)
    # Not everything was refused at the door: names were asked for, public ones were tried, the listed one answered.
    assert found.connected["socket.sendto"] > 150
    assert all(found.connected[each] > 5 for each in PUBLIC)
    assert found.outcomes["answer 302"] == found.outcomes["answer 308"] > 10
    assert {each.partition(" ")[0] for each in found.outcomes} == {"NotSent", "answer"}
    assert ground.listed.connections == sum(n for each, n in found.outcomes.items() if each.startswith("answer"))
    asked_again = {name: times for name, times in ground.names.asked.items() if "rebind" in name[0] and times > 4}
    assert asked_again == {}
    tell(
        f"P14: {len(urls)} URLs on the port {port}: {len(found.off_the_list)} connections off the list, "
        f"{found.bytes_given} bytes of an answer from inside; {dict(sorted(found.outcomes.items()))}"
    )


async def test_a_name_is_asked_for_once_in_a_request_and_never_by_the_connection(ground: Ground) -> None:
    async with ground.client() as client:
        for name in ("rebind0.test", "public0.test", "first0.test"):
            with network.recorded(), pytest.raises(NotSent):
                await client.request("GET", f"https://{name}/")
            assert {ground.names.asked[name, kind] for kind in ("A", "AAAA")} == {1}


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"])
async def test_a_proxy_of_the_environment_is_never_asked(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for url in ground.inside:
        monkeypatch.setenv(variable, url)
        async with ground.client() as client:
            targets = ["https://public.test/", f"http://{HOST}:{ground.listed.port}/302/0/x"]
            found = await attack(ground, targets, lambda each, client=client: client.request("GET", each))
        assert found.is_clean


# Holes that are planted, each of which the tape and the canary must find.


Hole = Callable[[pytest.MonkeyPatch], None]


def judges_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "address_refusal", lambda text: None)


def lists_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    def target_of(url: str, params: Any, allowed: Any) -> Target:
        read = httpx2.URL(url)
        return Target(read, read.host, read.port or addresses.HTTPS_PORT, listed=True)

    monkeypatch.setattr(outbound, "target_of", target_of)


def judges_the_first_answer_only(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = OutboundClient._judged_addresses

    async def first_only(self: OutboundClient, target: Target) -> tuple[str, ...]:
        found = await self._resolver(target.host, target.port)
        self._resolver, kept = (lambda host, port: _given(found[:1])), self._resolver
        try:
            await judged(self, target)
        finally:
            self._resolver = kept
        return tuple(found)

    monkeypatch.setattr(OutboundClient, "_judged_addresses", first_only)


def looks_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = OutboundClient._judged_addresses

    async def twice(self: OutboundClient, target: Target) -> tuple[str, ...]:
        await judged(self, target)
        return tuple(await self._resolver(target.host, target.port))

    monkeypatch.setattr(OutboundClient, "_judged_addresses", twice)


def follows(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = OutboundClient._exchange

    async def follow(self: OutboundClient, request: httpx2.Request, sending: Any, bytes_max: int) -> Answer:
        answer = await exchange(self, request, sending, bytes_max)
        to = urlsplit(answer.headers.get("location", ""))
        if to.hostname is None or to.port is None:
            return answer
        reader, writer = await asyncio.open_connection(to.hostname, to.port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        heard = await asyncio.wait_for(reader.read(1_000), 1)
        writer.close()
        return Answer(200, {}, heard)

    monkeypatch.setattr(OutboundClient, "_exchange", follow)


async def _given(found: Sequence[str]) -> Sequence[str]:
    return found


@pytest.mark.parametrize(
    ("hole", "urls"),
    [
        (judges_nothing, ["https://inner0.test/", "https://127.0.0.1/", "https://alias.test/"]),
        (lists_everything, ["https://127.0.0.1/", "https://inner0.test/", "https://public.test@127.0.0.1/"]),
        (judges_the_first_answer_only, ["https://first0.test/"]),
        (looks_up_again, ["https://rebind0.test/"]),
        (follows, []),
    ],
)
async def test_each_planted_hole_is_seen_on_the_tape_and_by_the_canary(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, hole: Hole, urls: list[str]
) -> None:
    behind_the_canary(ground, monkeypatch)
    hole(monkeypatch)
    urls = urls or [f"http://{HOST}:{ground.listed.port}{path}" for path in leading_on(ground.inside[:1])[:1]]
    async with ground.client() as client:
        found = await attack(ground, urls, lambda url: client.request("GET", url))
    assert len(found.off_the_list) >= len(urls)
    assert found.canary_reached >= len(urls)
    assert found.bytes_given >= len(SECRET)
