# SPDX-License-Identifier: EUPL-1.2
"""What the person at the terminal sees while things start: one line per step, with its seconds."""

import contextlib
import time
from collections.abc import Iterator
from typing import TextIO


class Progress:
    """Writes to `stream`, or nowhere when it is None; a reader that went away never stops the work."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._line_is_open = False

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One line: the title when the step begins, the seconds when it ends, nothing more if it fails."""
        begun = time.monotonic()
        self._write(f"  {title} ... ")
        self._line_is_open = True
        try:
            yield
        except BaseException:
            self._end_line()
            raise
        if self._line_is_open:
            self._line_is_open = False
            self._write(f"{time.monotonic() - begun:.1f} s\n")
        else:
            self.say(f"  {title}: {time.monotonic() - begun:.1f} s")

    def say(self, text: str) -> None:
        """A line of its own, also in the middle of a step."""
        self._end_line()
        self._write(f"{text}\n")

    def _end_line(self) -> None:
        if self._line_is_open:
            self._line_is_open = False
            self._write("\n")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None
