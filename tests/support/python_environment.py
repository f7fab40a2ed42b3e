# SPDX-License-Identifier: EUPL-1.2
"""A Python environment for programs whose packages are none of ours, made once per machine from a list with hashes."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.source import ROOT

CACHE = ROOT / ".belfry-peers"
SECONDS_MAX = 600
REASON_LENGTH_MAX = 300


class CannotMake(Exception):
    """The text says why, in one line."""


def python_with(requirements: Path) -> Path:
    """The interpreter of an environment with these packages, made now if need be. Raises CannotMake."""
    key = hashlib.sha256(sys.version.encode() + requirements.read_bytes()).hexdigest()[:12]
    folder = CACHE / f"python-{key}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        (CACHE / ".gitignore").write_text("*\n")
        _run(
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "-r",
            str(requirements),
        )
        (folder / "complete").touch()
    return folder / "bin" / "python"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if done.returncode != 0:
        raise CannotMake(" ".join((done.stderr or done.stdout).split())[-REASON_LENGTH_MAX:])
