# SPDX-License-Identifier: EUPL-1.2
"""Installs tools that are written in Python and must not share our environment, once per machine, from hashes.

What they pin would decide what we may pin. Their environments lie beside those of Node, outside of everything that git
tracks, and are keyed by what was asked for, so that changed requirements make a new one.
"""

import hashlib
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from services.embedded.node_packages import CACHE, CannotInstall, _alone, _run


@dataclass(frozen=True, slots=True)
class PythonTools:
    """A file of requirements with hashes that names everything; nothing else is installed."""

    requirements: Path

    def install(self) -> str | None:
        """Install what is missing; None when it is there, else why it is not, for a skip."""
        try:
            self.python()
        except CannotInstall as refusal:
            return str(refusal)
        return None

    def python(self) -> Path:
        """The interpreter of the environment, which is made now if need be. Raises CannotInstall."""
        folder = CACHE / f"{self.requirements.stem}-{self._key()}"
        complete = folder / "complete"
        if not complete.exists():
            with _alone():
                if not complete.exists():
                    self._make(folder)
                    complete.touch()
        return folder / "bin" / "python"

    def _make(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        _run((sys.executable, "-m", "venv", "--without-pip", str(folder)), CACHE, os.environ)
        pip = (sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet")
        closed = ("--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(self.requirements))
        _run((*pip, *closed), folder, os.environ)

    def _key(self) -> str:
        asked = hashlib.sha256(f"{platform.system()} {platform.machine()} {sys.version_info[:2]}".encode())
        asked.update(self.requirements.read_bytes())
        return asked.hexdigest()[:12]
