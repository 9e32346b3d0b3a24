"""What every vendor adapter promises. Subclass `VendorContract`, give it a vendor, and run pytest: docs/vendors.md."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from kyc_service.application.ports import Request, Started, Subject, Vendor, VendorUnavailable
from kyc_service.domain.findings import Result, Verdict, judge

PERSON = Subject(
    given_names="Anna Maria",
    family_name="Eriksson",
    birth_date="1974-08-12",
    nationality=None,
    email="anna.eriksson@example.com",
)


class VendorContract:
    """The promises. `vendor` is the adapter under test; `good` a document that it must find nothing wrong with."""

    @pytest.fixture
    def vendor(self) -> Vendor:
        raise NotImplementedError

    @pytest.fixture
    def down(self) -> Vendor:
        """The same adapter while the company behind it does not answer."""
        raise NotImplementedError

    @pytest.fixture
    def picture(self) -> bytes | None:
        """A good document of PERSON, or None for a vendor that looks at no picture."""
        raise NotImplementedError

    @pytest.fixture
    def good(self, picture: bytes | None) -> Request:
        async def read() -> AsyncIterator[bytes]:
            if picture is not None:
                for start in range(0, len(picture), 65536):
                    yield picture[start : start + 65536]

        return Request(
            key=uuid4(),
            attempt=1,
            doc_type="PASSPORT",
            issued_country="NL",
            file_id=uuid4(),
            media_type="image/jpeg" if picture is not None else None,
            subject=PERSON,
            today=datetime(2026, 11, 24, tzinfo=UTC),
            read=read if picture is not None else None,
        )

    async def test_it_is_registered_under_its_name(self, vendor: Vendor) -> None:
        from kyc_service.bootstrap import VENDORS
        from kyc_service.settings import AvailableVendors

        assert AvailableVendors(vendor.name) in VENDORS

    async def test_a_good_document_is_clear(self, vendor: Vendor, good: Request) -> None:
        answer = await vendor.check(good)
        assert isinstance(answer, Result)
        assert judge(answer.findings) is Verdict.CLEAR
        assert answer.vendor == vendor.name
        assert answer.version

    async def test_the_same_key_again_gives_the_same_answer(self, vendor: Vendor, good: Request) -> None:
        first, second = await vendor.check(good), await vendor.check(replace(good, attempt=2))
        assert isinstance(first, Result | Started)
        assert first == second

    async def test_an_outage_is_told_apart_from_a_no(self, down: Vendor, good: Request) -> None:
        with pytest.raises(VendorUnavailable) as outage:
            await down.check(good)
        assert outage.value.cause.startswith("VENDOR_")

    async def test_a_check_can_be_cancelled_at_any_time_and_twice(self, vendor: Vendor, good: Request) -> None:
        unknown = await vendor.cancel(uuid4(), None)
        await vendor.check(good)
        first = await vendor.cancel(good.key, None)
        assert unknown
        assert str(good.key) in first
        assert await vendor.cancel(good.key, None) == first

    async def test_it_can_be_interrupted(self, vendor: Vendor, good: Request) -> None:
        work = asyncio.create_task(vendor.check(good))
        await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait({work}, timeout=5)
        assert work.done()

    async def test_nothing_about_the_person_is_in_what_may_be_logged(self, vendor: Vendor, good: Request) -> None:
        answer = await vendor.check(good)
        receipt = await vendor.cancel(good.key, None)
        for said in (repr(good), receipt, repr(vendor), *(repr(f) for f in getattr(answer, "findings", ()))):
            assert "Eriksson" not in said
            assert "1974" not in said


def never_uploaded(file_id: UUID) -> Request:
    """A check of a document whose file is not in our store."""
    return Request(
        key=uuid4(),
        attempt=1,
        doc_type="PASSPORT",
        issued_country="NL",
        file_id=file_id,
        media_type=None,
        subject=Subject(),
        today=datetime(2026, 11, 24, tzinfo=UTC),
        read=None,
    )
