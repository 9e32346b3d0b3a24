"""The published vectors of every format at rest, against a second implementation on another library.

Whoever reads our files in another language checks against tests/privacy/vectors; a change that breaks one of them
makes data unreadable that is stored already.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kyc_service.privacy.blobs import Opener, Sealer
from kyc_service.privacy.keys import unwrap_secret, wrap_secret
from kyc_service.privacy.sealing import DataKey, Part, associated_data, open_sealed, seal

VECTORS = Path(__file__).parent / "vectors"
Vector = Mapping[str, str]


def published(name: str) -> dict[str, Vector]:
    """The vectors of one format by their names."""
    vectors: list[Vector] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["vectors"]
    return {vector["name"]: vector for vector in vectors}


def binary(vector: Vector, name: str) -> bytes:
    return bytes.fromhex(vector[name])


# ── the second implementation: slow, simple, from the description alone ───────────────


def plain_file(size: int) -> bytes:
    """The file of a vector: the digests of 0, 1, 2 … one after the other, cut to *size*."""
    blocks = (hashlib.sha256(number.to_bytes(8, "big")).digest() for number in range(-(-size // 32)))
    return b"".join(blocks)[:size]


def write_container(plain: bytes, *, key: bytes, context: bytes, random: bytes, log2: int) -> bytes:
    """KYCB version 1, all at once; *random* is the salt and the nonce prefix."""
    salt, prefix = random[:32], random[32:]
    fixed = b"KYCB\x01\x01" + log2.to_bytes(2, "big")
    material = HKDF(SHA256(), 64, salt, b"kyc/blob/v1\0" + fixed + context).derive(key)
    header = fixed + salt + prefix + material[32:]
    cipher, size = AESGCM(material[:32]), 1 << log2
    blocks = [plain[start : start + size] for start in range(0, len(plain), size)] or [b""]
    chunks = [
        cipher.encrypt(
            prefix + index.to_bytes(4, "big") + bytes([index == len(blocks) - 1]), block, b"" if index else header
        )
        for index, block in enumerate(blocks)
    ]
    return header + b"".join(chunks)


def read_container(container: bytes, *, key: bytes, context: bytes) -> bytes:
    """The file in a container of KYCB version 1."""
    header, body = container[:79], container[79:]
    material = HKDF(SHA256(), 64, header[8:40], b"kyc/blob/v1\0" + header[:8] + context).derive(key)
    assert header[47:] == material[32:]
    size = (1 << int.from_bytes(header[6:8], "big")) + 16
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(
        AESGCM(material[:32]).decrypt(
            header[40:47] + index.to_bytes(4, "big") + bytes([index == len(chunks) - 1]),
            chunk,
            b"" if index else header,
        )
        for index, chunk in enumerate(chunks)
    )


def bound_to(parts: Iterator[tuple[bytes, bytes]]) -> bytes:
    """Associated data: of each part its kind, its length in four bytes, and itself."""
    return b"".join(kind + len(content).to_bytes(4, "big") + content for kind, content in parts)


# ── files ─────────────────────────────────────────────────────────────────────────────

CONTAINERS = published("kycb-v1")


@pytest.mark.parametrize("vector", CONTAINERS.values(), ids=CONTAINERS)
def test_the_published_containers_are_what_the_description_says(vector: Vector) -> None:
    container = write_container(
        plain_file(int(vector["plain_bytes"])),
        key=binary(vector, "key"),
        context=binary(vector, "context"),
        random=binary(vector, "salt") + binary(vector, "nonce_prefix"),
        log2=int(vector["log2_chunk"]),
    )
    assert hashlib.sha256(container).hexdigest() == vector["container_sha256"]
    assert container.startswith(binary(vector, "container_begins"))


@pytest.mark.parametrize("vector", CONTAINERS.values(), ids=CONTAINERS)
def test_the_service_writes_the_published_containers(vector: Vector) -> None:
    given_out = iter([binary(vector, "salt"), binary(vector, "nonce_prefix")])
    key = DataKey(id=UUID(int=1), secret=binary(vector, "key"))
    sealer = Sealer(
        key, binary(vector, "context"), log2_chunk=int(vector["log2_chunk"]), entropy=lambda _: next(given_out)
    )
    chunks = sealer.feed(plain_file(int(vector["plain_bytes"])))
    container = b"".join([sealer.header, *chunks, sealer.finish()])
    assert hashlib.sha256(container).hexdigest() == vector["container_sha256"]


@pytest.mark.parametrize("vector", CONTAINERS.values(), ids=CONTAINERS)
def test_the_service_reads_what_the_second_implementation_writes(vector: Vector) -> None:
    plain = plain_file(int(vector["plain_bytes"]))
    secret, context = binary(vector, "key"), binary(vector, "context")
    random = bytes(range(39))
    container = write_container(plain, key=secret, context=context, random=random, log2=int(vector["log2_chunk"]))
    opener = Opener(DataKey(id=UUID(int=1), secret=secret), context)
    assert b"".join([*opener.feed(container), opener.finish()]) == plain


@pytest.mark.parametrize("vector", CONTAINERS.values(), ids=CONTAINERS)
def test_the_second_implementation_reads_what_the_service_writes(vector: Vector) -> None:
    plain = plain_file(int(vector["plain_bytes"]))
    secret, context = binary(vector, "key"), binary(vector, "context")
    sealer = Sealer(DataKey(id=UUID(int=1), secret=secret), context, log2_chunk=int(vector["log2_chunk"]))
    container = b"".join([sealer.header, *sealer.feed(plain), sealer.finish()])
    assert read_container(container, key=secret, context=context) == plain


# ── envelopes ─────────────────────────────────────────────────────────────────────────

ENVELOPES = published("envelope-v1")


def parts_of(vector: Vector) -> list[Part]:
    """`s:` a text, `u:` a UUID, `b:` bytes in hex."""
    kinds: dict[str, Callable[[str], Part]] = {"s": str, "u": UUID, "b": bytes.fromhex}
    return [kinds[part[0]](part[2:]) for part in vector["bound_to"].split("|")]


@pytest.mark.parametrize("vector", ENVELOPES.values(), ids=ENVELOPES)
def test_the_published_envelopes_are_what_the_description_says(vector: Vector) -> None:
    contents = (
        (part[0].encode(), {"s": str.encode, "u": lambda text: UUID(text).bytes, "b": bytes.fromhex}[part[0]](part[2:]))
        for part in vector["bound_to"].split("|")
    )
    nonce, plain = binary(vector, "nonce"), vector["plaintext"].encode()
    sealed = AESGCM(binary(vector, "key")).encrypt(nonce, plain, bound_to(contents))
    assert b"\x01\x01" + UUID(vector["key_id"]).bytes + nonce + sealed == binary(vector, "envelope")


@pytest.mark.parametrize("vector", ENVELOPES.values(), ids=ENVELOPES)
def test_the_service_opens_the_published_envelopes(vector: Vector) -> None:
    key = DataKey(id=UUID(vector["key_id"]), secret=binary(vector, "key"))
    domain, *parts = parts_of(vector)
    assert isinstance(domain, str)
    aad = associated_data(domain, *parts)
    assert open_sealed(key, binary(vector, "envelope"), aad) == vector["plaintext"].encode()


@pytest.mark.parametrize("vector", ENVELOPES.values(), ids=ENVELOPES)
def test_the_second_implementation_opens_what_the_service_seals(vector: Vector) -> None:
    key = DataKey(id=UUID(vector["key_id"]), secret=binary(vector, "key"))
    box = seal(key, vector["plaintext"].encode(), b"place")
    assert AESGCM(key.secret).decrypt(box[18:30], box[30:], b"place") == vector["plaintext"].encode()


# ── wrapped keys ──────────────────────────────────────────────────────────────────────

WRAPPED = published("wrap-v1")


@pytest.mark.parametrize("vector", WRAPPED.values(), ids=WRAPPED)
def test_the_published_wrapped_keys_are_what_the_description_says(vector: Vector) -> None:
    salt = binary(vector, "salt")
    material = HKDF(SHA256(), 64, salt, binary(vector, "bound_to")).derive(binary(vector, "wrapping_key"))
    header = b"\x01\x01" + salt + material[32:]
    sealed = AESGCM(material[:32]).encrypt(bytes(12), binary(vector, "secret"), header)
    assert header + sealed == binary(vector, "wrapped")


@pytest.mark.parametrize("vector", WRAPPED.values(), ids=WRAPPED)
def test_the_service_unwraps_the_published_keys(vector: Vector) -> None:
    secret = unwrap_secret(binary(vector, "wrapping_key"), binary(vector, "wrapped"), binary(vector, "bound_to"))
    assert secret == binary(vector, "secret")
    again = wrap_secret(binary(vector, "wrapping_key"), secret, binary(vector, "bound_to"))
    assert len(again) == len(binary(vector, "wrapped"))
