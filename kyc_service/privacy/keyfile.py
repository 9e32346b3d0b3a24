"""The key-file provider: root keys in a file that only the service's user can read, and the tenant keys under them."""

import asyncio
import base64
import binascii
import hmac
import json
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from kyc_service.application.keys import RootRetired, TenantKeyStore, WrappedTenantKey
from kyc_service.domain.record import record
from kyc_service.privacy.keys import Wrapped, unwrap_secret, wrap_secret
from kyc_service.privacy.sealing import KEY_BYTES, DecryptionError, PrivacyError, associated_data, hkdf

FORMAT = "kyc-keyring/1"
TENANT_KEY_SECONDS = 60.0  # how long a process may not know of a rotation; older versions still unwrap
TENANTS_AT_HAND = 10_000


class KeyFileExists(PrivacyError):
    """There is a key file already, and it is never overwritten."""


class KeyFileMissing(PrivacyError):
    """There is no key file at the place where it is looked for."""


class KeyFileFixed(PrivacyError):
    """The key file cannot be replaced where it is."""


class KeyFileExposed(PrivacyError):
    """The key file can be read by others than its owner."""


class KeyFileInvalid(PrivacyError):
    """The key file is not a key ring of this service."""


class ForeignKeyFile(PrivacyError):
    """The keys in the database were wrapped under another key file."""


class TenantKeysDestroyed(PrivacyError):
    """All versions of this tenant's key were destroyed; nothing is sealed for it."""


@record
class KeyRing:
    """The content of a key file: root keys by version, the root of blind indexes, and the root of signing keys."""

    roots: Mapping[int, bytes]
    index: bytes
    signing: bytes

    def __repr__(self) -> str:
        return f"KeyRing(roots={sorted(self.roots)}, ***)"

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new ring in a new file: complete or not there at all, and never in the place of another."""
        ring = cls(roots={1: os.urandom(KEY_BYTES)}, index=os.urandom(KEY_BYTES), signing=os.urandom(KEY_BYTES))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = ring._drafted(path)
        try:
            # A link, unlike a rename, fails if the name is taken: of N processes that start at once one wins.
            os.link(draft, path)
        except FileExistsError as error:
            raise KeyFileExists(f"There is a key file at {path} already; it is never overwritten.") from error
        finally:
            draft.unlink()
        _sync_folder(path.parent)
        return ring

    def replace(self, path: Path) -> None:
        """Take the place of the ring at *path*: at every moment either the old one or this one is there, whole.

        Raises:
            KeyFileFixed: the file cannot be replaced where it is, for example because it is mounted by itself.
        """
        try:
            before = path.stat()
            draft = self._drafted(path)
        except OSError as error:
            raise KeyFileFixed(f"The key file {path} cannot be replaced: {error.strerror}.") from error
        try:
            if os.geteuid() == 0:
                os.chown(draft, before.st_uid, before.st_gid)  # root rotates, the service's user reads
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise KeyFileFixed(f"The key file {path} cannot be replaced: {error.strerror}.") from error
        _sync_folder(path.parent)

    def _drafted(self, path: Path) -> Path:
        """The ring in a new file beside *path*, on the disk."""
        draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._text())
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            draft.unlink()
            raise
        return draft

    @classmethod
    def load(cls, path: Path) -> Self:
        """The ring in the file at *path*, which nobody but its owner may be able to read."""
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if not stat.S_ISREG(mode) or stat.S_IMODE(mode) & 0o077:
                    raise KeyFileExposed(
                        f"The key file {path} has mode {stat.S_IMODE(mode):04o}, so others than its owner can reach it:"
                        f" run `chmod 600 {path}`, and replace its keys if others have read it."
                    )
                return cls._parsed(file.read())
        except FileNotFoundError as error:
            raise KeyFileMissing(f"There is no key file at {path}.") from error
        except (KeyError, TypeError, ValueError, AttributeError):
            # The cause would quote the file, so it is not kept.
            raise KeyFileInvalid(f"The file {path} is not a key ring of the format {FORMAT}.") from None

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """The ring at *path*, made if it is missing; processes that start at once all get the same."""
        try:
            return cls.load(path)
        except KeyFileMissing:
            pass
        try:
            return cls.create(path)
        except KeyFileExists:
            return cls.load(path)

    @classmethod
    def _parsed(cls, text: bytes) -> Self:
        content = json.loads(text)
        if content["format"] != FORMAT or not content["roots"]:
            raise ValueError
        return cls(
            roots={int(version): _secret(root) for version, root in content["roots"].items()},
            index=_secret(content["index"]),
            signing=_secret(content["signing"]),
        )

    def _text(self) -> bytes:
        content = {
            "format": FORMAT,
            "roots": {str(version): base64.b64encode(root).decode() for version, root in self.roots.items()},
            "index": base64.b64encode(self.index).decode(),
            "signing": base64.b64encode(self.signing).decode(),
        }
        return json.dumps(content, indent=2).encode() + b"\n"

    def with_root(self, version: int) -> Self:
        """The ring with one more root key, under a version that it never had."""
        return replace(self, roots={**self.roots, version: os.urandom(KEY_BYTES)})

    def without_roots(self, versions: Collection[int]) -> Self:
        """The ring without some of its root keys; the newest stays whatever is said."""
        kept = {version: root for version, root in self.roots.items() if version not in versions}
        return replace(self, roots={self.newest_root: self.roots[self.newest_root], **kept})

    def rewrapped(self, key: WrappedTenantKey) -> WrappedTenantKey:
        """The same tenant key under the newest root key."""
        bound = _root_bound(key.tenant, key.version)
        return WrappedTenantKey(
            tenant=key.tenant,
            version=key.version,
            root=self.newest_root,
            wrapped=wrap_secret(self.roots[self.newest_root], self.opened(key), bound),
        )

    def opened(self, key: WrappedTenantKey) -> bytes:
        """The tenant key in the clear.

        Raises:
            ForeignKeyFile: it was wrapped under a root key that this ring does not have.
        """
        try:
            return unwrap_secret(self.roots[key.root], key.wrapped, _root_bound(key.tenant, key.version))
        except (KeyError, DecryptionError) as error:
            raise ForeignKeyFile(
                "The keys in the database were wrapped under another key file than the one that is loaded."
            ) from error

    @property
    def newest_root(self) -> int:
        """The version of the root key that new tenant keys are wrapped under."""
        return max(self.roots)

    def index_key(self, tenant: str, purpose: str) -> bytes:
        """The key of one blind index of one tenant."""
        return hkdf(self.index, b"", associated_data("kyc/index-key/v1", tenant, purpose), KEY_BYTES)

    def signing_key(self, purpose: str) -> bytes:
        """A key of the service itself: for tokens of development, cursors, certificates; each purpose has its own."""
        return hkdf(self.signing, b"", associated_data("kyc/signing-key/v1", purpose), KEY_BYTES)


def _secret(text: str) -> bytes:
    try:
        secret = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError from error
    if len(secret) != KEY_BYTES:
        raise ValueError
    return secret


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@record
class _TenantKeys:
    """All versions of one tenant's key in the clear, and when they were read."""

    secrets: Mapping[int, bytes]
    newest: int
    read_at: float

    def __repr__(self) -> str:
        return f"_TenantKeys(versions={sorted(self.secrets)}, ***)"


class KeyFileManager:
    """The key manager whose root is a key file: tenant keys are stored wrapped, and used in this process.

    *reload* reads the file again: an operator may add a root key, and retire another, while the service runs.
    """

    def __init__(
        self,
        ring: KeyRing,
        store: TenantKeyStore,
        clock: Callable[[], float] = time.monotonic,
        reload: Callable[[], KeyRing] | None = None,
    ) -> None:
        self._ring = ring
        self._store = store
        self._clock = clock
        self._reload = reload
        self._tenants: OrderedDict[str, _TenantKeys] = OrderedDict()

    def __repr__(self) -> str:
        return f"KeyFileManager({self._ring})"

    async def wrap(self, tenant: str, secret: bytes, context: Mapping[str, str]) -> Wrapped:
        """*secret* under the newest version of the tenant's key, which is made if there is none."""
        keys = self._at_hand(tenant) or await self._read(tenant)
        bound = _bound(tenant, keys.newest, context)
        return Wrapped(version=keys.newest, blob=wrap_secret(keys.secrets[keys.newest], secret, bound))

    async def unwrap(self, tenant: str, wrapped: Wrapped, context: Mapping[str, str]) -> bytes:
        """The secret again, or `DecryptionError`."""
        keys = self._at_hand(tenant)
        if keys is None or wrapped.version not in keys.secrets:  # another process may have rotated a moment ago
            keys = await self._read(tenant)
        if wrapped.version not in keys.secrets:
            raise DecryptionError("The version of the tenant's key that wrapped this one does not exist.")
        return unwrap_secret(keys.secrets[wrapped.version], wrapped.blob, _bound(tenant, wrapped.version, context))

    async def mac(self, tenant: str, purpose: str, data: bytes) -> bytes:
        """32 bytes that only this tenant and purpose give for *data*; the same for ever."""
        return hmac.digest(self._ring.index_key(tenant, purpose), data, "sha256")

    async def rotate(self, tenant: str) -> int:
        """A new version of the tenant's key exists and is used from now on; older ones still unwrap."""
        stored = await self._store.versions(tenant)
        await self._add(tenant, max((key.version for key in stored), default=0) + 1)
        return (await self._read(tenant)).newest

    async def rewrap(self, tenant: str, wrapped: Wrapped, context: Mapping[str, str]) -> Wrapped:
        """The same secret under the newest version."""
        secret = await self.unwrap(tenant, wrapped, context)
        await self._read(tenant)  # a version that is about to be dropped must not be taken for the newest
        return await self.wrap(tenant, secret, context)

    def _at_hand(self, tenant: str) -> _TenantKeys | None:
        keys = self._tenants.get(tenant)
        return keys if keys and self._clock() - keys.read_at < TENANT_KEY_SECONDS else None

    async def _read(self, tenant: str) -> _TenantKeys:
        read_at = self._clock()
        stored = await self._store.versions(tenant)
        if not stored:
            await self._add(tenant, 1)
            stored = await self._store.versions(tenant)  # what is really there, whoever was first
        if not stored:
            raise TenantKeysDestroyed("All versions of this tenant's key were destroyed; nothing is sealed for it.")
        if any(key.root not in self._ring.roots for key in stored):
            await self._renew()
        keys = _TenantKeys(
            secrets={key.version: self._ring.opened(key) for key in stored},
            newest=max(key.version for key in stored),
            read_at=read_at,
        )
        self._tenants[tenant] = keys
        self._tenants.move_to_end(tenant)
        while len(self._tenants) > TENANTS_AT_HAND:
            self._tenants.popitem(last=False)
        return keys

    async def _add(self, tenant: str, version: int) -> None:
        await self._renew()  # so that nothing new goes under a root key that is on its way out
        root = self._ring.newest_root
        wrapped = wrap_secret(self._ring.roots[root], os.urandom(KEY_BYTES), _root_bound(tenant, version))
        try:
            await self._store.add(WrappedTenantKey(tenant=tenant, version=version, root=root, wrapped=wrapped))
        except RootRetired as error:
            raise ForeignKeyFile("The newest root key of the key file that is loaded was retired.") from error

    async def _renew(self) -> None:
        if self._reload is not None:
            self._ring = await asyncio.to_thread(self._reload)


def _bound(tenant: str, version: int, context: Mapping[str, str]) -> bytes:
    pairs = (text for pair in sorted(context.items()) for text in pair)
    return associated_data("kyc/wrap/v1", tenant, str(version), *pairs)


def _root_bound(tenant: str, version: int) -> bytes:
    return associated_data("kyc/root/v1", tenant, str(version))
