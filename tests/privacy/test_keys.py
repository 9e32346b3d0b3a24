"""Wrapped secrets, and what the key hierarchy prints of itself."""

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from kyc_service.privacy.keys import unwrap_secret, wrap_secret
from kyc_service.privacy.sealing import DecryptionError

WRAPPING = bytes(range(32))
SECRET = os.urandom(32)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.binary(max_size=100))
def test_a_wrapped_secret_is_what_another_implementation_unwraps(wrapping: bytes, secret: bytes, bound: bytes) -> None:
    blob = wrap_secret(wrapping, secret, bound)
    material = HKDF(SHA256(), 64, blob[2:34], bound).derive(wrapping)
    assert blob[:2] == b"\x01\x01"
    assert blob[34:66] == material[32:]
    assert AESGCM(material[:32]).decrypt(bytes(12), blob[66:], blob[:66]) == secret


def test_a_wrapped_secret_unwraps_under_its_key_and_binding() -> None:
    assert unwrap_secret(WRAPPING, wrap_secret(WRAPPING, SECRET, b"bound"), b"bound") == SECRET


def test_no_two_wraps_share_a_key() -> None:
    assert len({wrap_secret(WRAPPING, SECRET, b"")[2:34] for _ in range(1000)}) == 1000


def test_every_changed_bit_of_a_wrapped_secret_is_noticed() -> None:
    blob = wrap_secret(WRAPPING, SECRET, b"bound")
    for position in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(DecryptionError):
            unwrap_secret(WRAPPING, bytes(changed), b"bound")


def test_every_cut_of_a_wrapped_secret_is_noticed() -> None:
    blob = wrap_secret(WRAPPING, SECRET, b"bound")
    for length in range(len(blob)):
        with pytest.raises(DecryptionError):
            unwrap_secret(WRAPPING, blob[:length], b"bound")


@pytest.mark.parametrize(("wrapping", "bound"), [(bytes(32), b"bound"), (WRAPPING, b"elsewhere")])
def test_another_key_or_binding_fails_before_anything_is_decrypted(wrapping: bytes, bound: bytes) -> None:
    with pytest.raises(DecryptionError, match="under another key or for another owner"):
        unwrap_secret(wrapping, wrap_secret(WRAPPING, SECRET, b"bound"), bound)
