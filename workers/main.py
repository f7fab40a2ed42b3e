# SPDX-License-Identifier: EUPL-1.2
"""The background processes: `python -m workers.main short|long|outward|all|relay`.

A worker ends when Valkey goes, and its supervisor starts it again; the relay goes on sweeping without it.
"""

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import structlog

from services.kernel.dispatch import Dispatcher
from services.kernel.runtime import open_runtime
from services.kernel.settings import NotConfigured, Settings, read_settings
from services.kernel.telemetry import configure_logging
from workers import queue
from workers.deliver import Deliverer
from workers.queue import Lane
from workers.relay import Relay

LANES = {**{lane.value: (lane,) for lane in Lane}, "all": tuple(Lane)}

log = structlog.get_logger()


async def work(settings: Settings, lanes: tuple[Lane, ...]) -> None:
    """Take rings of some lanes until stopped."""
    async with open_runtime(settings) as runtime, asyncio.TaskGroup() as tasks:
        deliverer = Deliverer(runtime, random.Random())  # noqa: S311  jitter, not secrets
        for lane in lanes:
            tasks.create_task(queue.serve(settings.valkey_url, lane, deliverer.run))


async def relay(settings: Settings) -> None:
    """Sweep until stopped."""
    dispatcher = Dispatcher(settings.database_url_as("belfry_relay"))
    try:
        await Relay(dispatcher, settings.valkey_url).run()
    finally:
        await dispatcher.close()


async def _until_stopped(running: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(running)
    loop = asyncio.get_running_loop()
    for stop in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main(arguments: list[str]) -> int:
    """The process named by the one argument. Returns its exit code."""
    name = arguments[0] if len(arguments) == 1 else ""
    if name != "relay" and name not in LANES:
        sys.stderr.write("usage: python -m workers.main short|long|outward|all|relay\n")
        return 2
    try:
        settings = read_settings()
    except NotConfigured as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging(settings.log_level)
    asyncio.run(_until_stopped(relay(settings) if name == "relay" else work(settings, LANES[name])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
