# SPDX-License-Identifier: EUPL-1.2
"""Settings: read once, frozen, and a wrong value stops the start with its name."""

import base64
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.kernel.settings import KEY_BYTES, Environment, Settings

KEY = base64.b64encode(bytes(range(KEY_BYTES))).decode()
NEEDED = {"database_url": "postgresql://belfry_app@db/belfry", "valkey_url": "redis://valkey:6379", "key": KEY}


def settings(**changes: Any) -> Settings:
    given: dict[str, Any] = {**NEEDED, **changes}
    return Settings(**{name: value for name, value in given.items() if value is not None})


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own environment may decide a test."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BELFRY_{name.upper()}", raising=False)


def test_every_name_of_the_environment_begins_with_belfry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELFRY_DATABASE_URL", "postgres://belfry_app:word@db:5433/town")
    monkeypatch.setenv("BELFRY_VALKEY_URL", "unix:///run/valkey?db=3")
    monkeypatch.setenv("BELFRY_KEY", KEY)
    monkeypatch.setenv("BELFRY_POLL_SECONDS", "5")
    monkeypatch.setenv("BELFRY_ENVIRONMENT", "test")
    monkeypatch.setenv("BELFRY_OUTBOUND_ALLOW", " 127.0.0.1:8080 ,localhost:9,, [::1]:443 ")
    monkeypatch.setenv("POLL_SECONDS", "7")
    read = Settings()  # pyright: ignore[reportCallIssue]  from the environment
    assert read.database_url == "postgresql+asyncpg://belfry_app:word@db:5433/town"
    assert read.valkey_url == "unix:///run/valkey?db=3"
    assert read.poll_seconds == 5
    assert read.outbound_allow == {"127.0.0.1:8080", "localhost:9", "[::1]:443"}


def test_without_a_word_an_installation_is_production() -> None:
    assert settings().environment is Environment.PRODUCTION
    assert settings().is_local is False
    assert settings(environment="embedded").is_local is True
    assert settings(environment="test").is_local is True


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        settings().port = 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "mysql://db/belfry"),
        ("database_url", "not a url"),
        ("database_url", "postgresql://db:port/belfry"),
        ("relay_database_url", "sqlite://"),
        ("environment", "staging"),
        ("port", 0),
        ("port", 65536),
        ("poll_seconds", 0),
        ("poll_seconds", 3601),
        ("log_level", "LOUD"),
        ("trusted_proxies", "*"),
        ("trusted_proxies", "10.0.0.1, proxy.example"),
    ],
)
def test_a_wrong_value_stops_the_start_with_its_name(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        settings(**{name: value})


@pytest.mark.parametrize("missing", NEEDED)
def test_what_is_needed_must_be_there(missing: str) -> None:
    with pytest.raises(ValidationError):
        settings(**{missing: None})


@pytest.mark.parametrize(
    "entry", ["127.0.0.1", "http://127.0.0.1:80", "a b:80", "host:port", "host:123456", ":80", "::1:80"]
)
def test_an_outbound_exception_is_a_host_and_a_port(entry: str) -> None:
    with pytest.raises(ValidationError, match="OUTBOUND_ALLOW"):
        settings(environment="test", outbound_allow=entry)


def test_outbound_exceptions_are_refused_in_production() -> None:
    with pytest.raises(ValidationError, match="refused in production"):
        settings(outbound_allow="127.0.0.1:80")
    assert settings(environment="embedded", outbound_allow="127.0.0.1:80").outbound_allow == {"127.0.0.1:80"}


def test_the_key_comes_from_one_place(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    assert settings().master_key == settings(key=None, key_file=file).master_key == bytes(range(KEY_BYTES))
    with pytest.raises(ValidationError, match="either"):
        settings(key_file=file)
    with pytest.raises(ValidationError, match="either"):
        settings(key=None)


@pytest.mark.parametrize(
    "key", ["short", "###", base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(33)).decode()]
)
def test_a_key_of_another_form_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValueError, match=r"key") as refusal:
        _ = settings(key=key).master_key
    assert key not in str(refusal.value)


def test_no_secret_is_shown_when_settings_or_their_errors_are_printed() -> None:
    secret = "a-password"
    shown = repr(settings(database_url=f"postgresql://u:{secret}@db/belfry", valkey_url=f"redis://:{secret}@valkey"))
    assert KEY not in shown
    assert secret not in shown
    for changes in ({"database_url": f"mysql://u:{secret}@db/belfry"}, {"key_file": "/k", "valkey_url": secret}):
        with pytest.raises(ValidationError) as refusal:
            settings(**changes)
        assert secret not in str(refusal.value)
        assert KEY not in str(refusal.value)


def test_each_role_has_its_own_url_or_the_applications_with_another_user() -> None:
    own = settings(relay_database_url="postgresql://belfry_relay:r@other/belfry")
    assert own.database_url_as("belfry_relay") == "postgresql+asyncpg://belfry_relay:r@other/belfry"
    assert own.database_url_as("belfry_owner") == "postgresql+asyncpg://belfry_owner@db/belfry"
    assert own.database_url_as("belfry_auditor") == "postgresql+asyncpg://belfry_auditor@db/belfry"
