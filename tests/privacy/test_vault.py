"""Personal data in, ciphertext between, personal data out; and nothing after an erasure."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kyc_service.application.keys import DataClass, KeyStore, Owner, StoredKey, TenantKeyStore
from kyc_service.privacy.keyfile import KeyFileManager, KeyRing
from kyc_service.privacy.sealing import DataKey, DecryptionError, key_id_of, seal
from kyc_service.privacy.vault import Erased, SubjectErased, UnusablePayload, Vault

STREAM, ENTRY = uuid4(), uuid4()
ALICE: dict[str, object] = {"email": "alice@example.com", "name": "Ålice 愛", "documents": [{"number": "L898902C"}]}
YESTERDAY = datetime(2026, 11, 22, tzinfo=UTC)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.fixture
async def stored(vault: Vault, key_store: KeyStore, owner: Owner) -> StoredKey:
    """The owner's key, in the database as an append left it."""
    _, drafted = await vault.draft(owner)
    return await key_store.add(drafted)


@pytest.fixture
async def box(vault: Vault, owner: Owner, stored: StoredKey) -> bytes:
    """One sealed event of the owner."""
    key = await vault.adopt(stored)
    assert isinstance(key, DataKey)
    return vault.seal(key, owner, stream=STREAM, entry=ENTRY, payload=ALICE)


@pytest.fixture
def elsewhere(ring: KeyRing, tenant_keys: TenantKeyStore, key_store: KeyStore, now: list[float]) -> Vault:
    """The vault of another process on the same database."""
    return Vault(KeyFileManager(ring, tenant_keys), key_store, ring, clock=lambda: now[0])


async def erase(key_store: KeyStore, owner: Owner, data_class: DataClass | None = None) -> tuple[UUID, ...]:
    return await key_store.destroy(owner.tenant, owner.subject, data_class, YESTERDAY, "account closed")


# ── events ────────────────────────────────────────────────────────────────────────────


async def test_what_was_sealed_is_what_is_read(vault: Vault, owner: Owner, box: bytes) -> None:
    assert await vault.open(owner, stream=STREAM, entry=ENTRY, box=box) == ALICE


async def test_another_process_reads_it_too(elsewhere: Vault, owner: Owner, box: bytes) -> None:
    assert await elsewhere.open(owner, stream=STREAM, entry=ENTRY, box=box) == ALICE


def test_nothing_of_the_payload_is_in_the_box(box: bytes) -> None:
    assert b"alice" not in box
    assert b"email" not in box


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=50)
@given(payload=st.dictionaries(st.text(st.characters(exclude_categories=()), max_size=5), JSON, max_size=3))
async def test_every_json_object_comes_back_as_it_was(vault: Vault, owner: Owner, payload: dict[str, object]) -> None:
    key, _ = await vault.draft(owner)
    sealed = vault.seal(key, owner, stream=STREAM, entry=ENTRY, payload=payload)
    assert await vault.open(owner, stream=STREAM, entry=ENTRY, box=sealed) == payload


@pytest.mark.parametrize("payload", [{"at": float("nan")}, {"at": YESTERDAY}, {"alice@example.com": {1, 2}}])
async def test_what_is_no_json_is_refused_without_quoting_it(
    vault: Vault, owner: Owner, payload: dict[str, object]
) -> None:
    key, _ = await vault.draft(owner)
    with pytest.raises(UnusablePayload, match=r"^The value to be sealed cannot be written as JSON: \w+\.$"):
        vault.seal(key, owner, stream=STREAM, entry=ENTRY, payload=payload)


@pytest.mark.parametrize("cached", [True, False], ids=["key at hand", "key not at hand"])
@pytest.mark.parametrize("swapped", ["tenant", "subject", "class", "stream", "entry"])
async def test_an_event_opens_in_no_other_place(
    vault: Vault, owner: Owner, box: bytes, swapped: str, *, cached: bool
) -> None:
    if not cached:
        vault.forget(owner.tenant, owner.subject)
    places = {
        "tenant": (replace(owner, tenant="globex"), STREAM, ENTRY),
        "subject": (replace(owner, subject=uuid4()), STREAM, ENTRY),
        "class": (replace(owner, data_class=DataClass.CONTACT), STREAM, ENTRY),
        "stream": (owner, uuid4(), ENTRY),
        "entry": (owner, STREAM, uuid4()),
    }
    whose, stream, entry = places[swapped]
    with pytest.raises(DecryptionError):
        await vault.open(whose, stream=stream, entry=entry, box=box)


async def test_a_changed_event_is_an_error_and_no_tombstone(vault: Vault, owner: Owner, box: bytes) -> None:
    for position in range(len(box)):
        changed = box[:position] + bytes([box[position] ^ 1]) + box[position + 1 :]
        with pytest.raises(DecryptionError):
            await vault.open(owner, stream=STREAM, entry=ENTRY, box=changed)


async def test_an_event_that_is_no_json_is_an_error(vault: Vault, owner: Owner, stored: StoredKey) -> None:
    key = await vault.adopt(stored)
    assert isinstance(key, DataKey)
    box = vault.seal(key, owner, stream=STREAM, entry=ENTRY, payload={})
    aad_of_an_event = _aad(owner)
    assert len(seal(key, b"{}", aad_of_an_event)) == len(box)
    with pytest.raises(DecryptionError, match="no JSON object"):
        await vault.open(owner, stream=STREAM, entry=ENTRY, box=seal(key, b"alice", aad_of_an_event))
    with pytest.raises(DecryptionError, match="no JSON object"):
        await vault.open(owner, stream=STREAM, entry=ENTRY, box=seal(key, b"[1]", aad_of_an_event))


def _aad(owner: Owner) -> bytes:
    """The associated data of an event, written out by hand."""

    def part(kind: bytes, content: bytes) -> bytes:
        return kind + len(content).to_bytes(4, "big") + content

    return (
        part(b"s", b"kyc/event/v1")
        + part(b"s", owner.tenant.encode())
        + part(b"u", owner.subject.bytes)
        + part(b"s", owner.data_class.value.encode())
        + part(b"u", STREAM.bytes)
        + part(b"u", ENTRY.bytes)
    )


# ── keys ──────────────────────────────────────────────────────────────────────────────


async def test_a_drafted_key_is_not_stored_until_somebody_stores_it(
    vault: Vault, key_store: KeyStore, owner: Owner
) -> None:
    key, drafted = await vault.draft(owner)
    assert await key_store.newest(owner) is None
    assert drafted == StoredKey(
        id=key.id, owner=owner, generation=1, kek_version=1, wrapped=drafted.wrapped, destroyed_at=None
    )


async def test_a_stored_draft_gives_the_same_key_elsewhere(vault: Vault, elsewhere: Vault, owner: Owner) -> None:
    key, drafted = await vault.draft(owner)
    assert await elsewhere.adopt(drafted) == key


@pytest.mark.parametrize("swapped", ["id", "owner", "generation", "kek_version"])
async def test_a_wrapped_key_moved_to_another_row_does_not_open(
    vault: Vault, elsewhere: Vault, owner: Owner, swapped: str
) -> None:
    _, drafted = await vault.draft(owner)
    moved = {
        "id": replace(drafted, id=uuid4()),
        "owner": replace(drafted, owner=replace(owner, subject=uuid4())),
        "generation": replace(drafted, generation=2),
        "kek_version": replace(drafted, kek_version=2),
    }
    with pytest.raises(DecryptionError):
        await elsewhere.adopt(moved[swapped])


async def test_a_key_at_hand_is_not_given_out_for_another_owner(vault: Vault, owner: Owner) -> None:
    _, drafted = await vault.draft(owner)
    with pytest.raises(DecryptionError):
        await vault.adopt(replace(drafted, owner=replace(owner, subject=uuid4())))


async def test_new_data_goes_under_the_key_that_is_there(vault: Vault, owner: Owner, stored: StoredKey) -> None:
    assert (await vault.key_for(owner)).id == stored.id


async def test_a_person_without_a_key_gets_one_and_keeps_it(vault: Vault, elsewhere: Vault, owner: Owner) -> None:
    assert await vault.key_for(owner) == await elsewhere.key_for(owner)


async def test_processes_that_need_a_first_key_at_once_agree_on_one(
    vault: Vault, elsewhere: Vault, owner: Owner
) -> None:
    keys = await asyncio.gather(*(one.key_for(owner) for one in (vault, elsewhere, vault, elsewhere)))
    assert len({key.secret for key in keys}) == 1


async def test_a_later_generation_is_the_one_for_new_data(vault: Vault, key_store: KeyStore, owner: Owner) -> None:
    first = await vault.key_for(owner)
    second, drafted = await vault.draft(owner, generation=2)
    await key_store.add(drafted)
    assert await vault.key_for(owner) == second != first


async def test_each_class_of_a_persons_data_has_a_key_of_its_own(vault: Vault, owner: Owner) -> None:
    keys = [await vault.key_for(replace(owner, data_class=data_class)) for data_class in DataClass]
    assert len({key.secret for key in keys}) == len(DataClass) == 6


async def test_reading_makes_no_key(vault: Vault, key_store: KeyStore, owner: Owner) -> None:
    with pytest.raises(DecryptionError):
        await vault.key_held(owner)
    assert await key_store.newest(owner) is None
    made = await vault.key_for(owner)
    assert await vault.key_held(owner) == made


# ── erasure ───────────────────────────────────────────────────────────────────────────


async def test_after_an_erasure_a_tombstone_is_read(
    vault: Vault, key_store: KeyStore, owner: Owner, box: bytes
) -> None:
    assert await erase(key_store, owner) == (key_id_of(box),)
    vault.forget(owner.tenant, owner.subject)
    tombstone = Erased(key_id=key_id_of(box), at=YESTERDAY)
    assert await vault.key_held(owner) == tombstone
    assert await vault.open(owner, stream=STREAM, entry=ENTRY, box=box) == tombstone


async def test_an_erased_person_gets_no_new_data(vault: Vault, key_store: KeyStore, owner: Owner, box: bytes) -> None:
    await erase(key_store, owner)
    with pytest.raises(SubjectErased):  # although this process was told nothing and has the key at hand
        await vault.key_for(owner)


async def test_an_adopted_tombstone_also_ends_the_key_at_hand(
    vault: Vault, key_store: KeyStore, owner: Owner, box: bytes
) -> None:
    await erase(key_store, owner)
    destroyed = await key_store.newest(owner)
    assert destroyed
    assert await vault.adopt(destroyed) == Erased(key_id=destroyed.id, at=YESTERDAY)
    assert isinstance(await vault.open(owner, stream=STREAM, entry=ENTRY, box=box), Erased)


async def test_erasing_one_class_leaves_the_others(vault: Vault, key_store: KeyStore, owner: Owner, box: bytes) -> None:
    device = replace(owner, data_class=DataClass.DEVICE)
    key = await vault.key_for(device)
    sealed = vault.seal(key, device, stream=STREAM, entry=ENTRY, payload={"address": "192.0.2.7"})
    await erase(key_store, owner, DataClass.DEVICE)
    vault.forget(owner.tenant, owner.subject)
    assert isinstance(await vault.open(device, stream=STREAM, entry=ENTRY, box=sealed), Erased)
    assert await vault.open(owner, stream=STREAM, entry=ENTRY, box=box) == ALICE


async def test_an_erasure_elsewhere_is_noticed_within_a_minute_even_if_its_notice_is_lost(
    vault: Vault, key_store: KeyStore, owner: Owner, box: bytes, now: list[float]
) -> None:
    await erase(key_store, owner)
    now[0] += 59
    assert await vault.open(owner, stream=STREAM, entry=ENTRY, box=box) == ALICE
    now[0] += 1
    assert isinstance(await vault.open(owner, stream=STREAM, entry=ENTRY, box=box), Erased)


async def test_use_does_not_prolong_the_life_of_a_key_at_hand(
    vault: Vault, key_store: KeyStore, owner: Owner, box: bytes, now: list[float]
) -> None:
    await erase(key_store, owner)
    for _ in range(6):
        now[0] += 10
        read = await vault.open(owner, stream=STREAM, entry=ENTRY, box=box)
    assert isinstance(read, Erased)


async def test_forgetting_one_person_keeps_the_keys_of_others(
    vault: Vault, key_store: KeyStore, owner: Owner, box: bytes
) -> None:
    await erase(key_store, owner)
    vault.forget(owner.tenant, uuid4())
    vault.forget("globex", owner.subject)
    assert await vault.open(owner, stream=STREAM, entry=ENTRY, box=box) == ALICE


@pytest.mark.parametrize("steps", [1, 2], ids=["while its row is read", "while it is unwrapped"])
async def test_a_key_that_is_on_its_way_when_it_is_forgotten_is_not_kept(
    vault: Vault, key_store: KeyStore, owner: Owner, box: bytes, now: list[float], steps: int
) -> None:
    vault.forget(owner.tenant, owner.subject)
    now[0] += 60  # the tenant's key is not at hand either, so that unwrapping has to wait for the database
    reading = asyncio.ensure_future(vault.open(owner, stream=STREAM, entry=ENTRY, box=box))
    for _ in range(steps):
        await asyncio.sleep(0)
    assert not reading.done()
    vault.forget(owner.tenant, owner.subject)
    assert await reading == ALICE
    await erase(key_store, owner)
    assert isinstance(await vault.open(owner, stream=STREAM, entry=ENTRY, box=box), Erased)


async def test_the_vault_keeps_only_so_many_keys_at_hand(
    manager: KeyFileManager, key_store: KeyStore, ring: KeyRing, owner: Owner
) -> None:
    vault = Vault(manager, key_store, ring, capacity=2)
    first, second, third = (replace(owner, subject=uuid4()) for _ in range(3))
    boxes = {}
    for one in (first, second):
        boxes[one] = vault.seal(await vault.key_for(one), one, stream=STREAM, entry=ENTRY, payload=ALICE)
    await vault.open(first, stream=STREAM, entry=ENTRY, box=boxes[first])  # so the second was used least recently
    await vault.key_for(third)
    for one in (first, second):
        await erase(key_store, one)
    assert await vault.open(first, stream=STREAM, entry=ENTRY, box=boxes[first]) == ALICE
    assert isinstance(await vault.open(second, stream=STREAM, entry=ENTRY, box=boxes[second]), Erased)


async def test_a_box_that_names_an_unknown_key_is_no_erasure(vault: Vault, owner: Owner, key: DataKey) -> None:
    sealed = vault.seal(key, owner, stream=STREAM, entry=ENTRY, payload=ALICE)
    with pytest.raises(DecryptionError, match="never had"):
        await vault.open(owner, stream=STREAM, entry=ENTRY, box=sealed)


async def test_another_persons_destroyed_key_is_no_erasure(
    vault: Vault, key_store: KeyStore, owner: Owner, box: bytes
) -> None:
    await erase(key_store, owner)
    vault.forget(owner.tenant, owner.subject)
    with pytest.raises(DecryptionError, match="never had"):
        await vault.open(replace(owner, subject=uuid4()), stream=STREAM, entry=ENTRY, box=box)


# ── stored responses ──────────────────────────────────────────────────────────────────


async def test_a_stored_answer_is_given_again(vault: Vault, owner: Owner, stored: StoredKey) -> None:
    key = await vault.key_for(owner)
    sealed = vault.seal_response(key, owner, b'{"status":"PENDING"}', "backend", "request-1")
    assert await vault.open_response(owner, sealed, "backend", "request-1") == b'{"status":"PENDING"}'


@pytest.mark.parametrize("names", [("backend",), ("backend", "request-2"), ("backendrequest-", "1")])
async def test_a_stored_answer_is_given_to_no_other_request(vault: Vault, owner: Owner, names: tuple[str, ...]) -> None:
    key = await vault.key_for(owner)
    sealed = vault.seal_response(key, owner, b"{}", "backend", "request-1")
    with pytest.raises(DecryptionError):
        await vault.open_response(owner, sealed, *names)


async def test_an_event_is_no_answer_and_an_answer_no_event(vault: Vault, owner: Owner, box: bytes) -> None:
    with pytest.raises(DecryptionError):
        await vault.open_response(owner, box, STREAM, ENTRY)
    answer = vault.seal_response(await vault.key_for(owner), owner, b"{}", STREAM, ENTRY)
    with pytest.raises(DecryptionError):
        await vault.open(owner, stream=STREAM, entry=ENTRY, box=answer)


async def test_a_stored_answer_is_erased_with_the_person(vault: Vault, key_store: KeyStore, owner: Owner) -> None:
    sealed = vault.seal_response(await vault.key_for(owner), owner, b"{}", "backend", "request-1")
    await erase(key_store, owner)
    vault.forget(owner.tenant, owner.subject)
    assert isinstance(await vault.open_response(owner, sealed, "backend", "request-1"), Erased)


# ── the blind index ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "spelling", ["alice@example.com", " Alice@Example.COM\n", "ＡＬＩＣＥ@example.com", "ALICE@EXAMPLE.COM"]
)
def test_an_address_is_found_however_it_is_spelled(vault: Vault, spelling: str) -> None:
    assert vault.email_index("acme", spelling) == vault.email_index("acme", "alice@example.com")


def test_other_addresses_and_tenants_have_other_indexes(vault: Vault) -> None:
    addresses = [("acme", "alice@example.com"), ("acme", "alicia@example.com"), ("globex", "alice@example.com")]
    assert len({vault.email_index(*address) for address in addresses}) == 3


def test_an_index_is_short_enough_to_tell_nothing_and_long_enough_to_find_one(vault: Vault) -> None:
    assert len(vault.email_index("acme", "alice@example.com")) == 16


async def test_the_index_is_what_a_key_manager_would_compute(vault: Vault, manager: KeyFileManager) -> None:
    expected = await manager.mac("acme", "email", b"kyc/bidx/email/v1\0alice@example.com")
    assert vault.email_index("acme", "Alice@example.com") == expected[:16]


def test_the_index_is_the_same_in_every_process(vault: Vault, elsewhere: Vault) -> None:
    assert vault.email_index("acme", "alice@example.com") == elsewhere.email_index("acme", "alice@example.com")


def test_a_repeated_request_is_recognised_and_another_is_not(vault: Vault, elsewhere: Vault) -> None:
    first = vault.fingerprint("acme", b'{"email":"alice@example.com"}')
    assert first == elsewhere.fingerprint("acme", b'{"email":"alice@example.com"}')
    others = {vault.fingerprint("acme", b"{}"), vault.fingerprint("globex", b'{"email":"alice@example.com"}')}
    assert len(others - {first}) == 2


def test_a_request_that_looks_like_an_address_does_not_meet_its_index(vault: Vault) -> None:
    assert vault.fingerprint("acme", b"alice@example.com")[:16] != vault.email_index("acme", "alice@example.com")


# ── who did it ────────────────────────────────────────────────────────────────────────


def test_a_pseudonym_is_the_same_in_every_process_and_no_other_callers(vault: Vault, elsewhere: Vault) -> None:
    anna = vault.pseudonym("acme", "anna@example.com")
    assert anna == elsewhere.pseudonym("acme", "anna@example.com")
    callers = [("acme", "Anna@example.com"), ("acme", "anna@example.co"), ("globex", "anna@example.com"), ("acme", "")]
    assert len({anna, *(vault.pseudonym(*caller) for caller in callers)}) == 5


async def test_a_pseudonym_is_what_a_key_manager_would_compute(vault: Vault, manager: KeyFileManager) -> None:
    expected = await manager.mac("acme", "caller", b"kyc/caller/v1\0anna@example.com")
    assert vault.pseudonym("acme", "anna@example.com") == f"caller-{expected.hex()[:32]}"
