# SPDX-License-Identifier: EUPL-1.2
"""Sealed secrets: they open where they were sealed and nowhere else, and any change is refused."""

import secrets
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.kernel.encryption import CannotOpen, Place, Sealed, Vault, digest

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
WORDS = st.from_regex(r"[a-z_]{1,20}", fullmatch=True)
PLACES = st.builds(Place, tenant_id=st.uuids(), table=WORDS, column=WORDS, row_id=st.uuids())
HERE = Place(UUID(int=1), "account_credential", "ciphertext", UUID(int=2))


@given(st.binary(max_size=300), PLACES)
def test_a_secret_opens_where_it_was_sealed(secret: bytes, place: Place) -> None:
    vault = Vault(KEY)
    sealed = vault.seal(secret, place)
    assert vault.open(sealed, place) == secret
    assert len(secret) < 4 or secret not in sealed.ciphertext


@given(PLACES, st.sampled_from(["tenant_id", "table", "column", "row_id"]), PLACES)
def test_a_secret_moved_to_any_other_place_is_refused(place: Place, part: str, other: Place) -> None:
    elsewhere = replace(place, **{part: getattr(other, part)})
    assume(elsewhere != place)
    vault = Vault(KEY)
    with pytest.raises(CannotOpen):
        vault.open(vault.seal(b"secret", place), elsewhere)


def test_two_places_never_read_alike() -> None:
    """Parts are joined by a sign that no table or column of ours has in its name."""
    places = [replace(HERE, table=table, column=column) for table in ("a", "a_b", "b") for column in ("a", "a_b", "b")]
    assert len({place.bound() for place in places}) == len(places)


@given(st.binary(min_size=1, max_size=60), st.data())
def test_any_changed_byte_is_refused(secret: bytes, data: st.DataObject) -> None:
    vault = Vault(KEY)
    sealed = vault.seal(secret, HERE)
    name = data.draw(st.sampled_from(["nonce", "ciphertext"]))
    value: bytes = getattr(sealed, name)
    at = data.draw(st.integers(0, len(value) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    tampered = replace(sealed, **{name: value[:at] + bytes([value[at] ^ bit]) + value[at + 1 :]})
    with pytest.raises(CannotOpen):
        vault.open(tampered, HERE)


@given(st.binary(min_size=1, max_size=60), st.integers(1, 16))
def test_a_ciphertext_that_was_cut_is_refused(secret: bytes, cut: int) -> None:
    vault = Vault(KEY)
    sealed = vault.seal(secret, HERE)
    with pytest.raises(CannotOpen):
        vault.open(replace(sealed, ciphertext=sealed.ciphertext[:-cut]), HERE)


@pytest.mark.parametrize("nonce", [b"", b"short", bytes(13)])
def test_a_nonce_of_another_length_is_refused(nonce: bytes) -> None:
    vault = Vault(KEY)
    with pytest.raises(CannotOpen):
        vault.open(replace(vault.seal(b"secret", HERE), nonce=nonce), HERE)


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    vault = Vault(KEY)
    sealed = {(each.nonce, each.ciphertext) for each in (vault.seal(b"secret", HERE) for _ in range(100))}
    assert len({nonce for nonce, _ in sealed}) == 100
    assert len({ciphertext for _, ciphertext in sealed}) == 100


def test_after_a_change_of_keys_the_new_one_seals_and_the_old_one_still_opens() -> None:
    before = Vault(KEY).seal(b"old", HERE)
    rotated = Vault(OTHER_KEY, KEY)
    assert rotated.open(before, HERE) == b"old"
    after = rotated.seal(b"new", HERE)
    assert after.key_id != before.key_id
    with pytest.raises(CannotOpen):
        Vault(KEY).open(after, HERE)


def test_a_key_that_is_not_installed_opens_nothing() -> None:
    sealed = Vault(KEY).seal(b"secret", HERE)
    for vault in (Vault(OTHER_KEY), Vault(secrets.token_bytes(32))):
        with pytest.raises(CannotOpen):
            vault.open(sealed, HERE)
    renamed = replace(sealed, key_id=Vault(OTHER_KEY).seal(b"", HERE).key_id)
    with pytest.raises(CannotOpen):
        Vault(KEY, OTHER_KEY).open(renamed, HERE)


def test_the_id_of_a_key_tells_nothing_about_it() -> None:
    sealed = Vault(KEY).seal(b"secret", HERE)
    assert bytes.fromhex(sealed.key_id) not in KEY
    assert len(sealed.key_id) == 16


@given(st.text(max_size=20), st.text(max_size=20), st.binary(max_size=30), st.binary(max_size=30))
def test_keys_and_signatures_of_two_purposes_differ(one: str, other: str, message: bytes, second: bytes) -> None:
    vault = Vault(KEY)
    assert vault.derive(one) == vault.derive(one)
    assert len(vault.derive(one)) == 32
    if one != other:
        assert vault.derive(one) != vault.derive(other)
        assert vault.sign(one, message) != vault.sign(other, message)
    if message != second:
        assert vault.sign(one, message) != vault.sign(one, second)
    assert vault.derive(one) not in (KEY, Vault(OTHER_KEY).derive(one))


def test_a_sealed_value_shows_no_secret_when_it_is_printed() -> None:
    sealed = Vault(KEY).seal(b"correct horse", HERE)
    assert isinstance(sealed, Sealed)
    assert "correct horse" not in repr(sealed)
    assert str(KEY) not in repr(Vault(KEY))


def test_a_token_is_found_by_a_digest_of_fixed_length() -> None:
    assert len(digest("belfry_x")) == 32
    assert digest("a") == digest("a") != digest("b")
