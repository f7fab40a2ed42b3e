# SPDX-License-Identifier: EUPL-1.2
"""The only HTTP client of the project: it cannot be steered inside, and it knows whether a request left.

    OutboundError           `reason`, `host`; never a body, a header or a token
    ├── NotSent             not one byte of the request was handed to the network: repeating is safe
    └── OutcomeUnknown      at least one byte was, and no complete answer came back: repeating may act twice

Every request has a connection of its own. A pooled connection could be closed by the server in the moment we write,
which would turn a request that never arrived into an unknown outcome. The name is resolved once, all its addresses
are judged, and the connection goes to a judged address: there is no second lookup that could answer differently.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self, cast

import httpcore2
import httpx2

from services.kernel.addresses import Target, UrlRefused, address_refusal, literal_address, target_of

ANSWERS_MAX = 32
ADDRESSES_TRIED_MAX = 4
CONNECTIONS_MAX = 64
USER_AGENT = "Belfry"

# These decide where a message ends or where it goes; they follow from the URL and the body alone.
HEADERS_NOT_FOR_CALLERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) → every address of the host as text; raises OSError when the name has none."""


class FailureReason(StrEnum):
    """Why a request has no answer. The first four are our own refusals: a repeat is refused again."""

    URL_REFUSED = "URL_REFUSED"
    HEADER_REFUSED = "HEADER_REFUSED"
    ADDRESS_REFUSED = "ADDRESS_REFUSED"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    NAME_NOT_RESOLVED = "NAME_NOT_RESOLVED"
    CONNECTION_FAILED = "CONNECTION_FAILED"
    TLS_FAILED = "TLS_FAILED"
    TIMED_OUT = "TIMED_OUT"
    CONNECTION_CUT = "CONNECTION_CUT"
    ANSWER_TOO_LARGE = "ANSWER_TOO_LARGE"
    ANSWER_UNREADABLE = "ANSWER_UNREADABLE"


OUR_REFUSALS = frozenset(
    {
        FailureReason.URL_REFUSED,
        FailureReason.HEADER_REFUSED,
        FailureReason.ADDRESS_REFUSED,
        FailureReason.REQUEST_TOO_LARGE,
    }
)


class OutboundError(Exception):
    """A request without a complete answer. `detail` is our own words, never the other side's."""

    def __init__(self, reason: FailureReason, host: str, detail: str = "") -> None:
        self.reason, self.host, self.detail = reason, host, detail
        super().__init__(f"{reason} {host} {detail}".strip())


class NotSent(OutboundError):
    """Nothing was written, so nothing can have happened on the other side."""

    @property
    def refused_by_us(self) -> bool:
        """True when the client itself refused the request: waiting will not change the answer."""
        return self.reason in OUR_REFUSALS


class OutcomeUnknown(OutboundError):
    """The request was at least partly written. `status` is the answer's, if its head had arrived."""

    def __init__(self, reason: FailureReason, host: str, detail: str = "", *, status: int | None = None) -> None:
        self.status = status
        super().__init__(reason, host, detail)


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """Seconds and bytes that bound one request; the total covers lookup, connection, request and answer."""

    connect_seconds: float = 5.0
    read_seconds: float = 15.0
    total_seconds: float = 30.0
    request_bytes_max: int = 1_048_576
    answer_bytes_max: int = 4_194_304


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer of any status, redirects included: they are answers here, never followed.

    Header names are in lower case. The body is kept out of the representation.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(slots=True)
class _Sending:
    """What is known about one request while it is under way."""

    port: int
    addresses: tuple[str, ...] = ()
    written: bool = False
    status: int | None = None


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Ask the operating system; the answers are in its order of preference."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(answer[4][0]) for answer in found]


class OutboundClient:
    """Sends one request at a time to public https servers, or to the `host:port` pairs that were listed.

    A listed pair may use plain http, any port and any address; nothing else may. `tls` replaces the default trust
    store. The client is safe to share between tasks and keeps no state of one request for the next: no cookies,
    no connections, no credentials.
    """

    def __init__(
        self,
        *,
        allowed: frozenset[str] = frozenset(),
        limits: OutboundLimits | None = None,
        resolver: Resolver = system_resolver,
        tls: ssl.SSLContext | None = None,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self._allowed = frozenset(entry.lower() for entry in allowed)
        self._limits = limits or OutboundLimits()
        self._resolver = resolver
        self._places = asyncio.Semaphore(connections_max)
        self._client = httpx2.AsyncClient(
            transport=_PinnedTransport(tls or httpx2.create_ssl_context(trust_env=False)),
            timeout=httpx2.Timeout(self._limits.read_seconds, connect=self._limits.connect_seconds),
            headers={"user-agent": USER_AGENT, "accept-encoding": "identity", "connection": "close"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            trust_env=False,
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Sequence[tuple[str, str]] = (),
        content: bytes = b"",
        answer_bytes_max: int | None = None,
    ) -> Answer:
        """Send exactly one request and return its answer, whatever its status.

        Raises NotSent or OutcomeUnknown. Cancellation passes through: a caller that is cancelled must treat the
        outcome as unknown.
        """
        try:
            target = target_of(url, params, self._allowed)
        except UrlRefused as refusal:
            raise NotSent(FailureReason.URL_REFUSED, "", str(refusal)) from refusal
        if len(content) > self._limits.request_bytes_max:
            raise NotSent(FailureReason.REQUEST_TOO_LARGE, target.host)
        if not all(_is_header_for_callers(name, value) for name, value in (headers or {}).items()):
            raise NotSent(FailureReason.HEADER_REFUSED, target.host)
        sending = _Sending(target.port)
        bytes_max = answer_bytes_max or self._limits.answer_bytes_max
        try:
            async with asyncio.timeout(self._limits.total_seconds), self._places:
                sending.addresses = await self._judged_addresses(target)
                request = self._client.build_request(
                    method, target.url, headers=headers, content=content or None, extensions={"sending": sending}
                )
                return await self._exchange(request, sending, bytes_max)
        except (httpcore2.TimeoutException, httpx2.TimeoutException, TimeoutError) as error:
            raise _failure(sending, FailureReason.TIMED_OUT, target.host) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.HTTPError, OSError) as error:
            raise _failure(sending, _reason(sending, error), target.host) from error

    async def aclose(self) -> None:
        """Release the client; requests under way are not waited for."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _exchange(self, request: httpx2.Request, sending: _Sending, bytes_max: int) -> Answer:
        response = await self._client.send(request, stream=True)
        try:
            sending.status = response.status_code
            if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
                raise _failure(sending, FailureReason.ANSWER_UNREADABLE, request.url.host, "compressed unasked")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > bytes_max:
                    raise _failure(sending, FailureReason.ANSWER_TOO_LARGE, request.url.host)
            return Answer(response.status_code, dict(response.headers), bytes(body))
        finally:
            await response.aclose()

    async def _judged_addresses(self, target: Target) -> tuple[str, ...]:
        if literal_address(target.host) is not None:
            found: Sequence[str] = [target.host]
        else:
            try:
                found = await self._resolver(target.host, target.port)
            except TimeoutError:
                raise
            except (OSError, UnicodeError) as error:
                raise NotSent(FailureReason.NAME_NOT_RESOLVED, target.host) from error
        if not 1 <= len(found) <= ANSWERS_MAX:
            raise NotSent(FailureReason.NAME_NOT_RESOLVED, target.host, f"{len(found)} addresses")
        if target.listed:
            return tuple(found)
        # One private address among public ones is a trap, or a mistake that must not depend on the order of answers.
        for address in found:
            refusal = address_refusal(address)
            if refusal is not None:
                raise NotSent(FailureReason.ADDRESS_REFUSED, target.host, refusal)
        return tuple(found)


class _PinnedTransport(httpx2.AsyncBaseTransport):
    """One new connection per request, to the addresses that were judged for it."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        sending: _Sending = request.extensions["sending"]
        url = httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=sending.port,
            target=request.url.raw_path,
        )
        connection = httpcore2.AsyncHTTPConnection(
            origin=url.origin, ssl_context=self._tls, retries=0, network_backend=_PinnedBackend(sending)
        )
        try:
            response = await connection.handle_async_request(
                httpcore2.Request(
                    request.method,
                    url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={"timeout": request.extensions["timeout"]},
                )
            )
        except BaseException:
            await connection.aclose()
            raise
        return httpx2.Response(
            response.status, headers=response.headers, stream=_AnswerStream(response.stream, connection)
        )


class _AnswerStream(httpx2.AsyncByteStream):
    """The body as it arrives; closing it closes the connection, which serves no second request."""

    def __init__(self, stream: Any, connection: httpcore2.AsyncHTTPConnection) -> None:
        self._stream, self._connection = stream, connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        await self._connection.aclose()


class _PinnedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to the judged addresses in turn and ignores the host name it is asked for."""

    def __init__(self, sending: _Sending) -> None:
        self._sending = sending
        # The package defines this name twice, so a type checker may see the stand-in for a missing anyio.
        self._backend = cast("httpcore2.AsyncNetworkBackend", cast("object", httpcore2.AnyIOBackend()))

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = self._sending.addresses[:ADDRESSES_TRIED_MAX]
        share = None if timeout is None else timeout / len(addresses)
        failure: Exception = httpcore2.ConnectError("no address")
        for address in addresses:
            try:
                stream = await self._backend.connect_tcp(address, port, timeout=share, local_address=local_address)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _RecordingStream(stream, self._sending)
        raise failure


class _RecordingStream(httpcore2.AsyncNetworkStream):
    """Notes the first byte of the request, not of a TLS handshake: that one runs beneath this stream."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream, sending: _Sending) -> None:
        self._stream, self._sending = stream, sending

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # Noted before the call: once bytes are handed over, a failure cannot tell how many of them left.
        if buffer:
            self._sending.written = True
        await self._stream.write(buffer, timeout)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        return _RecordingStream(await self._stream.start_tls(ssl_context, server_hostname, timeout), self._sending)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _is_header_for_callers(name: str, value: str) -> bool:
    # Tokens come from other servers: a line break in one would write headers of its own.
    return name.lower() not in HEADERS_NOT_FOR_CALLERS and (name + value).isascii() and (name + value).isprintable()


def _failure(sending: _Sending, reason: FailureReason, host: str, detail: str = "") -> OutboundError:
    if sending.written:
        return OutcomeUnknown(reason, host, detail, status=sending.status)
    return NotSent(reason, host, detail)


def _reason(sending: _Sending, error: BaseException) -> FailureReason:
    if isinstance(error, (httpcore2.ProtocolError, httpx2.ProtocolError)) and sending.status is not None:
        return FailureReason.ANSWER_UNREADABLE
    if sending.written:
        return FailureReason.CONNECTION_CUT
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, ssl.SSLError):
            return FailureReason.TLS_FAILED
        chain = chain.__cause__ or chain.__context__
    return FailureReason.CONNECTION_FAILED
