# SPDX-License-Identifier: EUPL-1.2
"""What `./belfry doctor` looks at: each finding is one line."""

import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from services.embedded import EmbeddedError, check_port_is_free, program_versions, read_state

PYTHON_MIN, PYTHON_MAX = (3, 11), (3, 14)
DISK_BYTES_MIN = 1_000_000_000
PACKAGES = ("strawberry-graphql", "starlette", "sqlalchemy", "asyncpg", "arq")


class Verdict(StrEnum):
    """What a finding means for `./belfry up`."""

    GOOD = "ok"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    verdict: Verdict
    about: str


def findings(root: Path, port: int) -> Iterator[Finding]:
    """Look at interpreter, packages, servers, data folder and port, in this order; changes nothing."""
    yield _python()
    yield _packages()
    yield _servers()
    yield _disk(root)
    yield _installation(root, port)


def _python() -> Finding:
    fits = PYTHON_MIN <= sys.version_info[:2] <= PYTHON_MAX
    return Finding(
        Verdict.GOOD if fits else Verdict.FAILED,
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}",
    )


def _packages() -> Finding:
    versions: list[str] = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            return Finding(Verdict.FAILED, f"the package {name} is missing: run ./belfry from the checkout")
    return Finding(Verdict.GOOD, "packages: " + ", ".join(versions))


def _servers() -> Finding:
    try:
        return Finding(Verdict.GOOD, "embedded servers: " + ", ".join(program_versions()))
    except EmbeddedError as error:
        return Finding(Verdict.SKIPPED, f"embedded servers: {error}")


def _disk(root: Path) -> Finding:
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    return Finding(
        Verdict.GOOD if free >= DISK_BYTES_MIN else Verdict.FAILED,
        f"data folder {root}: {free / 1e9:.1f} GB free on its disk, {DISK_BYTES_MIN / 1e9:.0f} GB needed",
    )


def _installation(root: Path, port: int) -> Finding:
    try:
        state = read_state(root)
        if state is not None:
            return Finding(Verdict.GOOD, f"Belfry runs on it: process {state.pid}, {state.public_url}")
        check_port_is_free(port)
    except EmbeddedError as error:
        return Finding(Verdict.FAILED, str(error))
    return Finding(Verdict.GOOD, f"port {port} is free, and no Belfry runs on the data folder")
