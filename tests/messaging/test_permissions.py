"""The permissions that the documents ask for on RabbitMQ are enough."""

import asyncio
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

import pytest
from bus import eventually
from crowdpay_contracts import PARKED
from letterbox import Faulty, Sender, declared, listening
from nodes import RabbitNode

from kyc_service.messaging.brokers import Broker, opened
from kyc_service.messaging.letters import Fate
from kyc_service.messaging.publisher import TOPICS, Message

Permitted: TypeAlias = Callable[[str, str], str]


@pytest.fixture
def permitted(rabbit: RabbitNode) -> Iterator[Permitted]:
    """The address of a user who has the permissions of a page, and no other."""
    made = []

    def user(page: str, name: str) -> str:
        text = (Path(__file__).parents[2] / "docs" / page).read_text()
        (line,) = [line for line in text.splitlines() if line.startswith(f"rabbitmqctl set_permissions {name} ")]
        rabbit.control("add_user", name, "secret")
        made.append(name)
        rabbit.control(*shlex.split(line)[1:])
        return rabbit.url.replace("guest:guest", f"{name}:secret")

    yield user
    for name in made:
        rabbit.control("delete_user", name)


async def test_a_relay_with_the_documented_permissions_tells_everything(permitted: Permitted) -> None:
    events = [
        Message(topic=topic, id=str(UUID(int=1)), type="KYC_CREATED", key=UUID(int=1), position=1, body=b"{}")
        for topic in TOPICS
    ]
    async with opened(Broker(name="rabbitmq", url=permitted("relay.md", "kyc-relay"))) as publisher:
        await publisher.publish(events)
        assert await publisher.unrouted() == len(events)


async def test_an_inbox_with_the_documented_permissions_answers_parks_and_counts(
    clean: RabbitNode, permitted: Permitted
) -> None:
    counted: list[int] = []

    async def report(broker: str, waiting: int) -> None:
        assert broker == "rabbitmq"
        counted.append(waiting)

    url = permitted("commands.md", "kyc-inbox")
    faulty = Faulty(Fate.UNREADABLE)
    async with listening(url, faulty, report=report):
        await eventually(lambda: declared(clean.url))
        sender = Sender(clean.url)
        sender.send(b"x", None)
        await sender.answers()
        await eventually(lambda: asyncio.sleep(0, 1 in counted))
    assert len(sender.taken(PARKED)) == 1
    sender.close()
