"""KYC_EVENT_BROKER_URL is taken apart, or refused in one sentence that does not quote it."""

import pytest

from kyc_service.bootstrap import refusals
from kyc_service.messaging.brokers import BrokersRefused, brokers
from kyc_service.messaging.kafka import Address, address
from kyc_service.settings import Settings


def test_several_brokers_have_names_of_their_own() -> None:
    found = brokers("amqp://u:p@a:5672/v#eu, amqps://b/, kafka://k1:9092,k2:9093?sasl=SCRAM-SHA-256#lake")
    assert [(broker.name, broker.url) for broker in found] == [
        ("eu", "amqp://u:p@a:5672/v"),
        ("rabbitmq", "amqps://b/"),
        ("lake", "kafka://k1:9092,k2:9093?sasl=SCRAM-SHA-256"),
    ]
    assert "u:p" not in repr(found)


def test_a_kafka_address_has_hosts_a_login_and_options() -> None:
    assert address("kafkas://me:p%40ss@k1,k2:9093?sasl=scram-sha-512&idempotence=off&cafile=/ca.pem") == Address(
        servers=("k1:9092", "k2:9093"),
        tls=True,
        user="me",
        password="p@ss",
        mechanism="SCRAM-SHA-512",
        idempotent=False,
        authorities="/ca.pem",
    )


@pytest.mark.parametrize(
    ("urls", "why"),
    [
        ("http://secret@host/", "begins with"),
        ("secret", "begins with"),
        ("amqp://", "names no host"),
        ("amqp://secret@", "names no host"),
        ("amqp://secret@host:99999/", "port"),
        ("amqp://secret@a,b", "one host"),
        ("amqp://secret@a,amqp://secret@b", "two brokers are called rabbitmq"),
        ("amqp://secret@a#Not-A-Name", "#name"),
        ("kafka://secret@a?acks=0", "no option acks"),
        ("kafka://secret@a?sasl=GSSAPI", "sasl is one of"),
        ("kafka://secret@a?idempotence=perhaps", "on or off"),
    ],
)
def test_what_cannot_be_used_is_refused_without_being_quoted(urls: str, why: str) -> None:
    with pytest.raises(BrokersRefused, match=why) as refused:
        brokers(urls)
    assert "secret" not in str(refused.value)
    assert refusals(Settings(_env_file=None, event_broker_url=urls)) == [str(refused.value)]
