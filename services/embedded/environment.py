# SPDX-License-Identifier: EUPL-1.2
"""What the children of `up` find in their environment: where the servers are, and the user's own BELFRY_* wishes."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from services.embedded.errors import EmbeddedError
from services.embedded.servers import EmbeddedServers

PREFIX = "BELFRY_"
DATABASE_URL = "BELFRY_DATABASE_URL"
VALKEY_URL = "BELFRY_VALKEY_URL"
KEY_FILE = "BELFRY_KEY_FILE"
KEY_VARIABLES = frozenset({KEY_FILE, "BELFRY_KEY"})
ROLE_URLS = {
    "BELFRY_OWNER_DATABASE_URL": "belfry_owner",
    "BELFRY_RELAY_DATABASE_URL": "belfry_relay",
    "BELFRY_AUDITOR_DATABASE_URL": "belfry_auditor",
}
APPLICATION_ROLE = "belfry_app"
# They belong to whoever called us, and would misdirect a driver that falls back on them.
FOREIGN_PREFIXES = ("PG", "VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")


def own_wishes() -> dict[str, str]:
    """The BELFRY_* variables this process was started with, empty ones left out."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX) and value}


def refuse_production(wishes: Mapping[str, str]) -> None:
    """`up` is for one person's machine: a production environment must not get its keys and tokens."""
    for name in ("BELFRY_ENVIRONMENT", "BELFRY_ENV"):
        if wishes.get(name, "").lower() == "production":
            raise EmbeddedError(f"{name} is production: `up` is not for production. Run api, worker and relay instead.")


def belfry_variables(
    wishes: Mapping[str, str], servers: EmbeddedServers, *, port: int, key_file: Path | None
) -> dict[str, str]:
    """The BELFRY_* variables of every child. What the user asked for stays, but for what would contradict this run."""
    variables = {
        **({KEY_FILE: str(key_file)} if key_file else {}),
        "BELFRY_PUBLIC_URL": f"http://127.0.0.1:{port}",
        **wishes,
        "BELFRY_ENVIRONMENT": "embedded",
        "BELFRY_PORT": str(port),
        "BELFRY_DATA": str(servers.root.path),
    }
    if servers.postgres is not None:
        variables[DATABASE_URL] = servers.database_url(APPLICATION_ROLE)
        variables |= {name: servers.database_url(role) for name, role in ROLE_URLS.items()}
    else:
        given = variables[DATABASE_URL]
        variables |= {name: wishes.get(name) or with_user(given, role) for name, role in ROLE_URLS.items()}
    if servers.valkey is not None:
        variables[VALKEY_URL] = servers.valkey_url()
    return variables


def child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a Python child: ours, with these variables in place of our BELFRY_* ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, *FOREIGN_PREFIXES))}
    return {**kept, **variables, "PYTHONUNBUFFERED": "1"}


def with_user(url: str, user: str) -> str:
    """The same database for another user, with the same password."""
    parts = urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    _, colon, password = credentials.partition(":")
    netloc = f"{quote(user)}{colon}{password}@{host}" if at else f"{quote(user)}@{host}"
    return urlunsplit(parts._replace(netloc=netloc))
