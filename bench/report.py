# SPDX-License-Identifier: EUPL-1.2
"""What a bench says at its end: tables, what was expected, the machine and the versions; printed, and kept in results/.

Rates are medians over rounds and ratios are ratios of medians. Nothing here names a folder, a host or a person.
"""

import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from bench.engines import POSTGRES_SETTINGS, Engines

RESULTS = Path(__file__).with_name("results")
PACKAGES = ("asyncpg", "strawberry-graphql", "SQLAlchemy")
GIBIBYTE = 1 << 30
PROCESSORS = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a heading; the first column is text, the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def lines(self) -> list[str]:
        """As Markdown, padded so that it can be read as it is."""
        widths = [max(len(row[place]) for row in (self.columns, *self.rows)) for place in range(len(self.columns))]
        rules = [
            f"{'-' * (width - 1)}-" if place == 0 else f"{'-' * (width - 1)}:" for place, width in enumerate(widths)
        ]
        return [
            self.title,
            "",
            _row(self.columns, widths),
            _row(rules, widths),
            *(_row(row, widths) for row in self.rows),
        ]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What was expected of a figure, and whether it came true."""

    what: str
    found: str
    is_met: bool

    @classmethod
    def at_least(cls, what: str, found: float, least: float) -> "Expectation":
        return cls(f"{what}: at least {least:g}", number(found), found >= least)

    @classmethod
    def at_most(cls, what: str, found: float, most: float) -> "Expectation":
        return cls(f"{what}: at most {most:g}", number(found), found <= most)

    @classmethod
    def none(cls, what: str, found: int) -> "Expectation":
        return cls(f"{what}: none", f"{found:,}", found == 0)

    def line(self) -> str:
        return f"- {self.what}; found {self.found}: {'met' if self.is_met else '**MISSED**'}"


@dataclass
class Report:
    """Everything that one run of a bench found out."""

    name: str
    measured: str
    tables: list[Table] = field(default_factory=list[Table])
    expectations: list[Expectation] = field(default_factory=list[Expectation])

    @property
    def is_met(self) -> bool:
        return all(each.is_met for each in self.expectations)

    async def publish(self, engines: Engines) -> int:
        """Print it and keep it as the last result of this bench. Returns the exit code: 1 if something was missed."""
        lines = [f"# {self.name}", self.measured, ""]
        for table in self.tables:
            lines += [*table.lines(), ""]
        if self.expectations:
            lines += ["Expected:", "", *(each.line() for each in self.expectations), ""]
        lines += [f"Measured on {datetime.now(UTC):%Y-%m-%d}.", "", *await _surroundings(engines)]
        text = "\n".join(lines)
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{self.name}.md").write_text(f"{text}\n", encoding="utf-8")
        sys.stdout.write(f"{text}\n")
        return 0 if self.is_met else 1


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """The ratio of two medians, measured in the same rounds."""
    return median(one) / median(other)


def spread(values: Sequence[float]) -> str:
    """The median, and between which values all rounds lay."""
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})"


def number(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def turns(names: Sequence[str], rounds: int) -> list[list[str]]:
    """The order of each round: every way once, each time another one first, so that drift hits all alike."""
    return [[*names[turn % len(names) :], *names[: turn % len(names)]] for turn in range(rounds)]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if not place else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


async def _surroundings(engines: Engines) -> list[str]:
    async with engines.administrator("postgres") as connection:
        postgres = await connection.fetchval("select current_setting('server_version')")
    versions = {"PostgreSQL": postgres, "Python": platform.python_version(), **_packages()}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIBIBYTE
    return [
        f"- Machine: {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory",
        f"- Versions: {', '.join(f'{name} {found}' for name, found in versions.items())}",
        f"- PostgreSQL: {', '.join(f'{name} {value}' for name, value in POSTGRES_SETTINGS.items())}",
    ]


def _packages() -> Mapping[str, str]:
    return {name: version(name) for name in PACKAGES}


def _processor() -> str:
    """What the processor calls itself, where the system tells."""
    text = PROCESSORS.read_text() if PROCESSORS.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return " ".join(found[1].split()) if found else platform.machine()
