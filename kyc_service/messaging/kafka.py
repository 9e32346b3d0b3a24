"""Kafka: an idempotent producer that waits for every replica, with the application as the key of the partition."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)
from crowdpay_contracts.envelope import MEDIA_TYPE, TOPIC
from crowdpay_contracts.internal import INTERNAL_TOPIC

from kyc_service.domain.record import record
from kyc_service.messaging.publisher import TOPICS, BrokerRefused, BrokerUnavailable, Message

PATIENCE = 30.0
HANDSHAKE = 5.0
LINGER_MS = 2  # messages that come within this time share a request
HEADERS = [("content-type", MEDIA_TYPE.encode())]
OPTIONS = frozenset({"sasl", "idempotence", "cafile"})
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class KafkaAddressRefused(Exception):
    """A Kafka address in KYC_EVENT_BROKER_URL cannot be used."""


@record
class Address:
    """`kafka://user:password@host:9092,host:9092?sasl=SCRAM-SHA-256`, with `kafkas://` for TLS.

    `idempotence=off` is for brokers that give out no producer ids; `cafile=/path` names the certificates of the only
    authorities that are trusted, instead of those of the system.
    """

    servers: tuple[str, ...]
    tls: bool
    user: str | None
    password: str | None
    mechanism: str
    idempotent: bool
    authorities: str | None

    def __repr__(self) -> str:
        return f"Address({','.join(self.servers)})"


def address(url: str) -> Address:
    """The address that *url* gives.

    Raises:
        KafkaAddressRefused: in one sentence without the URL, what is wrong.
    """
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    options = dict(parse_qsl(parts.query))
    unknown = set(options) - OPTIONS
    mechanism = options.get("sasl", "PLAIN").upper()
    if unknown:
        raise KafkaAddressRefused(
            f"A Kafka address has no option {min(unknown)}; there are {', '.join(sorted(OPTIONS))}."
        )
    if mechanism not in MECHANISMS:
        raise KafkaAddressRefused(f"The Kafka option sasl is one of {', '.join(MECHANISMS)}.")
    if options.get("idempotence", "on") not in ("on", "off"):
        raise KafkaAddressRefused("The Kafka option idempotence is on or off.")
    if "cafile" in options and parts.scheme != "kafkas":
        raise KafkaAddressRefused("The Kafka option cafile needs kafkas://, because nothing else has certificates.")
    servers = tuple(host if ":" in host else f"{host}:9092" for host in hosts.split(",") if host)
    if not servers:
        raise KafkaAddressRefused("A Kafka address names no host.")
    return Address(
        servers=servers,
        tls=parts.scheme == "kafkas",
        user=unquote(user) if login else None,
        password=unquote(password) if login else None,
        mechanism=mechanism,
        idempotent=options.get("idempotence", "on") == "on",
        authorities=options.get("cafile"),
    )


@asynccontextmanager
async def open_kafka(where: Address) -> AsyncIterator["KafkaPublisher"]:
    """A producer that has found its broker.

    Raises:
        BrokerUnavailable: nobody answers there.
        BrokerRefused: the credentials or the topic are refused.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=list(where.servers),
        client_id="kyc-relay",
        acks="all",
        enable_idempotence=where.idempotent,
        linger_ms=LINGER_MS,
        max_batch_size=256 * 1024,
        request_timeout_ms=int(PATIENCE * 1000),
        **security(where),
    )
    try:
        async with asyncio.timeout(PATIENCE):
            await producer.start()
            for topic in TOPICS:
                await producer.partitions_for(topic)
        yield KafkaPublisher(producer)
    except (AuthenticationFailedError, UnsupportedSaslMechanismError) as error:
        raise BrokerRefused("Kafka refuses the user, the password or the SASL mechanism.") from error
    except TopicAuthorizationFailedError as error:
        raise BrokerRefused(f"Kafka does not let the user write to {TOPIC} or {INTERNAL_TOPIC}.") from error
    except UnknownTopicOrPartitionError as error:
        raise BrokerRefused(
            f"Kafka has no topic {TOPIC} or {INTERNAL_TOPIC}: make both, with as many partitions as you like."
        ) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise await unreachable(where, error) from error
    finally:
        await _stop(producer)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Close, without waiting for what a broker that is gone will never confirm."""
    try:
        async with asyncio.timeout(2):
            await producer.stop()
    except (KafkaError, OSError, TimeoutError):
        return


async def unreachable(where: Address, error: Exception) -> BrokerRefused | BrokerUnavailable:
    """Why nobody could be reached at *where*. The client only logs what is wrong with a certificate, so it is asked."""
    if where.tls:
        for server in where.servers:
            if why := await _certificate_refused(where, server):
                return BrokerRefused(
                    f"The certificate of Kafka at {server} is refused ({why}): name the authority that signed it by"
                    " cafile=/path in KYC_EVENT_BROKER_URL, and the host as the certificate does."
                )
    return BrokerUnavailable(f"Kafka cannot be reached ({type(error).__name__}).")


async def _certificate_refused(where: Address, server: str) -> str | None:
    """What is wrong with the certificate of *server*; None when nothing is, or nobody answers."""
    host, _, port = server.rpartition(":")
    try:
        async with asyncio.timeout(HANDSHAKE):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=_trust(where))
            writer.close()
            await writer.wait_closed()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, TimeoutError):
        return None
    return None


def _trust(where: Address) -> ssl.SSLContext:
    """Whom to believe.

    Raises:
        BrokerRefused: the file of authorities cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=where.authorities)
    except OSError as error:
        raise BrokerRefused(
            "The file that cafile names in KYC_EVENT_BROKER_URL holds no readable certificates."
        ) from error


def security(where: Address) -> Mapping[str, Any]:
    """How a client of aiokafka proves who it is at *where*, and whom it believes.

    Raises:
        BrokerRefused: the file of authorities cannot be read.
    """
    given: dict[str, Any] = {"ssl_context": _trust(where)} if where.tls else {}
    protocol = "SSL" if where.tls else "PLAINTEXT"
    if where.user is not None:
        protocol = f"SASL_{protocol}"
        given |= {
            "sasl_mechanism": where.mechanism,
            "sasl_plain_username": where.user,
            "sasl_plain_password": where.password,
        }
    return {"security_protocol": protocol, **given}


class KafkaPublisher:
    """Keeps the promises of `publisher.Publisher`; the producer itself keeps the order of a partition at retries."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def publish(self, messages: Sequence[Message]) -> None:
        """All of them at once; they are confirmed when every in-sync replica has them."""
        try:
            async with asyncio.timeout(PATIENCE):
                sent = [
                    await self._producer.send(
                        message.topic, message.body, key=str(message.key).encode(), headers=HEADERS
                    )
                    for message in messages
                ]
                await asyncio.gather(*sent)
        except TimeoutError as error:
            raise BrokerUnavailable(f"Kafka has not confirmed everything within {PATIENCE:.0f} s.") from error
        except KafkaError as error:
            raise BrokerUnavailable(f"Kafka has not confirmed a message ({type(error).__name__}).") from error

    async def lost(self) -> None:
        """The producer reconnects by itself, so this never returns."""
        await asyncio.Event().wait()

    async def unrouted(self) -> int:
        """None: a topic keeps everything, whoever reads it."""
        return 0
