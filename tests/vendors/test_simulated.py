"""The simulated vendors keep the contract, and do what each magic file id asks for."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from contract import VendorContract, never_uploaded

from kyc_service.application.ports import Request, Started, Vendor, VendorUnavailable
from kyc_service.domain.findings import Result, Verdict, judge
from kyc_service.vendors.simulated import MAGIC, Magic, Simulated, magic_file_id


class AlwaysDown(Simulated):
    """The simulation, told to be down whatever it is asked."""

    async def check(self, request: Request) -> Result | Started:
        return await super().check(replace(request, file_id=magic_file_id(Magic.EVERY_VENDOR_DOWN)))


@pytest.mark.parametrize("standby", [False, True])
class TestSimulated(VendorContract):
    @pytest.fixture
    def vendor(self, standby: bool) -> Vendor:
        return Simulated("simulated_standby" if standby else "simulated", standby=standby)

    @pytest.fixture
    def down(self, standby: bool) -> Vendor:
        return AlwaysDown("simulated", standby=standby)

    @pytest.fixture
    def picture(self) -> None:
        return None


@pytest.mark.parametrize(
    ("magic", "verdict"),
    [
        (Magic.VERIFIED, Verdict.CLEAR),
        (Magic.EXPIRED, Verdict.REJECT),
        (Magic.UNREADABLE, Verdict.RETRY),
        (Magic.MISMATCH, Verdict.REVIEW),
        (Magic.UNKNOWN_CODE, Verdict.REVIEW),
        (Magic.NOT_PERFORMED, Verdict.REVIEW),
    ],
)
async def test_each_magic_file_id_has_its_verdict(magic: Magic, verdict: Verdict) -> None:
    answer = await Simulated("simulated").check(never_uploaded(magic_file_id(magic)))
    assert isinstance(answer, Result)
    assert judge(answer.findings) is verdict


async def test_a_document_without_magic_is_approved() -> None:
    answer = await Simulated("simulated").check(never_uploaded(uuid4()))
    assert isinstance(answer, Result)
    assert judge(answer.findings) is Verdict.CLEAR


async def test_the_standby_helps_out_when_only_the_first_is_down() -> None:
    request = never_uploaded(magic_file_id(Magic.FIRST_VENDOR_DOWN))
    with pytest.raises(VendorUnavailable):
        await Simulated("simulated").check(request)
    answer = await Simulated("simulated_standby", standby=True).check(request)
    assert isinstance(answer, Result)


async def test_nobody_helps_out_when_every_vendor_is_down() -> None:
    request = never_uploaded(magic_file_id(Magic.EVERY_VENDOR_DOWN))
    for vendor in (Simulated("simulated"), Simulated("simulated_standby", standby=True)):
        with pytest.raises(VendorUnavailable):
            await vendor.check(request)


async def test_a_flaky_vendor_answers_at_the_second_attempt() -> None:
    request = never_uploaded(magic_file_id(Magic.FLAKY))
    with pytest.raises(VendorUnavailable):
        await Simulated("simulated").check(request)
    assert isinstance(await Simulated("simulated").check(replace(request, attempt=2)), Result)


async def test_a_hanging_vendor_hangs_until_it_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await Simulated("simulated").check(never_uploaded(magic_file_id(Magic.HANGS)))


async def test_a_vendor_may_promise_an_answer_for_later() -> None:
    answer = await Simulated("simulated").check(never_uploaded(magic_file_id(Magic.ANSWERS_LATER)))
    assert isinstance(answer, Started)


def test_every_magic_has_a_number_of_its_own() -> None:
    assert {magic_file_id(magic) for magic in Magic} == {magic_file_id(magic) for magic in MAGIC.values()}
    assert len(MAGIC) == len(Magic)
