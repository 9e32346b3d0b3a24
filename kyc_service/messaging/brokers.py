"""Which brokers there are: KYC_EVENT_BROKER_URL taken apart, and a way to each of them opened."""

import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from kyc_service.domain.record import record
from kyc_service.messaging.amqp import open_amqp
from kyc_service.messaging.kafka import KafkaAddressRefused, address, open_kafka
from kyc_service.messaging.publisher import Publisher

KINDS = {"amqp": "rabbitmq", "amqps": "rabbitmq", "kafka": "kafka", "kafkas": "kafka"}
NAME = re.compile(r"[a-z][a-z0-9_]{0,29}")


class BrokersRefused(Exception):
    """KYC_EVENT_BROKER_URL cannot be used; the message never quotes it, because it may hold a password."""


@record
class Broker:
    """One broker. Its position in the log is kept under its name, so the name outlives a change of the address."""

    name: str
    url: str

    def __repr__(self) -> str:
        return f"Broker({self.name}, ***)"


def brokers(urls: str) -> Sequence[Broker]:
    """The brokers in *urls*: addresses with commas between them, each named by its `#fragment` or after its kind.

    Raises:
        BrokersRefused: in one sentence, why not.
    """
    found: list[Broker] = []
    for url in _parted(urls):
        parts = urlsplit(url)
        if parts.scheme not in KINDS:
            raise BrokersRefused(f"KYC_EVENT_BROKER_URL: an address begins with one of {', '.join(KINDS)} and ://.")
        if not parts.netloc.rpartition("@")[2]:
            raise BrokersRefused("KYC_EVENT_BROKER_URL: an address names no host.")
        name = parts.fragment or KINDS[parts.scheme]
        if not NAME.fullmatch(name):
            raise BrokersRefused("KYC_EVENT_BROKER_URL: a broker's #name has small letters, digits and _ only.")
        if name in {broker.name for broker in found}:
            raise BrokersRefused(
                f"KYC_EVENT_BROKER_URL: two brokers are called {name}; name them with #this and #that."
            )
        found.append(Broker(name=name, url=parts._replace(fragment="").geturl()))
        _checked(found[-1])
    return found


def _parted(urls: str) -> list[str]:
    """The addresses. What follows a comma without a scheme is one more host of the same Kafka cluster."""
    parted: list[str] = []
    for part in filter(None, (part.strip() for part in urls.split(","))):
        if "://" in part or not parted:
            parted.append(part)
        else:
            parted[-1] += f",{part}"
    return parted


def _checked(broker: Broker) -> None:
    try:
        if KINDS[urlsplit(broker.url).scheme] == "kafka":
            address(broker.url)
        elif urlsplit(broker.url).port == 0 or "," in urlsplit(broker.url).netloc:
            raise BrokersRefused("KYC_EVENT_BROKER_URL: an AMQP address has one host and a port that exists.")
    except KafkaAddressRefused as error:
        raise BrokersRefused(f"KYC_EVENT_BROKER_URL: {error}") from error
    except ValueError as error:
        raise BrokersRefused("KYC_EVENT_BROKER_URL: a port is a number up to 65535.") from error


def opened(broker: Broker) -> AbstractAsyncContextManager[Publisher]:
    """A way to the broker; see `open_amqp` and `open_kafka` for what it raises."""
    if KINDS[urlsplit(broker.url).scheme] == "kafka":
        return open_kafka(address(broker.url))
    return open_amqp(broker.url)
