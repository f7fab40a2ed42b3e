# SPDX-License-Identifier: EUPL-1.2
"""Which module is which process: the one place that knows the edges, as text."""

import os
import sys
from enum import StrEnum
from typing import NoReturn

from services.embedded import CHECKOUT, ChildCommand

API = "graphql_schema.app"
WORKERS = "workers.main"
SCHEMA = "graphql_schema.schema"
SCENARIO = "services.demo.scenario"
COMMAND_LINE = "services.cli"


class WorkerClass(StrEnum):
    """A worker takes jobs of one class, by how long they run or whom they wait for, or of all on a small machine."""

    SHORT = "short"
    LONG = "long"
    OUTWARD = "outward"
    ALL = "all"


def python_module(module: str, *arguments: str) -> tuple[str, ...]:
    """The command line that runs `module` with this interpreter."""
    return (sys.executable, "-m", module, *arguments)


def migrate() -> ChildCommand:
    """Brings the database up to date and ends."""
    return ChildCommand("migrate", python_module(COMMAND_LINE, "migrate"), title="Migrations")


def seed() -> ChildCommand:
    """Writes the demo organizations and ends."""
    return ChildCommand("seed", python_module(COMMAND_LINE, "seed"), title="Demo data, eight weeks of it")


def scenario() -> ChildCommand:
    """Plays the demo scenario against the running system and ends."""
    return ChildCommand("scenario", python_module(SCENARIO), title="Demo scenario")


def serving() -> tuple[ChildCommand, ...]:
    """The processes of a running system, the API first."""
    return (
        ChildCommand("api", python_module(API)),
        ChildCommand("worker", python_module(WORKERS, WorkerClass.ALL.value)),
        ChildCommand("relay", python_module(WORKERS, "relay")),
    )


def become(*command: str) -> NoReturn:
    """Replace this process, so that signals and the exit code are the program's own. Runs in the checkout."""
    os.chdir(CHECKOUT)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)
