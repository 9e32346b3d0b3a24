"""RabbitMQ behind TLS, and why it cannot be had: one sentence for relay and inbox alike."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from authority import Authority
from bus import Consumer, Journal, Proxy, relaying
from letterbox import Faulty, Sender, listening
from nodes import RabbitNode, free_port

from kyc_service.messaging.amqp import open_amqp
from kyc_service.messaging.publisher import BrokerRefused, BrokerUnavailable
from kyc_service.settings import RelayMode


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def encrypted(clean: RabbitNode, authority: Authority) -> AsyncIterator[str]:
    """The address of the node behind TLS."""
    proxy = Proxy(clean.port)
    await proxy.open(authority.server)
    yield f"amqps://guest:guest@localhost:{proxy.port}/"
    await proxy.close()


async def test_events_go_out_and_commands_come_in_through_tls(
    journal: Journal, clean: RabbitNode, authority: Authority, encrypted: str, outside: Sender
) -> None:
    trusted = f"{encrypted}?cafile={authority.file}"
    consumer, faulty = Consumer(clean.url), Faulty()
    outside.send(b"x", None)
    async with relaying(journal, trusted, RelayMode.TAIL), listening(trusted, faulty):
        stream = await journal.submit()
        assert [event.subject for event in await consumer.events(1)] == [stream]
        async with asyncio.timeout(20):
            while not faulty.letters:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def refusal(url: str) -> str:
    """Why nobody gets through."""
    with pytest.raises((BrokerRefused, BrokerUnavailable)) as caught:
        async with open_amqp(url):
            raise AssertionError("somebody got through")
    said = str(caught.value)
    assert "guest" not in said
    return said


async def test_a_certificate_that_nobody_can_believe_is_refused(encrypted: str, authority: Authority) -> None:
    assert (await refusal(encrypted)).startswith("The certificate of RabbitMQ is refused (self-signed certificate)")
    elsewhere = encrypted.replace("localhost", "127.0.0.1")
    why = await refusal(f"{elsewhere}?cafile={authority.file}")
    assert why.startswith("The certificate of RabbitMQ is refused (IP address mismatch")


async def test_a_file_without_certificates_is_refused(encrypted: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    for _ in range(2):
        assert "cafile names in KYC_EVENT_BROKER_URL holds no" in await refusal(f"{encrypted}?cafile={empty}")
        empty.write_bytes(b"no certificate")


async def test_a_virtual_host_that_is_not_for_the_user_is_named(rabbit: RabbitNode) -> None:
    assert "virtual host" in await refusal(f"{rabbit.url}nowhere")


async def test_a_wrong_password_is_refused(rabbit: RabbitNode) -> None:
    assert "user or the password" in await refusal(rabbit.url.replace("guest:guest", "nobody:wrong"))


async def test_who_does_not_answer_is_not_reached(rabbit: RabbitNode) -> None:
    assert await refusal(f"amqp://127.0.0.1:{free_port()}/") == "RabbitMQ cannot be reached (ConnectionRefusedError)."
    assert (await refusal(rabbit.url.replace("amqp:", "amqps:"))).startswith("RabbitMQ cannot be reached (")
