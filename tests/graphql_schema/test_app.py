# SPDX-License-Identifier: EUPL-1.2
"""The process and its health: what is ready, what is not, and how it starts and fails to start."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis.asyncio as redis

from graphql_schema import health
from graphql_schema.health import MIGRATIONS, newest_revision
from graphql_schema.schema import ApiSchema
from services.kernel.settings import Settings
from tests.graphql_schema.serving import Served, served
from tests.graphql_schema.small_schema import small_schema
from tests.support.organizations import TestOrganization
from tests.support.servers import KEY, make_settings

WORKER_KEY, RELAY_KEY = "belfry:health:short:here:1", "belfry:health:relay:here:2"
ROOT = Path(__file__).resolve().parents[2]
PARTS = {"database", "valkey", "migrations", "worker", "relay"}
WITHIN_SECONDS = 60


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[redis.Redis]:
    """The Valkey of this process, without any worker."""
    client = redis.Redis.from_url(valkey_url)  # pyright: ignore[reportUnknownMemberType]
    await client.delete(*[key async for key in client.scan_iter(match=f"{health.HEARTBEATS}*")], "none")
    yield client
    await client.delete(WORKER_KEY, RELAY_KEY)
    await client.aclose()


@pytest.fixture(scope="session")
def schema() -> ApiSchema:
    return small_schema()


async def readiness(api: Served) -> tuple[int, dict[str, Any]]:
    answer = await api.get("/readyz")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert set(body["parts"]) == PARTS
    assert body["status"] == ("ready" if answer.status_code == 200 else "not ready")
    return answer.status_code, {name: part["ok"] for name, part in body["parts"].items()}


async def test_ready_means_every_part_is_well(api: Served, valkey: redis.Redis) -> None:
    well = dict.fromkeys(PARTS, True)
    assert await readiness(api) == (503, well | {"worker": False, "relay": False})
    await valkey.set(RELAY_KEY, "1")
    assert await readiness(api) == (503, well | {"worker": False})  # the relay's word says nothing of a worker
    await valkey.set(WORKER_KEY, "1")
    assert await readiness(api) == (200, well)
    await valkey.delete(RELAY_KEY)
    assert await readiness(api) == (503, well | {"relay": False})


async def test_a_database_and_a_valkey_that_are_away_are_told_and_nothing_else_is(
    database_urls: Mapping[str, str], schema: ApiSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "newest_revision", lambda _: "9999")
    closed = dict.fromkeys(database_urls, "postgresql://belfry_app:secret@127.0.0.1:1/away")
    async with served(make_settings(closed, "redis://127.0.0.1:1/0"), schema) as api:
        status, parts = await readiness(api)
        assert (status, parts) == (503, dict.fromkeys(PARTS, False))
        text = (await api.get("/readyz")).text
        assert "secret" not in text
        assert "127.0.0.1" not in text
        assert (await api.get("/healthz")).status_code == 200


async def test_a_revision_that_the_code_does_not_know_is_not_ready(
    edge_settings: Settings, schema: ApiSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "newest_revision", lambda _: "9999")
    async with served(edge_settings, schema) as api:
        body = (await api.get("/readyz")).json()
        assert body["parts"]["migrations"]["ok"] is False
        assert "9999" in body["parts"]["migrations"]["reason"]


async def test_a_part_that_does_not_answer_is_waited_for_two_seconds_at_most(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert health.CHECK_SECONDS_MAX == 2
    monkeypatch.setattr(health, "CHECK_SECONDS_MAX", 0.05)

    async def never(*_: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(health, "_valkey", never)
    assert (await readiness(api))[1]["valkey"] is False


def test_the_newest_revision_is_read_from_the_files(tmp_path: Path) -> None:
    assert newest_revision(MIGRATIONS) == max(file.name[:4] for file in MIGRATIONS.glob("*.py"))
    (tmp_path / "1.py").write_text('revision = "a"\ndown_revision = None\n')
    (tmp_path / "2.py").write_text('revision: str = "b"\ndown_revision: str | None = "a"\n')
    assert newest_revision(tmp_path) == "b"
    (tmp_path / "3.py").write_text('revision = "c"\ndown_revision = "a"\n')
    with pytest.raises(ValueError, match="2 newest revisions"):
        newest_revision(tmp_path)


# The process.


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def environment(urls: Mapping[str, str], valkey_url: str, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BELFRY_")}
    return kept | {
        "BELFRY_ENVIRONMENT": "test",
        "BELFRY_DATABASE_URL": urls["belfry_app"].replace("+asyncpg", ""),
        "BELFRY_VALKEY_URL": valkey_url,
        "BELFRY_KEY": KEY,
        "BELFRY_PORT": str(port),
    }


async def start(variables: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "graphql_schema.app", cwd=ROOT, env=dict(variables),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_a_port_in_use_is_one_line_and_a_failure(
    database_urls: Mapping[str, str], valkey_url: str, taken_port: int
) -> None:
    process = await start(environment(database_urls, valkey_url, taken_port))
    async with asyncio.timeout(WITHIN_SECONDS):
        out, error = await process.communicate()
    assert process.returncode == 1
    assert out == b""
    assert error.decode().splitlines() == [f"Cannot listen on 127.0.0.1:{taken_port}: Address already in use."]


async def test_a_missing_setting_is_one_line_and_a_failure(database_urls: Mapping[str, str], valkey_url: str) -> None:
    variables = environment(database_urls, valkey_url, 1)
    del variables["BELFRY_DATABASE_URL"]
    process = await start(variables)
    async with asyncio.timeout(WITHIN_SECONDS):
        _, error = await process.communicate()
    assert process.returncode == 2
    assert error.decode().splitlines() == [
        "The configuration is not complete:",
        "  BELFRY_DATABASE_URL: Field required",
    ]


async def test_the_process_serves_logs_json_and_ends_when_it_is_told_to(
    database_urls: Mapping[str, str], valkey_url: str, token: str
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await start(environment(database_urls, valkey_url, port))
    try:
        import httpx2

        async with asyncio.timeout(WITHIN_SECONDS):
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                while True:
                    try:
                        alive = await client.get("/healthz")
                        break
                    except httpx2.TransportError:
                        assert process.returncode is None
                        await asyncio.sleep(0.1)
                assert alive.json() == {"status": "ok"}
                assert "server" not in alive.headers
                headers = {"Authorization": f"Bearer {token}"}
                viewer = await client.post("/graphql", json={"query": "{ viewer { roles } }"}, headers=headers)
                assert viewer.json()["data"] == {"viewer": {"roles": ["COORDINATOR"]}}
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN_SECONDS):
            _, error = await process.communicate()
    lines = [orjson.loads(line) for line in error.splitlines()]
    assert [each["route"] for each in lines if each["event"] == "answered"] == ["/healthz", "/graphql"]
    assert token not in error.decode()


@pytest.mark.parametrize("trusted", [frozenset[str](), frozenset({"127.0.0.0/8"})])
async def test_only_a_trusted_proxy_says_who_is_counted(
    edge_settings: Settings, home: TestOrganization, trusted: frozenset[str]
) -> None:
    async with served(edge_settings.model_copy(update={"trusted_proxies": trusted}), schema=small_schema()) as api:
        statuses: set[int] = set()
        for number in range(61):
            told = {"X-Forwarded-For": f"192.0.2.{number}"}
            statuses.add((await api.client.post(f"/contact/{home.slug}", json={"text": ""}, headers=told)).status_code)
    assert statuses == ({404} if trusted else {404, 429})  # this organization has no form; too many is told first
