# SPDX-License-Identifier: EUPL-1.2
"""A whole installation as a stranger has it: `belfry up` in a folder of its own, and clients that speak HTTP to it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import websockets

CHECKOUT = Path(__file__).resolve().parents[2]
READY_SECONDS_MAX = 180
STOP_SECONDS_MAX = 30
EVENTUALLY_SECONDS_MAX = 60
TRIES = 10
RETRY_SECONDS = 2
SUBPROTOCOL = websockets.Subprotocol("graphql-transport-ws")


@dataclass
class Installation:
    """A running `belfry up`. Everything a test knows of it comes over HTTP or from the command line."""

    url: str
    data: Path
    process: "subprocess.Popen[bytes]"
    tokens: dict[tuple[str, ...], str] = field(default_factory=dict[tuple[str, ...], str])

    def token(self, organization: str, role: str, *, department: str | None = None, person: int = 1) -> str:
        """What `belfry token` prints."""
        key = (organization, role, department or "", str(person))
        if key not in self.tokens:
            narrowed = ["--department", department] if department else []
            asked = ["token", "--organization", organization, "--role", role, "--person", str(person), *narrowed]
            printed = subprocess.run(
                [*_command(), *asked, "--data", str(self.data)],
                cwd=CHECKOUT,
                capture_output=True,
                check=True,
                timeout=60,
            )
            self.tokens[key] = printed.stdout.decode().strip()
        return self.tokens[key]

    def child(self, name: str) -> int:
        """The pid of one of its processes, from its state file."""
        return json.loads((self.data / "state.json").read_text())["children"][name]

    @asynccontextmanager
    async def person(
        self, organization: str, role: str, *, department: str | None = None, person: int = 1
    ) -> AsyncIterator["Client"]:
        """Somebody with a token, as a GraphQL client."""
        bearer = await asyncio.to_thread(self.token, organization, role, department=department, person=person)
        async with httpx2.AsyncClient(base_url=self.url, timeout=30) as http:
            yield Client(http, bearer)


class Refused(AssertionError):
    """The API answered with errors; `codes` are theirs."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        self.codes = [error["extensions"]["code"] for error in errors]
        super().__init__(json.dumps(errors))


@dataclass
class Client:
    """GraphQL over HTTP, and over a socket."""

    http: httpx2.AsyncClient
    bearer: str

    async def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer without errors. An empty bucket is waited for, as the answer says."""
        asked, headers = {"query": document, "variables": variables}, {"Authorization": f"Bearer {self.bearer}"}
        while (answer := await self.http.post("/graphql", json=asked, headers=headers)).status_code == 429:
            await asyncio.sleep(int(answer.headers["Retry-After"]))
        body = answer.json()
        if body.get("errors"):
            raise Refused(body["errors"])
        return body["data"]

    async def do(self, mutation: str, selection: str, **given: Any) -> dict[str, Any]:
        """The payload of a mutation named `nounVerb`, with its user errors."""
        input_type = f"{mutation[0].upper()}{mutation[1:]}Input"
        document = (
            f"mutation($input: {input_type}!) {{ {mutation}(input: $input) "
            f"{{ {selection} userErrors {{ code message field }} }} }}"
        )
        for _ in range(TRIES):
            try:
                return (await self.ask(document, input=given))[mutation]
            except Refused as refused:  # a busy machine says: try again in a moment; nothing was done
                if refused.codes != ["SERVICE_UNAVAILABLE"]:
                    raise
            await asyncio.sleep(RETRY_SECONDS)
        raise AssertionError("the service stayed unavailable")

    @asynccontextmanager
    async def live(self, document: str, **variables: Any) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The events of a subscription, as they come."""
        address = str(self.http.base_url).replace("http", "ws", 1).rstrip("/") + "/graphql"
        async with websockets.connect(address, subprotocols=[SUBPROTOCOL]) as socket_:
            hello = {"type": "connection_init", "payload": {"authorization": f"Bearer {self.bearer}"}}
            await socket_.send(json.dumps(hello))
            assert json.loads(await socket_.recv())["type"] == "connection_ack"
            payload = {"query": document, "variables": variables}
            await socket_.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            yield _events(socket_)


async def _events(connection: Any) -> AsyncIterator[dict[str, Any]]:
    async for frame in connection:
        message = json.loads(frame)
        if message["type"] == "ping":
            await connection.send(json.dumps({"type": "pong"}))
        elif message["type"] == "next":
            assert "errors" not in message["payload"], message
            yield message["payload"]["data"]
        elif message["type"] in ("error", "complete"):
            raise AssertionError(message)


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = EVENTUALLY_SECONDS_MAX) -> Any:
    """The first true answer of `look`. The bound is generous: it ends a failing test, it measures nothing."""
    deadline = time.monotonic() + seconds
    while True:
        found = await look()
        if found or time.monotonic() > deadline:
            assert found, "what was waited for never came"
            return found
        await asyncio.sleep(0.2)


@contextmanager
def running_installation(data: Path, environment: Mapping[str, str]) -> Iterator[Installation]:
    """Start everything, wait until it says that it is ready, and stop it again."""
    port = free_port()
    log = data.parent / f"up-{uuid4().hex[:8]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_command(), "up", "--port", str(port), "--data", str(data)],
            cwd=CHECKOUT,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(process, log)
        yield Installation(f"http://127.0.0.1:{port}", data, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS_MAX)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _wait_until_ready(process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while "Belfry is ready at" not in log.read_text():
        ended = process.poll() is not None
        assert not ended and time.monotonic() < deadline, f"it did not start:\n{log.read_text()}"
        time.sleep(0.1)


def _command() -> list[str]:
    return [sys.executable, "-m", "services.cli"]
