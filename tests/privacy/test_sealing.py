"""The cipher and its envelope, against published vectors and against another implementation."""

from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import UnavailableError

from kyc_service.privacy.sealing import (
    ENVELOPE_BYTES,
    CipherUnavailable,
    DataKey,
    DecryptionError,
    Part,
    associated_data,
    decipher,
    hkdf,
    key_id_of,
    open_sealed,
    seal,
    self_test,
)

SECRETS = st.binary(min_size=32, max_size=32)
KEYS = st.builds(DataKey, id=st.uuids(), secret=SECRETS)
# half surrogate pairs included: they arrive in JSON as \ud800
TEXTS = st.text(st.characters(exclude_categories=())).filter(lambda text: len(text) < 20)
PARTS = st.lists(st.one_of(TEXTS, st.binary(max_size=20), st.uuids()), max_size=5)

# McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 to 16: key, nonce, plaintext, aad, ct, tag
KEY_15 = "feffe9928665731c6d6a8f9467308308" * 2
PLAIN_15 = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
)
SEALED_15 = (
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
)
PUBLISHED = {
    "13": ("00" * 32, "00" * 12, "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    "14": ("00" * 32, "00" * 12, "00" * 16, "", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"),
    "15": (KEY_15, "cafebabefacedbaddecaf888", PLAIN_15, "", SEALED_15, "b094dac5d93471bdec1a502270e3cc6c"),
    "16": (
        KEY_15,
        "cafebabefacedbaddecaf888",
        PLAIN_15[:120],
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        SEALED_15[:120],
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
}

# RFC 5869, appendix A: input, salt, info, length, output
DERIVED = {
    "1": (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    "3": (
        "0b" * 22,
        "",
        "",
        42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
}


def test_this_machine_seals_as_published() -> None:
    self_test()


def test_a_processor_without_aes_is_told_so_in_one_sentence() -> None:
    def no_aes(message: bytes, aad: bytes | None, nonce: bytes, key: bytes) -> bytes:
        raise UnavailableError("Construction requires hardware acceleration")

    with pytest.raises(CipherUnavailable, match=r"^This processor has no AES instructions .*another machine type\.$"):
        self_test(no_aes)


def test_a_cipher_that_answers_wrongly_is_not_used() -> None:
    with pytest.raises(CipherUnavailable, match="wrong answer"):
        self_test(lambda *_: bytes(32))


@pytest.mark.parametrize("case", PUBLISHED)
def test_an_envelope_around_a_published_ciphertext_opens(case: str) -> None:
    secret, nonce, plain, aad, sealed, tag = map(bytes.fromhex, PUBLISHED[case])
    key = DataKey(id=uuid4(), secret=secret)
    assert open_sealed(key, b"\x01\x01" + key.id.bytes + nonce + sealed + tag, aad) == plain


@pytest.mark.parametrize("case", DERIVED)
def test_key_derivation_gives_the_published_bytes(case: str) -> None:
    secret, salt, info, length, expected = DERIVED[case]
    derived = hkdf(bytes.fromhex(secret), bytes.fromhex(salt), bytes.fromhex(info), length)
    assert derived.hex() == expected


@given(SECRETS, st.binary(max_size=64), st.binary(max_size=64), st.integers(1, 200))
def test_key_derivation_is_that_of_another_implementation(secret: bytes, salt: bytes, info: bytes, length: int) -> None:
    assert hkdf(secret, salt, info, length) == HKDF(SHA256(), length, salt, info).derive(secret)


@given(KEYS, st.binary(max_size=300), st.binary(max_size=100))
def test_an_envelope_holds_exactly_what_another_implementation_would_seal(
    key: DataKey, plaintext: bytes, aad: bytes
) -> None:
    box = seal(key, plaintext, aad)
    nonce = box[18:30]
    assert box == b"\x01\x01" + key.id.bytes + nonce + AESGCM(key.secret).encrypt(nonce, plaintext, aad)


@given(KEYS, st.binary(max_size=300), st.binary(max_size=100), st.binary(min_size=12, max_size=12))
def test_what_another_implementation_sealed_opens(key: DataKey, plaintext: bytes, aad: bytes, nonce: bytes) -> None:
    box = b"\x01\x01" + key.id.bytes + nonce + AESGCM(key.secret).encrypt(nonce, plaintext, aad)
    assert open_sealed(key, box, aad) == plaintext


def test_the_same_words_never_look_the_same_twice(key: DataKey) -> None:
    boxes = {seal(key, b"Alice", b"") for _ in range(1000)}
    assert len(boxes) == 1000


def test_an_envelope_names_its_key(key: DataKey) -> None:
    assert key_id_of(seal(key, b"", b"")) == key.id


def test_every_changed_bit_is_noticed(key: DataKey) -> None:
    box = seal(key, b"Alice Example", b"place")
    for position in range(len(box) * 8):
        changed = bytearray(box)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(DecryptionError):
            open_sealed(key, bytes(changed), b"place")


def test_every_cut_is_noticed(key: DataKey) -> None:
    box = seal(key, b"Alice Example", b"place")
    for length in range(len(box)):
        with pytest.raises(DecryptionError):
            open_sealed(key, box[:length], b"place")


def test_an_extended_envelope_does_not_open(key: DataKey) -> None:
    with pytest.raises(DecryptionError):
        open_sealed(key, seal(key, b"Alice", b"") + b"\0", b"")


@pytest.mark.parametrize("length", range(16))
def test_less_than_a_tag_is_a_decryption_error_like_any_other(key: DataKey, length: int) -> None:
    with pytest.raises(DecryptionError, match="shorter than its tag"):
        decipher(bytes(length), b"", bytes(12), key.secret)


def test_the_shortest_envelope_is_that_of_no_data(key: DataKey) -> None:
    assert len(seal(key, b"", b"")) == ENVELOPE_BYTES


def test_sealed_data_does_not_open_in_another_place(key: DataKey) -> None:
    with pytest.raises(DecryptionError):
        open_sealed(key, seal(key, b"Alice", b"here"), b"there")


def test_another_key_is_not_even_tried(key: DataKey) -> None:
    other = DataKey(id=uuid4(), secret=key.secret)
    with pytest.raises(DecryptionError, match="names another key"):
        open_sealed(other, seal(key, b"Alice", b""), b"")


def test_a_key_of_the_same_name_does_not_open(key: DataKey) -> None:
    other = DataKey(id=key.id, secret=bytes(32))
    with pytest.raises(DecryptionError):
        open_sealed(other, seal(key, b"Alice", b""), b"")


@given(PARTS, PARTS)
def test_different_places_never_have_the_same_associated_data(one: list[Part], other: list[Part]) -> None:
    alike = one == other and [type(part) for part in one] == [type(part) for part in other]
    assert (associated_data("domain", *one) == associated_data("domain", *other)) is alike


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "bc"), ("ab", "c")),
        (("a",), ("a", "")),
        (("a",), (b"a",)),
        ((UUID(int=7),), (UUID(int=7).bytes,)),
        (("a\0b",), ("a", "b")),
    ],
)
def test_no_two_ways_to_cut_a_place_into_parts_meet(one: tuple[Part, ...], other: tuple[Part, ...]) -> None:
    assert associated_data("domain", *one) != associated_data("domain", *other)


def test_domains_are_kept_apart() -> None:
    assert associated_data("kyc/event/v1", "a") != associated_data("kyc/response/v1", "a")
