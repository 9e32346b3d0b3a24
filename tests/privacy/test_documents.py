"""Documents come out as they went in, and asking for one changes nothing."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from kyc_service.application.keys import DataClass, KeyStore, Owner
from kyc_service.application.ports import PersonErased
from kyc_service.privacy.blobs import S3Options, open_blob_store
from kyc_service.privacy.people import DocumentVault
from kyc_service.privacy.sealing import DecryptionError
from kyc_service.privacy.vault import Vault

PICTURE = b"a picture" * 20_000


async def chunks() -> AsyncIterator[bytes]:
    for start in range(0, len(PICTURE), 50_000):
        yield PICTURE[start : start + 50_000]


def file(owner: Owner, data_class: DataClass = DataClass.DOCUMENT) -> Owner:
    return replace(owner, data_class=data_class)


@pytest.fixture
def documents(vault: Vault, key_store: KeyStore, tmp_path: Path) -> DocumentVault:
    return DocumentVault(vault, key_store, open_blob_store(None, tmp_path / "blobs", S3Options()))


async def test_a_document_comes_out_as_it_went_in(documents: DocumentVault, owner: Owner) -> None:
    path, _ = await documents.put(file(owner), chunks())
    assert b"".join([chunk async for chunk in documents.get(file(owner), path)]) == PICTURE


async def test_reading_a_document_makes_no_key(documents: DocumentVault, key_store: KeyStore, owner: Owner) -> None:
    path, _ = await documents.put(file(owner), chunks())
    stranger = Owner(tenant=owner.tenant, subject=uuid4(), data_class=DataClass.DOCUMENT)
    with pytest.raises(DecryptionError):
        await anext(documents.get(stranger, path))
    assert await key_store.newest(stranger) is None


async def test_a_document_whose_key_was_destroyed_is_erased(
    documents: DocumentVault, key_store: KeyStore, owner: Owner
) -> None:
    path, _ = await documents.put(file(owner), chunks())
    await key_store.destroy(owner.tenant, owner.subject, None, datetime.now(UTC), "test")
    with pytest.raises(PersonErased):
        await anext(documents.get(file(owner), path))
    with pytest.raises(PersonErased):
        await documents.put(file(owner), chunks())


async def test_a_file_of_one_class_opens_under_no_key_of_another(documents: DocumentVault, owner: Owner) -> None:
    path, _ = await documents.put(file(owner), chunks())
    await documents.put(file(owner, DataClass.BIOMETRIC), chunks())
    with pytest.raises(DecryptionError):
        await anext(documents.get(file(owner, DataClass.BIOMETRIC), path))
