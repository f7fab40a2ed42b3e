# SPDX-License-Identifier: EUPL-1.2
"""A page of commands, read and followed as a newcomer does: in terminals, in order, comparing what they print.

The line before each block says what it is. "Terminal 2:" names the terminal for commands, "after Ctrl-C" ends what ran
there, "Save this as `x`:" names a file, and "It prints …:" or "Terminal 3 prints …:" stands before what is printed. The
first terminal and the third go on by themselves; the second is waited for. `…` stands for anything.
"""

import asyncio
import os
import re
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

ASKING = 2
"""The terminal whose commands end by themselves."""
WITHIN_SECONDS = 180
STOP_SECONDS_MAX = 60
FENCE = "```"
TERMINAL = re.compile(r"\b[Tt]erminal (\d)\b")
SAVED_AS = re.compile(r"Save this as `([\w./]+)`:")
DONE = "the block is done:"
ANYTHING = "…"


@dataclass(frozen=True)
class Block:
    """What stands between two fences, and the line of prose before it."""

    language: str
    before: str
    text: str
    line: int

    @property
    def terminal(self) -> int | None:
        named = TERMINAL.search(self.before)
        return int(named[1]) if named else None


def blocks_of(page: str) -> list[Block]:
    """The fenced blocks in their order."""
    found: list[Block] = []
    before, language, inside, start = "", None, list[str](), 0
    for number, line in enumerate(page.splitlines(), 1):
        if not line.startswith(FENCE) and language is None:
            before = line.strip() or before
        elif language is None:
            language, inside, start = line.removeprefix(FENCE), [], number
        elif line == FENCE:
            found.append(Block(language, before, "\n".join(inside), start))
            language = None
        else:
            inside.append(line)
    assert language is None, f"the block of line {start} has no end"
    return found


def pattern_of(told: str) -> re.Pattern[str]:
    """What a block of output stands for."""
    return re.compile(".*?".join(map(re.escape, told.strip().split(ANYTHING))), re.DOTALL)


@dataclass
class Terminal:
    """One shell, with all that it has printed. What was compared is behind `seen`."""

    folder: Path
    shell: Process
    printed: str = ""
    seen: int = 0
    blocks: int = 0
    grew: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def listen(self) -> None:
        assert self.shell.stdout is not None
        while chunk := await self.shell.stdout.read(65_536):
            async with self.grew:
                self.printed += chunk.decode(errors="replace").replace("\r", "")
                self.grew.notify_all()

    async def type(self, block: Block) -> None:
        """Have the shell do it; the state of the shell stays for the next one."""
        assert self.shell.stdin is not None
        self.blocks += 1
        script = self.folder / f".terminal-{self.shell.pid}-{self.blocks}"
        script.write_text(block.text)
        self.shell.stdin.write(f". '{script}' </dev/null; echo \"{DONE} $?\"\n".encode())
        await self.shell.stdin.drain()

    async def prints(self, told: re.Pattern[str], block: Block) -> re.Match[str]:
        """Wait until it has, from where the last comparison ended."""

        def found() -> re.Match[str] | None:
            rest = self.printed[self.seen :]
            return told.match(rest, len(rest) - len(rest.lstrip()))

        async with self.grew:
            try:
                async with asyncio.timeout(WITHIN_SECONDS):
                    await self.grew.wait_for(lambda: found() is not None)
            except TimeoutError:
                shown = self.printed[self.seen :]
                raise AssertionError(f"line {block.line} of the page says\n{block.text}\nbut:\n{shown}") from None
            match = found()
            assert match is not None
            self.seen += match.end()
            return match

    async def interrupt(self, block: Block) -> None:
        """Ctrl-C, and what had been printed until then is past."""
        os.killpg(self.shell.pid, signal.SIGINT)
        await self.prints(re.compile(f".*{DONE} \\d+\n", re.DOTALL), block)


def _hears_ctrl_c() -> None:
    """Whoever runs in the background ignores Ctrl-C, and so would everything that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@asynccontextmanager
async def terminal(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Terminal]:
    """A shell in a folder. What it started ends with it."""
    shell = await asyncio.create_subprocess_exec(
        "sh", cwd=folder, env=environment, stdin=PIPE, stdout=PIPE, stderr=STDOUT, start_new_session=True,
        preexec_fn=_hears_ctrl_c,
    )  # fmt: skip
    opened = Terminal(folder, shell)
    listening = asyncio.create_task(opened.listen())
    assert shell.stdin is not None
    shell.stdin.write(b"trap : INT\n")  # a shell outlives the Ctrl-C of what it runs
    try:
        yield opened
    finally:
        shell.stdin.close()
        os.killpg(shell.pid, signal.SIGINT)
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await listening
        except TimeoutError:
            os.killpg(shell.pid, signal.SIGKILL)
        await shell.wait()


async def follow(blocks: Sequence[Block], terminals: Mapping[int, Terminal], folder: Path) -> None:
    """Do what the page says, and compare what is printed with what it says is printed."""
    last = 0
    for place, block in enumerate(blocks):
        if block.language == "sh":
            assert block.terminal is not None, f"line {block.line} names no terminal"
            last = block.terminal
            if "after Ctrl-C" in block.before:
                await terminals[last].interrupt(block)
            await terminals[last].type(block)
            is_compared = place + 1 < len(blocks) and blocks[place + 1].language == "text"
            if last == ASKING and not is_compared:
                await terminals[last].prints(re.compile(f".*?{DONE} 0\n", re.DOTALL), block)
        elif block.language == "python":
            saved = SAVED_AS.search(block.before)
            assert saved is not None, f"line {block.line} names no file"
            (folder / saved[1]).write_text(block.text + "\n")
        else:
            assert block.language == "text", f"nothing is known of the block in line {block.line}"
            told = pattern_of(block.text).pattern
            ending = rf"\s*{DONE} 0\n" if (block.terminal or last) == ASKING else "\n"
            await terminals[block.terminal or last].prints(re.compile(told + ending, re.DOTALL), block)
