# SPDX-License-Identifier: EUPL-1.2
"""The system account of the two servers: ours, or `nobody` when Belfry runs as root (PostgreSQL refuses root)."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from services.embedded.errors import EmbeddedError

ROOT = 0
UNPRIVILEGED = "nobody"
QUESTION_SECONDS_MAX = 10


class Identity(TypedDict, total=False):
    """The keyword arguments of `subprocess.Popen` that change the account of a child."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """A system account by its ids; `identity` is empty when the account is our own."""

    user_id: int
    group_id: int

    @property
    def identity(self) -> Identity:
        """What `subprocess.Popen` needs to start a child under this account."""
        if self.user_id == os.geteuid():
            return {}
        return {"user": self.user_id, "group": self.group_id, "extra_groups": []}

    def take(self, path: Path, mode: int) -> None:
        """Give a file or folder of ours to this account, with exactly `mode`."""
        if self.identity:
            os.chown(path, self.user_id, self.group_id)
        path.chmod(mode)

    def can_run(self, program: Path) -> bool:
        """Whether this account reaches `program` and may execute it."""
        return self._may("-x", program)

    def can_write(self, folder: Path) -> bool:
        """Whether this account reaches `folder` and may create files in it."""
        return self._may("-w", folder) and self._may("-x", folder)

    def _may(self, act: str, path: Path) -> bool:
        # Asked as the account itself: mode bits alone do not tell what access lists and mounts allow.
        if not self.identity:
            return os.access(path, os.X_OK if act == "-x" else os.W_OK)
        question = ["/bin/sh", "-c", f'[ {act} "$1" ]', "sh", str(path)]
        try:
            answer = subprocess.run(
                question, cwd="/", env={}, timeout=QUESTION_SECONDS_MAX, check=False, **self.identity
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedError(
                f"Belfry runs as root here and cannot start the servers as the user {UNPRIVILEGED} ({error}): "
                "start it as an ordinary user."
            ) from error
        return answer.returncode == 0


def server_account() -> Account:
    """The account under which PostgreSQL and Valkey run."""
    if os.geteuid() != ROOT:
        return Account(os.geteuid(), os.getegid())
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError as error:
        raise EmbeddedError(
            f"Belfry runs as root here, but there is no user {UNPRIVILEGED} for the servers: "
            "start it as an ordinary user."
        ) from error
    return Account(entry.pw_uid, entry.pw_gid)


def user_name(user_id: int) -> str:
    """The login name of a user id, or the number where nobody knows it."""
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
