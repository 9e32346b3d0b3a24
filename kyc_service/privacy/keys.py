"""The key hierarchy: root → tenant key → data key of one person and one class of data; and who wraps what.

root key                       in a key file or a KMS, never in the database
 └─ tenant key, versioned      random, stored wrapped; rewrapping everything to a new version and dropping the old
     │                         one makes keys in old backups useless too
     └─ data key               random, per (tenant, person, class, generation), stored wrapped; destroying it is
                               the erasure, and what stays is a tombstone
"""

import hmac
import os
from collections.abc import Mapping
from typing import Protocol

from nacl.bindings import crypto_aead_aes256gcm_encrypt

from kyc_service.domain.record import record
from kyc_service.privacy.sealing import (
    KEY_BYTES,
    NONCE_BYTES,
    PREAMBLE,
    TAG_BYTES,
    DecryptionError,
    decipher,
    hkdf,
)

SALT_BYTES = 32
COMMITMENT_BYTES = 32
_SALT_END = len(PREAMBLE) + SALT_BYTES
_HEADER_BYTES = _SALT_END + COMMITMENT_BYTES
_ONCE = bytes(NONCE_BYTES)  # a wrapping key is derived for one message, so its nonce need not differ


@record
class Wrapped:
    """A secret under a version of a tenant's key."""

    version: int
    blob: bytes

    def __repr__(self) -> str:
        return f"Wrapped(version={self.version}, blob=***)"


class KeyManager(Protocol):
    """Wraps small secrets of a tenant. *context* is bound: a secret unwraps under the same context or not at all."""

    async def wrap(self, tenant: str, secret: bytes, context: Mapping[str, str]) -> Wrapped:
        """*secret* under the newest version of the tenant's key, which is made if there is none."""
        ...

    async def unwrap(self, tenant: str, wrapped: Wrapped, context: Mapping[str, str]) -> bytes:
        """The secret again, or `DecryptionError`."""
        ...

    async def mac(self, tenant: str, purpose: str, data: bytes) -> bytes:
        """32 bytes that only this tenant and purpose give for *data*; the same for ever."""
        ...


class KeyRotation(Protocol):
    """The operator's half of a key manager."""

    async def rotate(self, tenant: str) -> int:
        """A new version of the tenant's key exists and is used from now on; older ones still unwrap."""
        ...

    async def rewrap(self, tenant: str, wrapped: Wrapped, context: Mapping[str, str]) -> Wrapped:
        """The same secret under the newest version."""
        ...


class IndexKeys(Protocol):
    """Gives the keys of blind indexes, which must be at hand without waiting."""

    def index_key(self, tenant: str, purpose: str) -> bytes:
        """32 bytes of this tenant and purpose, the same for ever and unrelated to any data key."""
        ...


def wrap_secret(wrapping: bytes, secret: bytes, bound: bytes) -> bytes:
    """*secret* under *wrapping*, bound to *bound*: version, suite, salt, commitment, ciphertext and tag.

    A wrapping key wraps millions of secrets and GCM commits to no key, so each secret gets its own key by HKDF with
    a fresh salt: no limit on messages, and a commitment to the wrapping key and to what the secret is bound to.
    """
    salt = os.urandom(SALT_BYTES)
    key, commitment = _derive(wrapping, salt, bound)
    header = b"".join((PREAMBLE, salt, commitment))
    return header + crypto_aead_aes256gcm_encrypt(secret, header, _ONCE, key)


def unwrap_secret(wrapping: bytes, blob: bytes, bound: bytes) -> bytes:
    """The secret in *blob*, or `DecryptionError` if the key, the binding or a single bit differs."""
    if len(blob) < _HEADER_BYTES + TAG_BYTES or blob[: len(PREAMBLE)] != PREAMBLE:
        raise DecryptionError("The wrapped key is cut short or of an unknown version.")
    header = blob[:_HEADER_BYTES]
    key, commitment = _derive(wrapping, blob[len(PREAMBLE) : _SALT_END], bound)
    if not hmac.compare_digest(commitment, blob[_SALT_END:_HEADER_BYTES]):
        raise DecryptionError("The key was wrapped under another key or for another owner.")
    return decipher(blob[_HEADER_BYTES:], header, _ONCE, key)


def _derive(wrapping: bytes, salt: bytes, bound: bytes) -> tuple[bytes, bytes]:
    material = hkdf(wrapping, salt, bound, KEY_BYTES + COMMITMENT_BYTES)
    return material[:KEY_BYTES], material[KEY_BYTES:]
