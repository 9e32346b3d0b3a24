"""The issuer's public keys, kept fresh without ever making a caller pay for the issuer's outage.

A key set is served for five minutes, then refreshed behind the callers' backs; when the issuer is down it goes on being
served for a day. Only then does the service answer "not now" (`KeysUnavailable`, 503), and never "who are you?" (401).
"""

import asyncio
import ipaddress
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kyc_service.access.principal import AuthError, Refusal
from kyc_service.domain.record import record

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

LARGEST_DOCUMENT = 256 * 1024
MOST_KEYS = 64
SMALLEST_RSA = 2048
FETCH_SECONDS = 5.0

RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
CURVES: Mapping[tuple[str, str], frozenset[str]] = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
    ("OKP", "Ed448"): frozenset({"EdDSA"}),
}
ASYMMETRIC = RSA.union(*CURVES.values())

log = logging.getLogger(__name__)


class KeysUnavailable(Exception):
    """The keys that verify access tokens are not available at the moment. Please try again."""


class KeysUnreadable(Exception):
    """One attempt to read the issuer's key set failed; its words are for the log."""


class KeyAddressRefused(Exception):
    """The key set's address is neither https, nor http on this machine, nor a file."""


@record
class VerificationKey:
    """One public key, pinned to the algorithms that its own type allows: the token does not get to choose."""

    key: PublicKey
    algorithms: frozenset[str]


class KeySource(Protocol):
    """Where an issuer publishes its keys."""

    async def read(self) -> bytes:
        """The key set as it is now, at most 256 KiB of it, or `KeysUnreadable`."""
        ...


class HttpKeys:
    """A key set behind a URL."""

    def __init__(self, url: str, client: httpx2.AsyncClient, patience: float = FETCH_SECONDS) -> None:
        _refuse_unsafe(urlsplit(url))
        self._url = url
        self._client = client
        self._patience = patience

    async def read(self) -> bytes:
        try:
            async with asyncio.timeout(self._patience):  # over the whole answer: a slow drip is an outage too
                return await self._download()
        except (httpx2.HTTPError, TimeoutError) as error:
            raise KeysUnreadable(type(error).__name__) from error

    async def _download(self) -> bytes:
        # No compression: the cap then holds for what is in memory and not only for what was sent.
        headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
        async with self._client.stream("GET", self._url, headers=headers, follow_redirects=False) as response:
            if response.status_code != httpx2.codes.OK:
                raise KeysUnreadable(f"status {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise KeysUnreadable("compressed although identity was asked for")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LARGEST_DOCUMENT:
                    raise KeysUnreadable("larger than 256 KiB")
            return bytes(body)


class FileKeys:
    """A key set in a file, for places that no issuer reaches."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> bytes:
        try:
            return await asyncio.to_thread(self._read)
        except OSError as error:
            raise KeysUnreadable(type(error).__name__) from error

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            body = file.read(LARGEST_DOCUMENT + 1)
        if len(body) > LARGEST_DOCUMENT:
            raise KeysUnreadable("larger than 256 KiB")
        return body


def key_source(url: str, client: httpx2.AsyncClient) -> KeySource:
    """The source behind *url*: `https:`, `http:` on this machine, or `file:`."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return HttpKeys(url, client)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise KeyAddressRefused("a file: address needs an absolute path on this machine")
    return FileKeys(Path(unquote(parts.path)))


def _refuse_unsafe(url: SplitResult) -> None:
    if not url.hostname or url.username is not None:
        raise KeyAddressRefused("the address needs a host, and holds no credentials")
    if url.scheme != "https" and not (url.scheme == "http" and _loopback(url.hostname)):
        raise KeyAddressRefused("keys that travel in clear can be replaced on the way: use https")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_keys(document: bytes, allowed: frozenset[str]) -> Mapping[str, VerificationKey]:
    """The usable keys of a key set by their id; private, symmetric, encryption and weak keys are left out."""
    try:
        content = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise KeysUnreadable("not JSON") from error
    listed = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise KeysUnreadable("not a key set")
    found: dict[str, VerificationKey] = {}
    for entry in listed[:MOST_KEYS]:
        key = _usable(entry, allowed) if isinstance(entry, dict) else None
        if key and entry["kid"] not in found:
            found[entry["kid"]] = key
    if not found:
        raise KeysUnreadable("no usable key")
    return found


def _usable(entry: Mapping[str, object], allowed: frozenset[str]) -> VerificationKey | None:
    algorithms = _algorithms(entry) & allowed
    if not algorithms or not _for_verifying(entry):
        return None
    try:
        key = jwt.PyJWK(dict(entry), algorithm=min(algorithms)).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    # A private key that somebody published by mistake is no PublicKey, and gone with it.
    if not isinstance(key, PublicKey) or (isinstance(key, RSAPublicKey) and key.key_size < SMALLEST_RSA):
        return None
    return VerificationKey(key=key, algorithms=algorithms)


def _for_verifying(entry: Mapping[str, object]) -> bool:
    """Whether *entry* has a name and is meant for signatures."""
    kid, operations = entry.get("kid"), entry.get("key_ops", ["verify"])
    if not isinstance(kid, str) or not kid or entry.get("use", "sig") != "sig":
        return False
    return isinstance(operations, list) and "verify" in operations


def _algorithms(entry: Mapping[str, object]) -> frozenset[str]:
    """What the key's own type allows, narrowed to the one algorithm that its issuer may have named."""
    kind, curve = entry.get("kty"), entry.get("crv")
    possible = RSA if kind == "RSA" else CURVES.get((str(kind), str(curve)), frozenset())
    return possible & {str(entry["alg"])} if "alg" in entry else possible


@record
class Freshness:
    """How long a key set is believed, in seconds. `soft`: refresh behind the callers; `hard`: stop serving it."""

    soft: float = 300
    hard: float = 24 * 3600
    cooldown: float = 10  # between refreshes: a storm of unknown key ids is not passed on to the issuer
    retry: float = 1  # between attempts while there is nothing to serve


class JsonWebKeys:
    """The issuer's keys. Any number of callers share one fetch, and a caller who gives up does not end it for the rest.

    `generation` grows whenever the key set's content changes: what was verified under an older one must be verified
    again. `expires` is when the present set may no longer be served. Times are the clock's, which never goes back.
    """

    def __init__(
        self,
        source: KeySource,
        algorithms: frozenset[str],
        freshness: Freshness | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not algorithms or algorithms - ASYMMETRIC:
            raise ValueError(f"not asymmetric signature algorithms: {sorted(algorithms - ASYMMETRIC)}")
        self.generation = 0
        self.expires = float("-inf")
        self._source = source
        self._algorithms = algorithms
        self._freshness = freshness or Freshness()
        self._clock = clock
        self._keys: Mapping[str, VerificationKey] = {}
        self._stale = float("-inf")
        self._tried = float("-inf")
        self._failed = False
        self._task: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> VerificationKey:
        """The key called *kid*: `AuthError` if the issuer has none, `KeysUnavailable` if we cannot know."""
        now = self._clock()
        if now >= self.expires:
            if self._refreshing or now - self._tried >= self._freshness.retry:
                await self._refresh()
            if self._clock() >= self.expires:
                raise KeysUnavailable
        elif now >= self._stale and now - self._tried >= self._freshness.cooldown:
            self._start()
        if kid not in self._keys and (self._refreshing or now - self._tried >= self._freshness.cooldown):
            await self._refresh()
        if kid in self._keys:
            return self._keys[kid]
        if self._failed:  # the issuer may well have this key by now; saying "unknown" would blame the caller for it
            raise KeysUnavailable
        raise AuthError(Refusal.KEY_UNKNOWN)

    async def close(self) -> None:
        """End a refresh that is still under way."""
        if self._task and not self._task.done():
            self._failed = True  # whoever waits for it hears "not now", not "unknown"
            self._task.cancel()
            await asyncio.wait({self._task})

    @property
    def _refreshing(self) -> bool:
        return self._task is not None and not self._task.done()

    def _start(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._tried = self._clock()
            self._task = asyncio.create_task(self._fetch(), name="jwks refresh")
        return self._task

    async def _refresh(self) -> None:
        # wait() neither passes our cancellation on to the shared fetch nor its cancellation on to us.
        await asyncio.wait({self._start()})

    async def _fetch(self) -> None:
        try:
            keys = read_keys(await self._source.read(), self._algorithms)
        except KeysUnreadable as error:
            self._failed = True
            log.warning("the issuer's keys could not be refreshed: %s", error)
            return
        if keys != self._keys:
            self.generation += 1
        now = self._clock()
        self._keys, self._failed = keys, False
        self._stale, self.expires = now + self._freshness.soft, now + self._freshness.hard
