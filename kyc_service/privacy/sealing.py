"""The one cipher: AES-256-GCM of libsodium, an envelope that names its key, and injective associated data."""

import hmac
import os
import struct
from collections.abc import Callable
from functools import lru_cache
from uuid import UUID

from nacl.bindings import crypto_aead_aes256gcm_decrypt, crypto_aead_aes256gcm_encrypt
from nacl.exceptions import CryptoError, UnavailableError

from kyc_service.domain.record import record

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
VERSION, SUITE = 1, 1  # suite 1: AES-256-GCM; 2 and 3 are reserved for machines and needs of another time
PREAMBLE = bytes((VERSION, SUITE))
ENVELOPE_BYTES = len(PREAMBLE) + 16 + NONCE_BYTES + TAG_BYTES

_ID_END = len(PREAMBLE) + 16
_NONCE_END = _ID_END + NONCE_BYTES
_LENGTH = struct.Struct(">cI")
_UUID_HEADER = _LENGTH.pack(b"u", 16)

Part = str | bytes | UUID
Cipher = Callable[[bytes, bytes | None, bytes, bytes], bytes]  # message, associated data, nonce, key


class PrivacyError(Exception):
    """Personal data cannot be sealed or opened."""


class DecryptionError(PrivacyError):
    """The sealed data was changed, or it was sealed for another place or under another key."""


class CipherUnavailable(PrivacyError):
    """This processor has no AES instructions, and the service does not seal personal data without them."""


@record
class DataKey:
    """A key in the clear, in memory only; what prints it sees its id."""

    id: UUID
    secret: bytes

    def __repr__(self) -> str:
        return f"DataKey(id={self.id}, secret=***)"


def self_test(cipher: Cipher = crypto_aead_aes256gcm_encrypt) -> None:
    """Pass only where the cipher runs and gives the published answer: test case 14 of the GCM specification."""
    try:
        answer = cipher(bytes(16), None, bytes(NONCE_BYTES), bytes(KEY_BYTES))
    except UnavailableError as error:
        raise CipherUnavailable(
            "This processor has no AES instructions (AES-NI, or the ARMv8 cryptography extension), "
            "so libsodium offers no AES-256-GCM here: run the service on another machine type."
        ) from error
    if answer.hex() != "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919":
        raise CipherUnavailable("The AES-256-GCM of this installation gives a wrong answer to a published test case.")


def associated_data(domain: str, *parts: Part) -> bytes:
    """What a ciphertext is bound to, as bytes: two different lists of parts never give the same.

    Each part carries its kind and its length, because a separator could be part of a name.
    """
    return b"".join([_part(domain), *[_part(part) for part in parts]])


def _part(part: Part) -> bytes:
    if isinstance(part, str):
        return _text(part)
    if isinstance(part, UUID):
        return _UUID_HEADER + part.bytes
    return _LENGTH.pack(b"b", len(part)) + part


@lru_cache(1_000)
def _text(part: str) -> bytes:
    # a tenant's name may hold half a surrogate pair, and the strict error would quote the name
    content = part.encode("utf-8", "surrogatepass")
    return _LENGTH.pack(b"s", len(content)) + content


def seal(key: DataKey, plaintext: bytes, aad: bytes) -> bytes:
    """An envelope: version, suite, the key's id, a random nonce, ciphertext and tag.

    Random 96-bit nonces are safe because a key belongs to one person, who never gets near its 2³² messages.
    """
    nonce = os.urandom(NONCE_BYTES)
    sealed = crypto_aead_aes256gcm_encrypt(plaintext, aad, nonce, key.secret)
    return b"".join((PREAMBLE, key.id.bytes, nonce, sealed))


def key_id_of(box: bytes) -> UUID:
    """The id of the key that opens *box*; no other key is ever tried."""
    if len(box) < ENVELOPE_BYTES:
        raise DecryptionError("The sealed data is shorter than an empty envelope.")
    if box[: len(PREAMBLE)] != PREAMBLE:
        raise DecryptionError("The sealed data is of a version or suite that this release does not know.")
    return UUID(bytes=box[len(PREAMBLE) : _ID_END])


def open_sealed(key: DataKey, box: bytes, aad: bytes) -> bytes:
    """The plaintext of *box*, if it was sealed under *key* with exactly this associated data and not changed since."""
    if key_id_of(box) != key.id:
        raise DecryptionError("The sealed data names another key.")
    return decipher(box[_NONCE_END:], aad, box[_ID_END:_NONCE_END], key.secret)


def decipher(sealed: bytes, aad: bytes, nonce: bytes, secret: bytes) -> bytes:
    """The bare cipher, with one error for everything that is wrong with *sealed*."""
    if len(sealed) < TAG_BYTES:  # the binding would raise a ValueError about a negative array
        raise DecryptionError("The sealed data is shorter than its tag.")
    try:
        return crypto_aead_aes256gcm_decrypt(sealed, aad, nonce, secret)
    except CryptoError as error:
        raise DecryptionError(
            "The sealed data was changed, or it was sealed for another place or under another key."
        ) from error


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256 of RFC 5869: *length* bytes of key material that tell nothing of *secret* or of each other."""
    pseudorandom = hmac.digest(salt, secret, "sha256")
    material = block = b""
    counter = 0
    while len(material) < length:
        counter += 1
        block = hmac.digest(pseudorandom, block + info + bytes((counter,)), "sha256")
        material += block
    return material[:length]
