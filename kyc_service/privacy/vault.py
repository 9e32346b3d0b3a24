"""The vault: personal data goes in as values and comes out as values, and what lies between is ciphertext."""

import hmac
import json
import os
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from uuid import UUID, uuid4

from kyc_service.application.keys import KeyStore, Owner, StoredKey
from kyc_service.domain.record import record
from kyc_service.privacy.keys import IndexKeys, KeyManager, Wrapped
from kyc_service.privacy.sealing import (
    KEY_BYTES,
    DataKey,
    DecryptionError,
    Part,
    PrivacyError,
    associated_data,
    key_id_of,
    open_sealed,
    seal,
)

EVENT = "kyc/event/v1"
RESPONSE = "kyc/response/v1"
EMAIL_INDEX = b"kyc/bidx/email/v1\0"
EMAIL_INDEX_BYTES = 16
REQUEST = b"kyc/request/v1\0"
MARK = b"kyc/mark/v1\0"
MARK_BYTES = 16
CALLER = b"kyc/caller/v1\0"
CALLER_BYTES = 16
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
KEY_SECONDS = 60.0  # how long another process's erasure may stay unnoticed if its notice is lost
KEYS_AT_HAND = 10_000
INDEX_KEYS_AT_HAND = 1_000
CALLERS_AT_HAND = 1_000


class SubjectErased(PrivacyError):
    """This person's data of this class was erased, and nothing new is sealed under the destroyed key."""


class UnusablePayload(PrivacyError):
    """The value to be sealed cannot be written as JSON."""


@record
class Erased:
    """What is read where the key was destroyed: the tombstone of the data."""

    key_id: UUID
    at: datetime | None


@record
class _AtHand:
    """A data key in the cache: whose it is, and until when it may be used without asking."""

    key: DataKey
    owner: Owner
    until: float


class Vault:
    """Seals and opens what one person's data keys protect, and forgets a person's keys when it is told to."""

    def __init__(
        self,
        manager: KeyManager,
        store: KeyStore,
        index_keys: IndexKeys,
        *,
        clock: Callable[[], float] = time.monotonic,
        capacity: int = KEYS_AT_HAND,
    ) -> None:
        self._manager = manager
        self._store = store
        self._index_key = lru_cache(INDEX_KEYS_AT_HAND)(index_keys.index_key)
        self._pseudonyms = lru_cache(CALLERS_AT_HAND)(self._pseudonym)
        self._clock = clock
        self._capacity = capacity
        self._keys: OrderedDict[UUID, _AtHand] = OrderedDict()
        self._forgotten = 0  # counts calls of `forget`: a key that was on its way meanwhile is not kept

    def __repr__(self) -> str:
        return f"Vault({len(self._keys)} keys at hand)"

    # ── keys ──────────────────────────────────────────────────────────────────────────

    async def draft(self, owner: Owner, *, generation: int = 1) -> tuple[DataKey, StoredKey]:
        """A new key, wrapped but not stored: it is stored with the first events that were sealed under it."""
        key = DataKey(id=uuid4(), secret=os.urandom(KEY_BYTES))
        forgotten = self._forgotten
        wrapped = await self._manager.wrap(owner.tenant, key.secret, _context(owner, key.id, generation))
        self._keep(key, owner, forgotten)
        stored = StoredKey(
            id=key.id, owner=owner, generation=generation, kek_version=wrapped.version, wrapped=wrapped.blob
        )
        return key, stored

    async def adopt(self, stored: StoredKey) -> DataKey | Erased:
        """The key in a row that was just read, or its tombstone."""
        return await self._adopt(stored, self._forgotten)

    async def key_for(self, owner: Owner) -> DataKey:
        """The key that new data of *owner* is sealed under, made and stored if there is none.

        The store is asked each time: data sealed under a key that was just destroyed elsewhere would be lost unnoticed.
        """
        forgotten = self._forgotten
        newest = await self._store.newest(owner)
        if newest is None:
            _, drafted = await self.draft(owner)
            newest = await self._store.add(drafted)
        key = await self._adopt(newest, forgotten)
        if isinstance(key, Erased):
            raise SubjectErased("This person's data of this class was erased; nothing new is sealed under its key.")
        return key

    async def key_held(self, owner: Owner) -> DataKey | Erased:
        """The key that *owner* has, or its tombstone: reading never makes one.

        Raises:
            DecryptionError: the owner never had a key, so nothing of theirs can be read.
        """
        forgotten = self._forgotten
        newest = await self._store.newest(owner)
        if newest is None:
            raise DecryptionError("The owner of the sealed data never had a key.")
        return await self._adopt(newest, forgotten)

    def forget(self, tenant: str, subject: UUID) -> None:
        """Drop this person's keys from memory: they were destroyed, here or in another process."""
        self._forgotten += 1
        dropped = [
            key_id
            for key_id, at_hand in self._keys.items()
            if at_hand.owner.tenant == tenant and at_hand.owner.subject == subject
        ]
        for key_id in dropped:
            del self._keys[key_id]

    # ── events and answers ──────────────────────────────────────────────────────────

    def seal(self, key: DataKey, owner: Owner, *, stream: UUID, entry: UUID, payload: Mapping[str, object]) -> bytes:
        """*payload* as ciphertext that opens for this owner, stream and event alone."""
        return seal(key, _written(payload), _event(owner, stream, entry))

    async def open(self, owner: Owner, *, stream: UUID, entry: UUID, box: bytes) -> Mapping[str, object] | Erased:
        """The payload again; the tombstone if its key was destroyed; `DecryptionError` if anything was swapped."""
        key = await self._key_of(owner, box)
        if isinstance(key, Erased):
            return key
        return _read(open_sealed(key, box, _event(owner, stream, entry)))

    def seal_response(self, key: DataKey, owner: Owner, body: bytes, *names: Part) -> bytes:
        """A stored answer as ciphertext; *names* say whose answer to which request it is, and are bound."""
        return seal(key, body, _response(owner, names))

    async def open_response(self, owner: Owner, box: bytes, *names: Part) -> bytes | Erased:
        """The stored answer again; the tombstone if its key was destroyed."""
        key = await self._key_of(owner, box)
        if isinstance(key, Erased):
            return key
        return open_sealed(key, box, _response(owner, names))

    def email_index(self, tenant: str, email: str) -> bytes:
        """What finds an e-mail address without telling it: equal for equal addresses of one tenant.

        It belongs into rows that are deleted with the person, never into an event.
        """
        key = self._index_key(tenant, "email")
        return hmac.digest(key, EMAIL_INDEX + _normalised(email), "sha256")[:EMAIL_INDEX_BYTES]

    def mark(self, tenant: str, trait: str, value: bytes) -> bytes:
        """What recognises a trait of a document without telling it; it goes when the person goes."""
        key = self._index_key(tenant, "document")
        return hmac.digest(key, MARK + trait.encode() + b"\0" + value, "sha256")[:MARK_BYTES]

    def fingerprint(self, tenant: str, request: bytes) -> bytes:
        """What recognises a repeated request without telling it; it goes when the stored answer goes."""
        return hmac.digest(self._index_key(tenant, "request"), REQUEST + request, "sha256")

    def pseudonym(self, tenant: str, name: str) -> str:
        """What stands for a caller in the log, which is kept longer than anybody's name: equal for equal names of one
        tenant, different in another, and telling nothing without the key ring.
        """
        return self._pseudonyms(tenant, name)

    def _pseudonym(self, tenant: str, name: str) -> str:
        key = self._index_key(tenant, "caller")
        digest = hmac.digest(key, CALLER + name.encode("utf-8", "surrogatepass"), "sha256")
        return f"caller-{digest[:CALLER_BYTES].hex()}"

    # ── the keys at hand ──────────────────────────────────────────────────────────────

    async def _key_of(self, owner: Owner, box: bytes) -> DataKey | Erased:
        key_id = key_id_of(box)
        at_hand = self._at_hand(key_id)
        if at_hand:
            return at_hand.key  # another owner's key fails to open: the owner is associated data
        forgotten = self._forgotten
        stored = await self._store.get(owner.tenant, key_id)
        if stored is None or stored.owner != owner:
            raise DecryptionError("The sealed data names a key that its owner never had.")
        return await self._adopt(stored, forgotten)

    async def _adopt(self, stored: StoredKey, forgotten: int) -> DataKey | Erased:
        """The key in a row that was read when `forget` had been called *forgotten* times."""
        if stored.wrapped is None:
            self._keys.pop(stored.id, None)
            return Erased(key_id=stored.id, at=stored.destroyed_at)
        at_hand = self._at_hand(stored.id)
        if at_hand and at_hand.owner == stored.owner:
            return at_hand.key
        secret = await self._manager.unwrap(
            stored.owner.tenant,
            Wrapped(version=stored.kek_version, blob=stored.wrapped),
            _context(stored.owner, stored.id, stored.generation),
        )
        key = DataKey(id=stored.id, secret=secret)
        self._keep(key, stored.owner, forgotten)
        return key

    def _at_hand(self, key_id: UUID) -> _AtHand | None:
        at_hand = self._keys.get(key_id)
        if at_hand is None:
            return None
        if self._clock() >= at_hand.until:
            del self._keys[key_id]
            return None
        self._keys.move_to_end(key_id)
        return at_hand

    def _keep(self, key: DataKey, owner: Owner, forgotten: int) -> None:
        if forgotten != self._forgotten:
            return
        self._keys[key.id] = _AtHand(key=key, owner=owner, until=self._clock() + KEY_SECONDS)
        self._keys.move_to_end(key.id)
        while len(self._keys) > self._capacity:
            self._keys.popitem(last=False)


def _context(owner: Owner, key_id: UUID, generation: int) -> Mapping[str, str]:
    return {
        "class": owner.data_class.value,
        "generation": str(generation),
        "key": key_id.hex,
        "subject": owner.subject.hex,
    }


def _event(owner: Owner, stream: UUID, entry: UUID) -> bytes:
    return associated_data(EVENT, owner.tenant, owner.subject, owner.data_class.value, stream, entry)


def _response(owner: Owner, names: tuple[Part, ...]) -> bytes:
    return associated_data(RESPONSE, owner.tenant, owner.subject, owner.data_class.value, *names)


def _normalised(email: str) -> bytes:
    folded = unicodedata.normalize("NFKC", email).casefold()
    return unicodedata.normalize("NFKC", folded).strip().encode("utf-8", "surrogatepass")


def _written(payload: Mapping[str, object]) -> bytes:
    try:
        text = _JSON.encode(payload)
    except (TypeError, ValueError) as error:
        # json's own message may quote the value; its class says enough
        raise UnusablePayload(f"The value to be sealed cannot be written as JSON: {type(error).__name__}.") from None
    return text.encode("utf-8", "surrogatepass")


def _read(plaintext: bytes) -> Mapping[str, object]:
    try:
        payload = json.loads(plaintext)
    except ValueError:
        payload = None
    if not isinstance(payload, dict):  # raised here, because the error above holds the plaintext
        raise DecryptionError("The sealed data is no JSON object.")
    return payload
