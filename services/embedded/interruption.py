# SPDX-License-Identifier: EUPL-1.2
"""Ctrl-C, SIGTERM and a closed terminal become one exception, raised only where the work pauses.

A handler that raised at once could strike between a fork and the line that remembers the child.
"""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(Exception):
    """Somebody asked us to end; `number` is the signal that did."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


class Interruption:
    """Turns the signals of `STOPPING` into StopRequested, raised by `pause()`."""

    def __init__(self) -> None:
        self._requested: signal.Signals | None = None
        self._reader, self._writer = -1, -1

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals inside this block. The end of a child ends a pause, too."""
        self._reader, self._writer = _pipe()
        before = {number: signal.getsignal(number) for number in (*STOPPING, signal.SIGCHLD)}
        descriptor_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in STOPPING:
            # Whoever started us under nohup wants a closed terminal ignored. An ignored Ctrl-C comes from a shell
            # that started us in the background: a SIGINT sent to us on purpose must work all the same.
            if not (number == signal.SIGHUP and before[number] == signal.SIG_IGN):
                signal.signal(number, self._request)
        signal.signal(signal.SIGCHLD, _do_nothing)
        try:
            yield
        finally:
            signal.set_wakeup_fd(descriptor_before)
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
            os.close(self._reader)
            os.close(self._writer)

    def pause(self, seconds: float) -> None:
        """Sleep at most `seconds`, less if a signal comes; raises StopRequested if one asked us to end."""
        if self._requested is None:
            ready, _, _ = select.select([self._reader], [], [], seconds)
            with contextlib.suppress(BlockingIOError):
                while ready and os.read(self._reader, 512):
                    pass
        if self._requested is not None:
            raise StopRequested(self._requested)

    def _request(self, number: int, _frame: FrameType | None) -> None:
        self._requested = signal.Signals(number)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Without a handler the end of a child would not be written to the pipe."""


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    return reader, writer
