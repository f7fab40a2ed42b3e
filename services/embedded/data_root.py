# SPDX-License-Identifier: EUPL-1.2
"""The data folder of one installation: who owns it, what lies where, and that one process uses it at a time.

<data root>/            mode 0700; the marker of a data folder is its `lock` file
    lock                flock of the owner, and its pid; every child inherits the lock
    state.json key credentials.json done/ logs/
    postgres/ valkey/   the servers' files
    sockets/            Unix sockets, or a link to a short private folder where the path is long or odd
    servers             only as root: a link to where the servers' files are, if `nobody` cannot enter here
"""

import contextlib
import fcntl
import hashlib
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from services.embedded.accounts import ROOT, Account, server_account, user_name
from services.embedded.errors import AlreadyRunning, EmbeddedError

ROOT_STATE_FOLDER = Path("/var/lib/belfry")
SOCKET_NAME = ".s.PGSQL.5432.lock"  # The longest name in the socket folder.
SOCKET_PATH_BYTES_MAX = 89  # The kernels allow 107 (Linux) and 103 (macOS); the rest is reserve.
# arq does not unquote the path of a unix:// URL and asyncpg splits hosts at commas, so sockets live under plain names.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")
PREDECESSOR_SECONDS_MAX = 60
PREDECESSOR_POLL_SECONDS = 0.1
PRIVATE = 0o700


class DataRoot:
    """An owned data folder: `open()` takes the lock, `close()` gives it back.

    `server_folder` and `socket_folder` hold from `prepare_for_servers()` on; without servers there is no need of them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.account: Account = server_account()
        self.server_folder = self.path
        self.socket_folder = self.path / "sockets"
        self.lock_descriptor = -1
        self._is_prepared = False

    def open(self, pause: Callable[[float], None] = time.sleep) -> None:
        """Make the folder if needed and own it until `close()`.

        Raises AlreadyRunning if a living process owns it, EmbeddedError if it is not ours or not a data folder.
        """
        with self._told():
            self._make()
            self._lock(pause)
        try:
            with self._told():
                self.path.chmod(PRIVATE)
                self.logs.mkdir(mode=PRIVATE, exist_ok=True)
        except EmbeddedError:
            self.close()
            raise

    def prepare_for_servers(self) -> None:
        """Find a place for the servers' files and sockets that their account may use; may be repeated."""
        if self._is_prepared:
            return
        with self._told():
            self.server_folder = self._server_folder()
            self.socket_folder = self._socket_folder()
        self._is_prepared = True

    def close(self) -> None:
        """Give the lock back; a short socket folder made for this run is removed if it is empty."""
        if self.lock_descriptor < 0:
            return
        link = self.path / "sockets"
        with contextlib.suppress(OSError):
            if link.is_symlink():
                self.socket_folder.rmdir()
                link.unlink()
        os.ftruncate(self.lock_descriptor, 0)
        os.close(self.lock_descriptor)
        self.lock_descriptor = -1
        self._is_prepared = False

    @property
    def logs(self) -> Path:
        """The folder with one log per child."""
        return self.path / "logs"

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EmbeddedError(
                f"Belfry cannot use the data folder {self.path}: {error.strerror} ({error.filename})."
            ) from error

    def _make(self) -> None:
        if self.path.is_relative_to(ROOT_STATE_FOLDER) and os.geteuid() == ROOT:
            make_root_state_folder()
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=PRIVATE)
        elif not self.path.is_dir():
            raise EmbeddedError(f"{self.path} is a file, not a folder for data.")
        owner = self.path.stat().st_uid
        if owner not in {os.geteuid(), self.account.user_id}:
            raise EmbeddedError(
                f"The data folder {self.path} belongs to the user {user_name(owner)}: "
                "start Belfry as that user, or name another folder with --data."
            )
        if not (self.path / "lock").exists() and any(self.path.iterdir()):
            raise EmbeddedError(f"{self.path} holds other files: name an empty or a new folder with --data.")

    def _lock(self, pause: Callable[[float], None]) -> None:
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + PREDECESSOR_SECONDS_MAX
        try:
            while not _locked_now(descriptor):
                # Children inherit the lock: after `kill -9` of their owner it is theirs until the last has ended.
                owner = owner_of(self.path)
                if owner is not None:
                    raise AlreadyRunning(self.path, owner)
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"Processes of an earlier run still hold {self.path / 'lock'}: end them first.")
                pause(PREDECESSOR_POLL_SECONDS)
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self.lock_descriptor = descriptor

    def _server_folder(self) -> Path:
        self.account.take(self.path, PRIVATE)
        link = self.path / "servers"
        if link.is_symlink():
            if not link.is_dir():
                raise EmbeddedError(
                    f"The servers' files of {self.path} were in {link.readlink()}, which is gone: "
                    f"remove {self.path} to start anew."
                )
            return link.readlink()
        if self.account.can_write(self.path):
            return self.path
        # Opening somebody's parent folders to `nobody` is not ours to do, so the servers' files go elsewhere.
        make_root_state_folder()
        elsewhere = Path(tempfile.mkdtemp(prefix="servers-", dir=ROOT_STATE_FOLDER))
        self.account.take(elsewhere, PRIVATE)
        if not self.account.can_write(elsewhere):
            raise EmbeddedError(
                f"As root, the servers run as {user_name(self.account.user_id)}, which may enter neither {self.path} "
                f"nor {ROOT_STATE_FOLDER}: name a folder below /tmp or /srv with --data."
            )
        link.symlink_to(elsewhere)
        return elsewhere

    def _socket_folder(self) -> Path:
        beside = self.server_folder / "sockets"
        if len(os.fsencode(beside / SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX and PLAIN_PATH.fullmatch(str(beside)):
            beside.mkdir(mode=PRIVATE, exist_ok=True)
            self.account.take(beside, PRIVATE)
            return beside
        link = self.path / "sockets"
        if link.is_symlink():
            if self._is_private(link.readlink()):
                return link.readlink()
            link.unlink()
        folder = Path(tempfile.mkdtemp(prefix="belfry-", dir="/tmp"))
        self.account.take(folder, PRIVATE)
        link.symlink_to(folder)
        return folder

    def _is_private(self, folder: Path) -> bool:
        """Whether a socket folder of an earlier run is still there and still ours alone: others may write to /tmp."""
        try:
            status = folder.lstat()
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and status.st_uid == self.account.user_id and not status.st_mode & 0o077


def default_data_root(checkout: Path) -> Path:
    """Where `up` keeps its data without --data: in the checkout; for root in a state folder keyed by the checkout."""
    if os.geteuid() != ROOT:
        return checkout / ".belfry"
    key = hashlib.sha256(os.fsencode(checkout.resolve())).hexdigest()[:12]
    return ROOT_STATE_FOLDER / key


def make_root_state_folder() -> None:
    """Make root's state folder passable for `nobody`; an existing one is left as it is."""
    if not ROOT_STATE_FOLDER.exists():
        ROOT_STATE_FOLDER.mkdir(parents=True)
        ROOT_STATE_FOLDER.chmod(0o755)


def owner_of(path: Path) -> int | None:
    """The pid of the living process that owns the data folder, or None."""
    try:
        pid = int((path / "lock").read_text())
    except (OSError, ValueError):
        return None
    return pid if is_alive(pid) else None


def is_alive(pid: int) -> bool:
    """Whether a process with this pid runs; one that ended and waits for its parent to notice does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # The state follows the program's name, which stands in parentheses and may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


def _locked_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
