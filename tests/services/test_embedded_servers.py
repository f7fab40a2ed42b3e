# SPDX-License-Identifier: EUPL-1.2
"""The embedded servers alone: real initdb, PostgreSQL and Valkey, each test in folders of its own."""

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from services.embedded import AlreadyRunning, EmbeddedError, EmbeddedServers, data_root, temporary_servers
from services.embedded.processes import LAST_LINES_MAX, Child, ChildCommand, run_to_end
from services.embedded.progress import Progress

CHECKOUT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.02
PATIENCE_SECONDS = 30
LONG_NAME = "a-folder-with-a-long-name-" * 4
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its servers to another account")


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: its parents are closed to the account that runs the servers when the tests run as root.
    path = Path(tempfile.mkdtemp(prefix="belfry-test-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def servers() -> Iterator[EmbeddedServers]:
    with temporary_servers() as running:
        yield running


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    async def ask() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(ask())


def valkey_says(servers: EmbeddedServers, *words: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(servers.valkey_url().removeprefix("unix://").partition("?")[0])
        connection.sendall(" ".join(words).encode() + b"\r\n")
        return connection.recv(4096)


def wait_for(condition: str, fulfilled: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not fulfilled():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {condition}"
        time.sleep(POLL_SECONDS)


def test_each_login_role_reaches_the_database_and_the_owner_owns_it(servers: EmbeddedServers) -> None:
    for role in ("belfry_owner", "belfry_app", "belfry_relay", "belfry_auditor", "belfry_backup"):
        assert rows(servers.database_url(role), "select current_user, current_database()") == [(role, "belfry")]
    owner = "select pg_get_userbyid(datdba), datlocprovider::text, datlocale from pg_database where datname = 'belfry'"
    assert rows(servers.admin_url, owner) == [("belfry_owner", "b", "PG_UNICODE_FAST")]


def test_the_search_role_cannot_log_in(servers: EmbeddedServers) -> None:
    assert rows(servers.admin_url, "select rolcanlogin from pg_roles where rolname = 'belfry_search'") == [(False,)]
    with pytest.raises(asyncpg.PostgresError):
        rows(servers.database_url("belfry_search"), "select 1")


def test_the_servers_listen_on_private_unix_sockets_only(servers: EmbeddedServers) -> None:
    assert rows(servers.admin_url, "show listen_addresses") == [("",)]
    assert b"port\r\n$1\r\n0\r\n" in valkey_says(servers, "CONFIG", "GET", "port")
    assert stat.S_IMODE(servers.socket_folder.stat().st_mode) == 0o700


def test_a_valkey_database_number_stands_in_its_url(servers: EmbeddedServers) -> None:
    assert servers.valkey_url(63).endswith("valkey?db=63")
    assert valkey_says(servers, "SELECT", "63") == b"+OK\r\n"


@as_root
def test_as_root_a_wrong_password_is_refused(servers: EmbeddedServers) -> None:
    url = servers.database_url("belfry_app")
    password = url.partition("@")[0].rpartition(":")[2]
    with pytest.raises(asyncpg.InvalidPasswordError):
        rows(url.replace(password, "wrong"), "select 1")


def test_only_forgetful_servers_skip_the_disk(folder: Path, servers: EmbeddedServers) -> None:
    settings = "select setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit')"
    assert rows(servers.admin_url, settings) == [("off",)] * 3
    with EmbeddedServers(folder / "data") as durable:
        assert rows(durable.admin_url, settings) == [("on",)] * 3
        assert b"yes" in valkey_says(durable, "CONFIG", "GET", "appendonly")


def test_what_was_committed_is_there_after_a_second_start(folder: Path) -> None:
    with EmbeddedServers(folder / "data") as first:
        rows(first.admin_url, "create table kept (n int)")
        rows(first.admin_url, "insert into kept select generate_series(1, 1000)")
        valkey_says(first, "SET", "kept", "1")
        address = first.admin_url
    with EmbeddedServers(folder / "data") as second:
        assert second.admin_url == address
        assert rows(second.admin_url, "select count(*) from kept") == [(1000,)]
        assert valkey_says(second, "GET", "kept") == b"$1\r\n1\r\n"


def test_a_path_with_a_space_and_a_long_path_get_a_short_private_socket_folder(folder: Path) -> None:
    root = folder / "with a space" / LONG_NAME
    with EmbeddedServers.forgetful(root) as servers:
        short = servers.socket_folder
        assert (root / "sockets").readlink() == short
        assert len(os.fsencode(short / ".s.PGSQL.5432")) < 90
        assert stat.S_IMODE(short.stat().st_mode) == 0o700
        assert rows(servers.database_url("belfry_app"), "select 1") == [(1,)]
    assert not short.exists()


def test_a_second_owner_is_refused_with_the_first_ones_pid(servers: EmbeddedServers) -> None:
    with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}") as refusal:
        EmbeddedServers.forgetful(servers.root.path).start()
    assert refusal.value.owner_pid == os.getpid()
    assert rows(servers.admin_url, "select 1") == [(1,)]


def test_a_killed_initdb_leaves_nothing_that_looks_finished(folder: Path) -> None:
    root = folder / "data"
    code = (
        "import sys, pathlib; from services.embedded import EmbeddedServers as E; E(pathlib.Path(sys.argv[1])).start()"
    )
    starting = subprocess.Popen([sys.executable, "-c", code, str(root)], cwd=CHECKOUT)
    wait_for("initdb is at work", (root / "postgres.new" / "base").exists)
    starting.send_signal(signal.SIGKILL)
    starting.wait()
    assert not (root / "postgres").exists()
    with EmbeddedServers.forgetful(root) as servers:
        assert rows(servers.database_url("belfry_app"), "select 1") == [(1,)]
        assert not (root / "postgres.new").exists()


def test_a_folder_with_other_files_is_refused_and_left_as_it_is(folder: Path) -> None:
    folder.joinpath("letter.txt").write_text("mine")
    with pytest.raises(EmbeddedError, match="holds other files"):
        EmbeddedServers(folder).start()
    assert [path.name for path in folder.iterdir()] == ["letter.txt"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_a_file_is_not_a_data_folder(folder: Path) -> None:
    folder.joinpath("letter.txt").write_text("mine")
    with pytest.raises(EmbeddedError, match="is a file"):
        EmbeddedServers(folder / "letter.txt").start()


@as_root
def test_a_data_folder_of_an_ordinary_user_is_refused_to_root(folder: Path) -> None:
    root = folder / "data"
    root.mkdir()
    os.chown(root, 12_345, 12_345)
    with pytest.raises(EmbeddedError, match="belongs to the user 12345"):
        EmbeddedServers(root).start()


@as_root
def test_as_root_a_closed_parent_stays_closed_and_the_files_go_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_root, "ROOT_STATE_FOLDER", folder / "state")
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedServers.forgetful(closed / "data") as servers:
        assert rows(servers.database_url("belfry_app"), "select 1") == [(1,)]
        assert servers.root.server_folder.parent == folder / "state"
        elsewhere = servers.root.server_folder
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    with EmbeddedServers.forgetful(closed / "data") as servers:
        assert servers.root.server_folder == elsewhere
    shutil.rmtree(elsewhere)
    with pytest.raises(EmbeddedError, match="which is gone"):
        EmbeddedServers.forgetful(closed / "data").start()


def test_the_lock_is_free_again_after_a_stop(folder: Path) -> None:
    servers = EmbeddedServers.forgetful(folder / "data")
    servers.start()
    servers.stop()
    with (folder / "data" / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_child_that_fails_is_told_with_its_last_lines(folder: Path) -> None:
    script = "i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo line $i; done; exit 3"
    child = Child(ChildCommand("talker", ("/bin/sh", "-c", script)), log=folder / "log", environment={}, folder=folder)
    with pytest.raises(EmbeddedError, match=r"talker ended with code 3\.") as failure:
        run_to_end(child)
    told = str(failure.value).splitlines()
    assert f"    line {50 - LAST_LINES_MAX + 1}" in told
    assert f"    line {50 - LAST_LINES_MAX}" not in told


def test_a_program_that_is_not_there_is_an_expected_failure(folder: Path) -> None:
    child = Child(ChildCommand("ghost", ("/no/such/program",)), log=folder / "log", environment={}, folder=folder)
    with pytest.raises(EmbeddedError, match="ghost cannot be started"):
        child.start()


def test_progress_survives_a_reader_that_went_away() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        os.close(reader)
        progress = Progress(stream)
        with progress.step("Talking"):
            progress.say("to nobody")
        # Whatever is still buffered has nowhere to go; closing the stream must not fail the test.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
