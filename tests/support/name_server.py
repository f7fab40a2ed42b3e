# SPDX-License-Identifier: EUPL-1.2
"""A name server of the attacker's, over UDP on loopback, and a resolver that asks it.

Each name has a script, a line for each time it is asked for, the last one forever: that is how a name changes its
mind. A name without a script is 127.0.0.1 and ::1, which is the worst that it could be.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

HOST = "127.0.0.1"
ANSWER_WITHIN_SECONDS = 0.5
LINKS_MAX = 40
Line = str
"""What is answered, in words: addresses, `=other.test` for an alias, or one of the tricks below."""

UNKNOWN, FAILED, SILENT, GARBAGE, CUT, FOREIGN = "unknown", "failed", "silent", "garbage", "cut", "foreign"
"""No such name; an error; nothing; bytes that are no answer; cut off, ask over TCP; an address of another name."""
DEFAULT = f"{HOST} ::1"


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """Answers from scripts, and remembers what it was asked."""

    scripts: Mapping[str, Sequence[Line]]
    port: int = 0
    asked: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self.transport is not None
        if (answer := self.answer(data)) is not None:
            self.transport.sendto(answer, addr)

    def answer(self, data: bytes) -> bytes | None:
        """The bytes of an answer; None for no answer at all."""
        asked = dns.message.from_wire(data)
        question = asked.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        line = self._line(name, kind)
        answer = dns.message.make_response(asked)
        match line:
            case "silent":
                return None
            case "garbage":
                return data[:2] + b"\xff" * 40
            case "unknown":
                answer.set_rcode(dns.rcode.NXDOMAIN)
            case "failed":
                answer.set_rcode(dns.rcode.SERVFAIL)
            case "cut":
                answer.flags |= dns.flags.TC
            case "foreign":
                _add(answer, "other.test", kind, ["93.184.216.34" if kind == "A" else "2606:4700::1111"])
                _add(answer, name, kind, [HOST if kind == "A" else "::1"])
            case _:
                self._follow(answer, name, kind, line)
        return answer.to_wire(want_shuffle=False)

    def _follow(self, answer: dns.message.Message, name: str, kind: str, line: Line) -> None:
        """All links of a chain in one answer, as a server that asks others for us gives it."""
        for _ in range(LINKS_MAX):
            if not line.startswith("="):
                _add(answer, name, kind, [each for each in line.split() if (":" in each) == (kind == "AAAA")])
                return
            _add(answer, name, "CNAME", [f"{line[1:]}."])
            name = line[1:]
            line = self._line(name, kind)

    def _line(self, name: str, kind: str) -> Line:
        script = self.scripts.get(name, [DEFAULT])
        self.asked[name, kind] += 1
        return script[min(self.asked[name, kind], len(script)) - 1]

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Ask over UDP; a `Resolver` of the outbound client."""
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = [HOST], self.port, ANSWER_WITHIN_SECONDS
        try:
            return list((await resolver.resolve_name(host, search=False)).addresses())
        except dns.exception.DNSException as error:
            raise OSError(f"{host} has no address") from error


def _add(answer: dns.message.Message, name: str, kind: str, values: Sequence[str]) -> None:
    if values:
        answer.answer.append(dns.rrset.from_text_list(f"{name}.", 0, "IN", kind, values))


@asynccontextmanager
async def name_server(scripts: Mapping[str, Sequence[Line]]) -> AsyncIterator[NameServer]:
    """A server on a free port, until the block ends."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(scripts), local_addr=(HOST, 0))
    try:
        yield server
    finally:
        transport.close()
