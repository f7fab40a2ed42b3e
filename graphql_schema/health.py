# SPDX-License-Identifier: EUPL-1.2
"""Whether this process lives, and whether the parts it needs are well. Anonymous: it names no host and no version."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import structlog
from sqlalchemy import column, select, table
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from services.kernel.isolation import SCHEMA
from services.kernel.migrations import ROOT
from services.kernel.runtime import Runtime

CHECK_SECONDS_MAX = 2.0
HEARTBEATS = "belfry:health:"
"""Every worker, and the relay, keeps one key that begins so alive in Valkey."""
RELAY = f"{HEARTBEATS}relay:"
KEYS_SCANNED_AT_ONCE = 1_000
REVISION = re.compile(r"^(down_)?revision\b[^=\n]*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)
MIGRATIONS = ROOT / "alembic" / "versions"
HEADERS = {"Cache-Control": "no-store"}
log = structlog.get_logger()


class NotWell(Exception):
    """A part is not as it must be. The message is for whoever asks, and names no secret."""


def health_routes(runtime: Runtime) -> Sequence[BaseRoute]:
    """`/healthz` and `/readyz`."""
    newest = newest_revision(MIGRATIONS)
    checks: dict[str, Callable[[], Awaitable[None]]] = {
        "database": lambda: _database(runtime),
        "valkey": lambda: _valkey(runtime),
        "migrations": lambda: _migrations(runtime, newest),
        "worker": lambda: _alive(runtime, relay=False),
        "relay": lambda: _alive(runtime, relay=True),
    }

    async def healthz(_request: Request) -> Response:
        return _json({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        found = await asyncio.gather(*(_state(name, check) for name, check in checks.items()))
        parts = dict(zip(checks, found, strict=True))
        ready = all(part["ok"] for part in parts.values())
        return _json({"status": "ready" if ready else "not ready", "parts": parts}, 200 if ready else 503)

    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]


def newest_revision(folder: Path) -> str:
    """The revision that no other one follows, read from the files: Alembic itself is heavy and not needed to serve."""
    revisions: set[str] = set()
    followed: set[str] = set()
    for file in sorted(folder.glob("*.py")):
        for down, name in REVISION.findall(file.read_text(encoding="utf-8")):
            (followed if down else revisions).add(name)
    heads = revisions - followed
    if len(heads) != 1:
        raise ValueError(f"{folder.name} has {len(heads)} newest revisions: {sorted(heads)}.")
    return heads.pop()


async def _state(name: str, check: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            await check()
    except NotWell as error:
        return {"ok": False, "reason": str(error)}
    except Exception as error:  # noqa: BLE001  whatever is broken, the answer is: not ready
        log.warning("part_not_well", part=name, kind=type(error).__name__)
        return {
            "ok": False,
            "reason": "It did not answer in time." if isinstance(error, TimeoutError) else "It failed.",
        }
    return {"ok": True}


async def _database(runtime: Runtime) -> None:
    async with runtime.database.directory() as directory:
        await directory.check()


async def _valkey(runtime: Runtime) -> None:
    await runtime.valkey.ping()  # pyright: ignore[reportGeneralTypeIssues, reportUnknownMemberType]


async def _migrations(runtime: Runtime, newest: str) -> None:
    applied = select(column("version_num")).select_from(table("alembic_version", schema=SCHEMA))
    async with runtime.database.directory() as directory:
        found = await directory.scalars(applied)
    if found != [newest]:
        raise NotWell(f"The database stands at revision {', '.join(found) or 'none'}, the code at {newest}.")


async def _alive(runtime: Runtime, *, relay: bool) -> None:
    async for key in runtime.valkey.scan_iter(match=f"{HEARTBEATS}*", count=KEYS_SCANNED_AT_ONCE):  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if key.startswith(RELAY.encode()) is relay:
            return
    raise NotWell("The relay has not reported." if relay else "No worker has reported.")


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, HEADERS, media_type="application/json")
