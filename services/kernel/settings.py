# SPDX-License-Identifier: EUPL-1.2
"""Settings: the only reader of the environment, parsed once, frozen. Every name begins with BELFRY_."""

import base64
import binascii
import re
from enum import StrEnum
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

KEY_BYTES = 32
HOST_AND_PORT = re.compile(r"^[^\s:/]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$")


class NotConfigured(ValueError):
    """The environment does not say what is needed, or says it wrongly. The message names every setting, no value."""


class Environment(StrEnum):
    """Where this process runs."""

    EMBEDDED = "embedded"
    TEST = "test"
    PRODUCTION = "production"


class TenantBinding(StrEnum):
    """How a compiled read names its organization: inside its one statement, or by SET LOCAL in a transaction around it.

    The second is for engines on which what the statement sets does not reach its own other parts.
    """

    STATEMENT = "statement"
    TRANSACTION = "transaction"


class Settings(BaseSettings):
    """What an installation decides. Unknown names are ignored; a wrong value stops the start with its name."""

    # URLs hold passwords: neither an error nor a printed Settings may show them.
    model_config = SettingsConfigDict(env_prefix="BELFRY_", frozen=True, extra="ignore", hide_input_in_errors=True)

    environment: Environment = Environment.PRODUCTION
    database_url: str = Field(repr=False, description="PostgreSQL 18 as belfry_app, postgresql+asyncpg://…")
    owner_database_url: str | None = Field(
        default=None, repr=False, description="The same as belfry_owner; migrations only."
    )
    relay_database_url: str | None = Field(default=None, repr=False, description="The same as belfry_relay.")
    auditor_database_url: str | None = Field(default=None, repr=False, description="The same as belfry_auditor.")
    valkey_url: str = Field(repr=False, description="Valkey 9: redis:// or unix://")
    key: SecretStr | None = Field(default=None, description="The key-encryption key, 32 bytes in base64.")
    key_file: Path | None = Field(default=None, description="A file that holds it.")
    public_url: str = "http://127.0.0.1:8000"
    port: int = Field(default=8000, ge=1, le=65535)
    poll_seconds: int = Field(default=30, ge=1, le=3600, description="How often a connected account is polled.")
    verify_seconds: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(10, 60, 360, 720), description="When an unknown outcome is looked into, in seconds after the request."
    )
    outbound_allow: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(), description="host:port pairs that may be reached although private; never in production."
    )
    allowed_origins: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(), description="Origins whose pages may open a socket."
    )
    trusted_proxies: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(), description="Addresses or networks of proxies whose X-Forwarded-For is believed."
    )
    document_manifests: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(), description="Files with the documents that every client of this installation may send by id."
    )
    introspection: bool = True
    refusal_cost: int = Field(
        default=100, ge=0, le=10_000, description="What a refused document takes of its client's bucket."
    )
    tenant_binding: TenantBinding = Field(
        default=TenantBinding.STATEMENT, description="How a compiled read names its organization to the database."
    )
    sampled_reads: float = Field(
        default=0.001, ge=0, le=1, description="The share of compiled reads that are compared with the ordinary way."
    )
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    @field_validator("outbound_allow", "allowed_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return frozenset(filter(None, (part.strip() for part in value.split(",")))) if isinstance(value, str) else value

    @field_validator("document_manifests", mode="before")
    @classmethod
    def _paths(cls, value: object) -> object:
        return tuple(filter(None, (part.strip() for part in value.split(",")))) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: frozenset[str]) -> frozenset[str]:
        for entry in value:
            ip_network(entry)  # a name or "*" would believe whoever asks
        return value

    @field_validator("verify_seconds", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> object:
        return tuple(int(part) for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("database_url", "owner_database_url", "relay_database_url", "auditor_database_url")
    @classmethod
    def _asyncpg(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = make_url(value)
        except (ArgumentError, ValueError):
            raise ValueError("is not a URL") from None
        if not url.drivername.startswith("postgres"):
            raise ValueError("must be a postgresql:// URL")
        return url.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for entry in self.outbound_allow:
            if not HOST_AND_PORT.match(entry):
                raise ValueError(f"BELFRY_OUTBOUND_ALLOW: '{entry}' is not host:port")
        if self.environment is Environment.PRODUCTION and self.outbound_allow:
            raise ValueError("BELFRY_OUTBOUND_ALLOW is refused in production")
        if not self.verify_seconds or list(self.verify_seconds) != sorted(set(self.verify_seconds)):
            raise ValueError("BELFRY_VERIFY_SECONDS: seconds that rise, such as 10,60,360,720")
        if (self.key is None) == (self.key_file is None):
            raise ValueError("set either BELFRY_KEY or BELFRY_KEY_FILE")
        return self

    @property
    def is_local(self) -> bool:
        """Whether this is one machine's own installation, where local tokens may be issued."""
        return self.environment is not Environment.PRODUCTION

    @cached_property
    def master_key(self) -> bytes:
        """The key-encryption key. Raises ValueError when it is not 32 bytes of base64."""
        text = self.key.get_secret_value() if self.key else self.key_file.read_text() if self.key_file else ""
        try:
            key = base64.b64decode(text.strip(), validate=True)
        except binascii.Error as error:
            raise ValueError("the key is not base64") from error
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key has {len(key)} bytes instead of {KEY_BYTES}")
        return key

    def database_url_as(self, role: str) -> str:
        """The URL for a database role: its own setting, else the application's URL with the user replaced."""
        own = {
            "belfry_owner": self.owner_database_url,
            "belfry_relay": self.relay_database_url,
            "belfry_auditor": self.auditor_database_url,
        }.get(role)
        return own or make_url(self.database_url).set(username=role).render_as_string(hide_password=False)


def read_settings() -> Settings:
    """The settings of this process. Raises NotConfigured with one line for each that is missing or wrong."""
    try:
        return Settings()  # pyright: ignore[reportCallIssue]  the environment gives the arguments
    except ValidationError as error:
        wrong = "".join(
            f"\n  BELFRY_{'_'.join(map(str, finding['loc'])).upper()}: {finding['msg']}" for finding in error.errors()
        )
        raise NotConfigured(f"The configuration is not complete:{wrong}") from error
