# SPDX-License-Identifier: EUPL-1.2
"""Child processes that never outlive their owner.

On Linux a child asks the kernel for a signal at the death of the thread that forked it, so children are started from
the main thread only. Where there is no such request (macOS), `watchdog.py` does the same from a process of its own.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.embedded.accounts import Identity
from services.embedded.errors import ChildEnded, EmbeddedError, TookTooLong
from services.embedded.progress import Progress
from services.embedded.watchdog import Watchdog

PR_SET_PDEATHSIG = 1
READY_SECONDS_MAX = 120
STEP_SECONDS_MAX = 1_800
READY_REPORT_SECONDS = 10
READY_POLL_SECONDS = 0.03
STOP_SECONDS_MAX = 15
LAST_LINES_MAX = 15
LAST_BYTES_MAX = 16_384
LOG_BYTES_MAX = 10_000_000

_HAS_DEATH_SIGNAL = sys.platform == "linux"
# Loaded here: between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None, use_errno=True) if _HAS_DEATH_SIGNAL else None

Pause = Callable[[float], None]


@dataclass(frozen=True)
class ChildCommand:
    """A program to run as a child: `argv` with an absolute program, `environment` added to what all children get.

    `name` names its log; `title` is what the terminal says while it runs to its end. `stop_signal` ends it in an
    orderly stop, and is what it gets when its owner dies.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    title: str = ""


class Child:
    """One child process, which may be started again after it has ended."""

    def __init__(
        self,
        command: ChildCommand,
        *,
        log: Path,
        environment: Mapping[str, str],
        folder: Path,
        identity: Identity | None = None,
        inherited: Sequence[int] = (),
    ) -> None:
        self.command = command
        self.log = log
        self._environment = dict(environment)
        self._folder = folder
        self._identity: Identity = identity or {}
        self._inherited = tuple(inherited)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._watched = False

    @property
    def name(self) -> str:
        """The name people read, also the log's."""
        return self.command.name

    @property
    def pid(self) -> int | None:
        """The pid of the running process, or None."""
        return self._process.pid if self._process is not None and self.exit_code is None else None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs or before it was started."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is not None and self._watched:
            self._watched = False
            Watchdog.shared().forget(self._process.pid)
        return code

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        code = self.exit_code
        if code is None:
            return "still runs"
        return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"

    def start(self) -> None:
        """Start the program in a session of its own, its output appended to the log."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("children are tied to the thread that starts them: start them from the main thread")
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > LOG_BYTES_MAX:
                self.log.replace(self.log.with_name(self.log.name + ".old"))
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._log_start = os.fstat(descriptor).st_size
            self._process = subprocess.Popen(
                self.command.argv,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
                preexec_fn=_death_request(self.command.stop_signal),
                pass_fds=self._inherited,
                **self._identity,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedError(f"{self.name} cannot be started: {error}.") from error
        finally:
            os.close(descriptor)
        if not _HAS_DEATH_SIGNAL:
            self._watched = True
            Watchdog.shared().watch(self._process.pid, self.command.stop_signal)

    def signal_stop(self) -> None:
        """Ask it to end; nothing happens if it has ended."""
        if self._process is not None:
            self._process.send_signal(self.command.stop_signal)

    def wait_ended(self, seconds: float) -> None:
        """Wait for its end; after `seconds` it is killed."""
        if self._process is None:
            return
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _ = self.exit_code  # Lets the watchdog forget it.

    def last_lines(self) -> str:
        """The end of what it wrote since its last start, indented."""
        try:
            with self.log.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_start, end - LAST_BYTES_MAX))
                lines = file.read(LAST_BYTES_MAX).decode(errors="replace").rstrip().splitlines()
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in lines[-LAST_LINES_MAX:])

    def ended_error(self) -> ChildEnded:
        """The error that tells how and why it ended."""
        return ChildEnded(self.name, self.ending, self.log, self.last_lines())


def run_to_end(child: Child, *, pause: Pause = time.sleep) -> None:
    """Run a child until it ends by itself; raises ChildEnded unless its exit code is 0, TookTooLong after 30 min."""
    child.start()
    deadline = time.monotonic() + STEP_SECONDS_MAX
    try:
        while child.exit_code is None:
            if time.monotonic() > deadline:
                raise TookTooLong(child.name, STEP_SECONDS_MAX, child.log, child.last_lines())
            pause(READY_POLL_SECONDS)
    except BaseException:
        stop_children([child])
        raise
    if child.exit_code != 0:
        raise child.ended_error()


def wait_until_ready(
    ready: Callable[[], bool],
    child: Child,
    *,
    needed: Sequence[Child] = (),
    progress: Progress,
    pause: Pause = time.sleep,
    last_answer: Callable[[], str] = str,
) -> None:
    """Wait until `ready()`; no fixed wait. A slow start is told after 10 s and given up after 120.

    Raises ChildEnded when `child`, or another one that is `needed`, ends meanwhile.
    """
    begun = time.monotonic()
    reported = False
    while not ready():
        for watched in (child, *needed):
            if watched.exit_code is not None:
                raise watched.ended_error()
        waited = time.monotonic() - begun
        if waited > READY_SECONDS_MAX:
            raise TookTooLong(child.name, waited, child.log, child.last_lines(), last_answer())
        if waited > READY_REPORT_SECONDS and not reported:
            reported = True
            progress.say(f"  still waiting for {child.name}; its log: {child.log}")
        pause(READY_POLL_SECONDS)


def stop_children(children: Sequence[Child]) -> None:
    """Ask all to end, then wait for each; whoever ignores it for 15 s is killed."""
    for child in children:
        child.signal_stop()
    deadline = time.monotonic() + STOP_SECONDS_MAX
    for child in children:
        child.wait_ended(max(0.0, deadline - time.monotonic()))


def _death_request(number: signal.Signals) -> Callable[[], None] | None:
    if _libc is None:
        return None
    parent = os.getpid()
    request = _libc.prctl

    def die_with_parent() -> None:
        request(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # It died before the request; nobody will tell us any more.
            os._exit(1)

    return die_with_parent
