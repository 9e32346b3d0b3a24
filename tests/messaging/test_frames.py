"""The frames that are cut from a template are those that pamqp would write for each message."""

from uuid import UUID

import pytest
from crowdpay_contracts.envelope import MEDIA_TYPE, TOPIC
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from kyc_service.messaging.amqp import PERSISTENT, framed
from kyc_service.messaging.publisher import Message


@pytest.mark.parametrize("identity", ["1", "22", str(UUID(int=7)), "x" * 255])
@pytest.mark.parametrize("size", [0, 2, 70_000])
def test_a_frame_is_the_one_that_pamqp_writes(identity: str, size: int) -> None:
    message = Message(topic=TOPIC, id=identity, type="KYC_CREATED", key=UUID(int=1), position=1, body=b"x" * size)
    properties = Basic.Properties(
        content_type=MEDIA_TYPE,
        message_id=identity,
        message_type="KYC_CREATED",
        delivery_mode=PERSISTENT,
        app_id="kyc-service",
    )
    publish = marshal(Basic.Publish(exchange=TOPIC, routing_key="KYC_CREATED", mandatory=True), 3)
    header = marshal(ContentHeader(properties=properties, body_size=size), 3)
    assert b"".join(framed(3, message)) == publish + header
