# SPDX-License-Identifier: EUPL-1.2
"""Secrets at rest: AES-256-GCM under a key of the organization, bound to the tenant, table, column and row.

The key of an organization is derived from the installation's key-encryption key by HKDF-SHA256 (RFC 5869). A sealed
value moved to another row, column or organization does not open.
"""

import os
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12
KEY_ID_BYTES = 8


class CannotOpen(Exception):
    """A sealed value does not belong here, was changed, or was sealed under a key that is not installed."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is stored: which key, the nonce, and the ciphertext with its tag."""

    key_id: str
    nonce: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret lives. It opens there and nowhere else."""

    tenant_id: UUID
    table: str
    column: str
    row_id: UUID

    def bound(self) -> bytes:
        return f"{self.tenant_id}|{self.table}|{self.column}|{self.row_id}".encode()


class Vault:
    """Seals and opens; holds the installation's keys. The first key seals, the others still open."""

    def __init__(self, *keys: bytes) -> None:
        self._keys = {_key_id(key): key for key in keys}
        self._current = _key_id(keys[0])

    def seal(self, secret: bytes, place: Place) -> Sealed:
        nonce = os.urandom(NONCE_BYTES)
        ciphertext = self._cipher(self._current, place).encrypt(nonce, secret, place.bound())
        return Sealed(self._current, nonce, ciphertext)

    def open(self, sealed: Sealed, place: Place) -> bytes:
        """The secret. Raises CannotOpen for a swapped, changed or foreign value."""
        try:
            return self._cipher(sealed.key_id, place).decrypt(sealed.nonce, sealed.ciphertext, place.bound())
        except (InvalidTag, KeyError, ValueError) as error:  # ValueError: a nonce of another length
            raise CannotOpen from error

    def derive(self, purpose: str, context: bytes = b"") -> bytes:
        """A key of 32 bytes for one purpose, such as signing cursors."""
        return _derive(self._keys[self._current], f"belfry {purpose}".encode() + b"|" + context)

    def sign(self, purpose: str, message: bytes) -> bytes:
        """An HMAC-SHA256 of a message under the key of one purpose."""
        mac = HMAC(self.derive(purpose), SHA256())
        mac.update(message)
        return mac.finalize()

    def _cipher(self, key_id: str, place: Place) -> AESGCM:
        return AESGCM(_derive(self._keys[key_id], b"belfry seal|" + place.tenant_id.bytes))


def digest(text: str) -> bytes:
    """The SHA-256 under which a token of high entropy is stored and found; the token itself is never kept."""
    hasher = Hash(SHA256())
    hasher.update(text.encode())
    return hasher.finalize()


def _derive(key: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key)


def _key_id(key: bytes) -> str:
    return _derive(key, b"belfry key id")[:KEY_ID_BYTES].hex()
