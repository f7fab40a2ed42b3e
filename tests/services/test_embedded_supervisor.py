# SPDX-License-Identifier: EUPL-1.2
"""The supervisor of `up` as a real process, with real servers and small programs in place of API and workers."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from services.embedded import State, read_state
from services.embedded.data_root import is_alive
from services.embedded.environment import with_user

CHECKOUT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.02
PATIENCE_SECONDS = 30
NOBODY = 65_534
# Runs a plan that comes as JSON, as the command line would: expected failures are one sentence and exit code 1.
DRIVER = """
import json, sys
from pathlib import Path
from services.embedded import ChildCommand, EmbeddedError, Plan, Progress, Supervisor
wish = json.loads(sys.argv[1])
def commands(part):
    return [ChildCommand(name, tuple(argv)) for name, argv in wish.get(part, {}).items()]
plan = Plan(wish["port"], commands("preparations"), commands("first_start"), commands("children"),
            when_ready=next(iter(commands("when_ready")), None))
try:
    Supervisor(Path(wish["data"]), plan, progress=Progress(sys.stdout)).run()
except EmbeddedError as error:
    sys.exit(f"belfry: {error}")
"""
# With servers of somebody else none is started: for what does not concern them, in a tenth of the time.
GIVEN = {
    "BELFRY_DATABASE_URL": "postgresql://belfry_app:pw@db.example/belfry",
    "BELFRY_RELAY_DATABASE_URL": "postgresql://other@db.example/belfry",
    "BELFRY_VALKEY_URL": "redis://valkey.example:6379",
    "BELFRY_KEY": "given",
}
WORKER = ["/bin/sh", "-c", "exec sleep 600"]


class Up:
    """One supervisor process and what it says."""

    def __init__(self, folder: Path, wish: dict[str, Any], account: list[str], environment: Mapping[str, str]) -> None:
        self.data = Path(wish["data"])
        self.output = folder / f"output-{time.monotonic_ns()}"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*account, sys.executable, "-c", DRIVER, json.dumps(wish)],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=CHECKOUT,
                env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment},
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait_ready(self) -> State:
        self.wait_for("ready", lambda: "Belfry is ready at" in self.said)
        state = read_state(self.data)
        assert state is not None
        return state

    def wait_for(self, condition: str, fulfilled: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not fulfilled():
            assert self.process.poll() is None, f"ended before '{condition}': {self.said}"
            assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {condition}: {self.said}"
            time.sleep(POLL_SECONDS)

    def end_with(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def nothing_left(self) -> bool:
        """Every process that descends from the supervisor holds the lock: free means that the last one is gone."""
        with (self.data / "lock").open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True


class Place:
    """A folder for one installation, and the way to run supervisors on it."""

    def __init__(self, folder: Path, account: list[str] | None = None) -> None:
        self.folder = folder
        self.account = account or []
        self.data = folder / "data"
        (folder / "site").mkdir()
        (folder / "site" / "readyz").write_text("ready")
        self.port = free_port()
        server = [sys.executable, "-m", "http.server", str(self.port), "--bind", "127.0.0.1"]
        # Answers GET /readyz while a file of that name stands in the folder.
        self.api = [*server, "--directory", str(folder / "site")]
        self.runs: list[Up] = []

    def up(self, environment: Mapping[str, str] | None = None, **parts: Any) -> Up:
        wish = {"data": str(self.data), "port": self.port, "children": {"api": self.api, "worker": WORKER}, **parts}
        run = Up(self.folder, wish, self.account, environment or {})
        self.runs.append(run)
        return run

    def clean(self) -> None:
        for run in self.runs:
            run.process.kill()
            run.process.wait()
            if (run.data / "lock").exists():
                deadline = time.monotonic() + PATIENCE_SECONDS
                while not run.nothing_left() and time.monotonic() < deadline:
                    time.sleep(POLL_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def new_folder(owner: int | None = None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="belfry-test-", dir="/tmp"))
    folder.chmod(0o755)
    if owner is not None:
        os.chown(folder, owner, owner)
    return folder


def as_ordinary_user() -> list[str]:
    """A command prefix that drops root for an ordinary account, or a skip with the reason."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is not installed: it runs the ordinary user's case when the tests run as root")
    prefix = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    # An interpreter below a closed home folder: the account may then read what it could read elsewhere, no more.
    reading = [*prefix, "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    for attempt in (prefix, reading):
        question = [*attempt, sys.executable, "-c", "from services.embedded import program_versions as ask; ask()"]
        if subprocess.run(question, cwd=CHECKOUT, capture_output=True, check=False).returncode == 0:
            return attempt
    pytest.skip(f"an ordinary user cannot run {sys.executable} here")


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place(new_folder())
    yield place
    place.clean()


@pytest.fixture(params=["ourselves", "ordinary user"])
def either_place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "ordinary user" and os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user already")
    ordinary = request.param == "ordinary user"
    account = as_ordinary_user() if ordinary else []
    place = Place(new_folder(NOBODY if ordinary else None), account)
    yield place
    place.clean()


def test_kill_9_leaves_nothing_and_the_next_up_starts_at_once(either_place: Place) -> None:
    first = either_place.up()
    state = first.wait_ready()
    assert set(state.children) == {"postgresql", "valkey", "api", "worker"}
    first.end_with(signal.SIGKILL)
    second = either_place.up()  # At once: it waits for what the first one left behind, its port included.
    again = second.wait_ready()
    assert again.pid == second.process.pid
    assert not any(is_alive(pid) for pid in state.children.values())
    log = (either_place.data / "logs" / "postgresql.log").read_text()
    assert log.count("database system is shut down") == 1
    assert "not properly shut down" not in log
    second.end_with(signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not second.nothing_left():
        assert time.monotonic() < deadline
        time.sleep(POLL_SECONDS)
    assert not any(is_alive(pid) for pid in again.children.values())
    assert read_state(either_place.data) is None


def test_sigterm_stops_everything_in_order(place: Place) -> None:
    run = place.up()
    state = run.wait_ready()
    assert run.end_with(signal.SIGTERM) == 0
    assert run.nothing_left()
    assert not any(is_alive(pid) for pid in state.children.values())
    assert run.said.endswith("Stopping (SIGTERM) ...\nBelfry has stopped.\n")
    assert read_state(place.data) is None
    assert "database system is shut down" in (place.data / "logs" / "postgresql.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_and_a_closed_terminal_stop_like_sigterm(place: Place, number: signal.Signals) -> None:
    run = place.up(GIVEN)
    run.wait_ready()
    assert run.end_with(number) == 0
    assert run.nothing_left()
    assert run.said.endswith(f"Stopping ({number.name}) ...\nBelfry has stopped.\n")


def test_a_second_up_is_refused_with_the_owners_pid_and_the_first_goes_on(place: Place) -> None:
    first = place.up()
    state = first.wait_ready()
    second = place.up()
    assert second.process.wait(PATIENCE_SECONDS) == 1
    assert f"Belfry already runs on {place.data} (process {first.process.pid})." in second.said
    assert "Traceback" not in second.said
    assert read_state(place.data) == state
    assert all(is_alive(pid) for pid in state.children.values())


def test_a_port_in_use_is_told_before_anything_is_started(place: Place) -> None:
    with socket.create_server(("127.0.0.1", place.port)):
        run = place.up()
        assert run.process.wait(PATIENCE_SECONDS) == 1
    assert f"belfry: Port {place.port} on 127.0.0.1 is in use by another program." in run.said
    assert "Traceback" not in run.said
    assert not (place.data / "postgres").exists()


def test_whatever_dies_is_started_again(place: Place) -> None:
    run = place.up()
    before = run.wait_ready()
    for name in ("valkey", "api", "worker", "postgresql"):
        os.kill(before.children[name], signal.SIGKILL)

    def all_are_new() -> bool:
        now = read_state(place.data)
        return now is not None and all(
            now.children.get(name) not in {None, pid} and is_alive(now.children[name])
            for name, pid in before.children.items()
        )

    run.wait_for("four new children", all_are_new)
    after = read_state(place.data)
    assert after is not None
    assert after.pid == before.pid
    for name in before.children:
        assert f"{name} was ended by signal 9: starting it again in" in run.said
    run.wait_for("Valkey answers", lambda: valkey_answers(after))
    assert run.end_with(signal.SIGTERM) == 0
    assert run.nothing_left()


def valkey_answers(state: State) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{state.socket_folder}/valkey")
        connection.sendall(b"PING\r\n")
        return connection.recv(16) == b"+PONG\r\n"
    return False


def test_a_child_that_fails_to_start_is_told_with_its_last_lines(place: Place) -> None:
    run = place.up(GIVEN, children={"api": place.api, "worker": ["/bin/sh", "-c", "echo no such queue; exit 4"]})
    assert run.process.wait(PATIENCE_SECONDS) == 1
    assert "worker ended with code 4. Its last lines:\n    no such queue\n" in run.said
    assert "Belfry is ready" not in run.said
    assert run.nothing_left()


def test_a_failed_migration_starts_no_child(place: Place) -> None:
    run = place.up(GIVEN, preparations={"migrate": ["/bin/sh", "-c", "echo column is missing; exit 1"]})
    assert run.process.wait(PATIENCE_SECONDS) == 1
    assert "migrate ended with code 1. Its last lines:\n    column is missing\n" in run.said
    assert not (place.data / "logs" / "api.log").exists()
    assert run.nothing_left()


def test_ctrl_c_while_the_api_is_not_ready_yet_stops_cleanly(place: Place) -> None:
    (place.folder / "site" / "readyz").unlink()
    run = place.up(GIVEN)
    run.wait_for("the API was asked", lambda: "readyz" in text_of(place.data / "logs" / "api.log"))
    assert run.end_with(signal.SIGINT) == 0
    assert "Belfry is ready" not in run.said
    assert run.nothing_left()


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_preparations_run_at_every_start_and_the_seed_once(place: Place) -> None:
    count = place.folder / "count"
    steps = {
        "preparations": {"migrate": ["/bin/sh", "-c", f"echo migrated >> {count}"]},
        "first_start": {"seed": ["/bin/sh", "-c", f"echo seeded >> {count}"]},
        "when_ready": {"scenario": ["/bin/sh", "-c", f"echo played >> {count}"]},
    }
    for _ in range(2):
        assert place.up(GIVEN, **steps).process.wait(PATIENCE_SECONDS) == 0
    assert count.read_text().split() == ["migrated", "seeded", "played", "migrated", "played"]


def test_children_learn_where_everything_is_and_keep_the_users_wishes(place: Place) -> None:
    wishes = {"BELFRY_POLL_SECONDS": "7", "BELFRY_DATA": "elsewhere", "BELFRY_PORT": "1", "PGHOST": "wrong"}
    run = place.up(wishes, children={"api": place.api, "worker": ["/bin/sh", "-c", "env; exec sleep 600"]})
    state = run.wait_ready()
    told = (place.data / "logs" / "worker.log").read_text()
    for name, value in state.environment.items():
        assert f"{name}={value}\n" in told
    assert state.environment["BELFRY_POLL_SECONDS"] == "7"
    assert state.environment["BELFRY_PORT"] == str(place.port)
    assert state.environment["BELFRY_DATA"] == str(place.data)
    assert state.environment["BELFRY_ENVIRONMENT"] == "embedded"
    assert "PGHOST" not in told
    key = Path(state.environment["BELFRY_KEY_FILE"])
    assert (key.stat().st_mode & 0o777, len(key.read_text().strip())) == (0o600, 44)
    assert ((place.data / "state.json").stat().st_mode & 0o777) == 0o600


def test_given_servers_are_used_and_none_is_started(place: Place) -> None:
    state = place.up(GIVEN).wait_ready()
    assert set(state.children) == {"api", "worker"}
    assert GIVEN.items() <= state.environment.items()
    assert state.environment["BELFRY_OWNER_DATABASE_URL"] == "postgresql://belfry_owner:pw@db.example/belfry"
    assert "BELFRY_KEY_FILE" not in state.environment
    assert not (place.data / "postgres").exists()


def test_a_url_without_a_user_gets_one() -> None:
    assert with_user("postgresql://db.example/belfry?host=/a", "belfry_owner") == (
        "postgresql://belfry_owner@db.example/belfry?host=/a"
    )


def test_production_is_refused(place: Place) -> None:
    run = place.up({"BELFRY_ENVIRONMENT": "production"})
    assert run.process.wait(PATIENCE_SECONDS) == 1
    assert "not for production" in run.said
    assert not place.data.exists()


def test_a_lost_key_is_never_replaced_over_sealed_data(place: Place) -> None:
    run = place.up()
    run.wait_ready()
    run.end_with(signal.SIGTERM)
    (place.data / "key").unlink()
    again = place.up()
    assert again.process.wait(PATIENCE_SECONDS) == 1
    assert "cannot be opened without it" in again.said
    assert not (place.data / "key").exists()


def test_where_no_death_signal_exists_the_watchdog_stops_what_is_left() -> None:
    code = (
        "import signal, subprocess, sys, time; from services.embedded.watchdog import Watchdog\n"
        "left, gone = (subprocess.Popen(['sleep', '600'], start_new_session=True) for _ in range(2))\n"
        "[Watchdog.shared().watch(child.pid, signal.SIGTERM) for child in (left, gone)]\n"
        "Watchdog.shared().forget(gone.pid)\n"
        "print(left.pid, gone.pid, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    left, forgotten = (int(pid) for pid in owner.stdout.readline().split())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while is_alive(left):
        assert time.monotonic() < deadline
        time.sleep(POLL_SECONDS)
    assert is_alive(forgotten)
    os.kill(forgotten, signal.SIGKILL)
