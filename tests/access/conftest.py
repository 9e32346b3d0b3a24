"""A token issuer with real keys behind a fake wire, and clocks that the tests move."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from typing import TypeAlias

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

URL = "https://issuer.example/jwks"
START = 1_800_000_000.0  # the wall clock when a test begins


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Issuer:
    """Signs tokens with its private keys, and publishes the public ones that are in `published`."""

    def __init__(self, keys: Mapping[str, PrivateKey], wall: Clock) -> None:
        self.keys = keys
        self.wall = wall
        self.published: list[dict[str, object]] = [self.jwk("first")]
        self.fetches = 0
        self.down = False
        self.open = asyncio.Event()  # closed, the issuer does not answer
        self.open.set()
        self.client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer))

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        assert str(request.url) == URL
        self.fetches += 1
        await self.open.wait()
        await asyncio.sleep(0)
        return httpx2.Response(503) if self.down else httpx2.Response(200, json={"keys": self.published})

    def jwk(self, name: str, **members: object) -> dict[str, object]:
        public = self.keys[name].public_key()
        if isinstance(public, rsa.RSAPublicKey):
            known = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
        else:
            known = jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
        return {**known, "kid": name, "use": "sig", **members}

    def claims(self, **changed: object) -> dict[str, object]:
        """What an ordinary token says; None leaves a claim out."""
        now = int(self.wall())
        ordinary = {
            "iss": "crowdpay",
            "aud": "kyc-service",
            "sub": "alice",
            "azp": "backoffice",
            "iat": now,
            "exp": now + 300,
            "tenant": "acme",
            "roles": ["reviewer"],
        }
        return {name: value for name, value in {**ordinary, **changed}.items() if value is not None}

    def token(self, name: str = "first", *, header: Mapping[str, object] | None = None, **changed: object) -> str:
        """An ordinary token, but for what is changed."""
        return self.signed(name, json.dumps(self.claims(**changed)).encode(), header)

    def signed(self, name: str, content: bytes, header: Mapping[str, object] | None = None) -> str:
        """*content* under a right signature. Assembled by hand, because an attacker's library refuses nothing."""
        key = self.keys[name]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        said = {"alg": algorithm, "typ": "at+jwt", "kid": name, **(header or {})}
        signed = assembled({k: v for k, v in said.items() if v is not None}, content)
        signature = jwt.get_algorithm_by_name(algorithm).sign(signed.encode(), key)
        return f"{signed}.{base64url(signature)}"

    def mac_token(self, kid: str, secret: bytes) -> str:
        """A token under HS256, as somebody without any private key can make it."""
        signed = assembled({"alg": "HS256", "typ": "JWT", "kid": kid}, json.dumps(self.claims()).encode())
        return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"

    def pem(self, name: str) -> bytes:
        return (
            self.keys[name]
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )


def base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def assembled(header: Mapping[str, object], content: bytes) -> str:
    return f"{base64url(json.dumps(header).encode())}.{base64url(content)}"


@pytest.fixture(scope="session")
def signing_keys() -> Mapping[str, PrivateKey]:
    """`first` and `second` are the issuer's, `elliptic` too; `foreign` is somebody else's."""
    return {
        "first": rsa.generate_private_key(65537, 2048),
        "second": rsa.generate_private_key(65537, 2048),
        "elliptic": ec.generate_private_key(ec.SECP256R1()),
        "foreign": rsa.generate_private_key(65537, 2048),
    }


@pytest.fixture
def clock() -> Clock:
    """The clock that never goes back."""
    return Clock(1000.0)


@pytest.fixture
def wall() -> Clock:
    """The clock that people see."""
    return Clock(START)


@pytest.fixture
async def issuer(signing_keys: Mapping[str, PrivateKey], wall: Clock) -> AsyncIterator[Issuer]:
    issuer = Issuer(signing_keys, wall)
    yield issuer
    await issuer.client.aclose()
