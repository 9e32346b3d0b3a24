"""Kafka: an idempotent producer that waits for every replica, with the application as the key of the partition."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from aiokafka import AIOKafkaProducer
from aiokafka.conn import create_conn
from aiokafka.errors import (
    BrokerResponseError,
    IllegalSaslStateError,
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.protocol.metadata import MetadataRequest
from crowdpay_contracts.envelope import MEDIA_TYPE

from kyc_service.domain.record import record
from kyc_service.messaging.publisher import TOPICS, BrokerRefused, BrokerUnavailable, Message

PATIENCE = 30.0
HANDSHAKE = 5.0
FINDING = 10.0  # seconds for a topic to be there: a broker that makes topics by itself takes a moment
LEAVING = 2.0
LARGEST = 256 * 1024  # bytes of messages for one partition in one request
HEADERS = [("content-type", MEDIA_TYPE.encode())]
OPTIONS = frozenset({"sasl", "idempotence", "cafile"})
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
# What aiokafka makes of a server that refuses a password in SCRAM's own words (RFC 5802, 7: `e=`) or does not know it.
NO_LOGIN = (KeyError, ValueError, AssertionError)


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
async def open_kafka(where: Address, patience: float = PATIENCE) -> AsyncIterator["KafkaPublisher"]:
    """A producer that has found its broker and its topics, and waits *patience* seconds for a confirmation.

    Raises:
        BrokerUnavailable: nobody answers there.
        BrokerRefused: the certificate, the login, the producer id or the topics are refused.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=list(where.servers),
        client_id="kyc-relay",
        acks="all",
        enable_idempotence=where.idempotent,
        max_batch_size=LARGEST,
        request_timeout_ms=int(PATIENCE * 1000),
        **security(where),
    )
    try:
        try:
            async with asyncio.timeout(PATIENCE):
                await producer.start()
        except (BrokerResponseError, IncompatibleBrokerVersion) as error:  # of all that is asked, one thing may end so
            raise BrokerRefused(
                f"Kafka gives no producer id ({type(error).__name__}): allow the user IdempotentWrite on the cluster,"
                " or add idempotence=off to KYC_EVENT_BROKER_URL."
            ) from error
        except (KafkaError, OSError, TimeoutError, *NO_LOGIN) as error:
            raise await unreachable(where, error) from error
        await found(producer, TOPICS)
        yield KafkaPublisher(producer, patience)
    finally:
        await stopped(producer)


async def found(producer: AIOKafkaProducer, topics: Sequence[str]) -> None:
    """Return when each of *topics* is there.

    Raises:
        BrokerRefused: there is no such topic, or the user may not use it.
    """
    for topic in topics:
        try:
            async with asyncio.timeout(FINDING):
                await producer.partitions_for(topic)
        except TopicAuthorizationFailedError as error:
            raise BrokerRefused(f"Kafka does not let the user use {topic}.") from error
        except (UnknownTopicOrPartitionError, TimeoutError) as error:
            made = " and ".join(topics)
            raise BrokerRefused(
                f"Kafka has no topic {topic}: make {made}, with as many partitions as you like."
            ) from error


async def stopped(producer: AIOKafkaProducer) -> None:
    """Close, and send nothing more: what was not confirmed is told again by whoever comes next.

    `AIOKafkaProducer.stop` first delivers what is left. When nobody takes it, that lasts for ever, and given up it
    leaves behind a sender that goes on trying, beside the next producer. So this is `stop` without its first half.
    """
    producer._closed = True  # noqa: SLF001 - nothing public closes it so
    for close in (producer._sender.close, producer.client.close):  # noqa: SLF001
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(LEAVING):
                await close()


async def unreachable(where: Address, error: Exception) -> BrokerRefused | BrokerUnavailable:
    """Why nobody could be reached at *where*. A client of aiokafka only logs what a server refuses, so it is asked."""
    for server in where.servers:
        if why := await _refused(where, server):
            return BrokerRefused(why)
    return BrokerUnavailable(f"Kafka cannot be reached ({type(error).__name__}).")


async def _refused(where: Address, server: str) -> str | None:
    """What *server* refuses, or what is refused of it; None when nothing is, or nobody answers."""
    why = None
    try:
        async with asyncio.timeout(HANDSHAKE):
            why = await _hung_up(where, server)
    except ssl.SSLCertVerificationError as error:
        why = (
            f"The certificate of Kafka at {server} is refused ({error.verify_message}): name the authority that signed"
            " it by cafile=/path in KYC_EVENT_BROKER_URL, and the host as the certificate does."
        )
    except UnsupportedSaslMechanismError:
        why = f"Kafka at {server} does not take {where.mechanism}: name what it takes by sasl= in KYC_EVENT_BROKER_URL."
    except IllegalSaslStateError:
        why = f"Kafka at {server} takes no login: leave it out of KYC_EVENT_BROKER_URL, or use the port that takes one."
    except (SaslAuthenticationFailed, *NO_LOGIN):
        why = f"Kafka at {server} refuses the user or the password in KYC_EVENT_BROKER_URL."
    except (KafkaError, OSError, TimeoutError):
        return None
    return why


async def _hung_up(where: Address, server: str) -> str | None:
    """Log in and ask something. Apache Kafka hangs up on whoever asks without a login."""
    host, _, port = server.rpartition(":")
    connection = await create_conn(host.strip("[]"), int(port), client_id="kyc", **security(where))
    try:
        await connection.send(MetadataRequest([]))
    except KafkaConnectionError:
        if where.user is None:
            return f"Kafka at {server} hangs up on whoever has no login: it may want one in KYC_EVENT_BROKER_URL."
    finally:
        await connection.close()
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
    """Keeps the promises of `publisher.Publisher`."""

    def __init__(self, producer: AIOKafkaProducer, patience: float) -> None:
        self._producer = producer
        self._patience = patience
        self._partitioner = DefaultPartitioner()

    async def publish(self, messages: Sequence[Message]) -> None:
        """All partitions at once, and within one a batch waits for the one before to be confirmed.

        A batch arrives as a whole or not at all. With a second one behind it, one that is given up or refused would be
        overtaken: a broker that knows nothing yet of a producer takes whatever comes first from it as its beginning.
        """
        parts: dict[tuple[str, int], list[Message]] = {}
        try:
            async with asyncio.timeout(self._patience):
                partitions = {topic: await self._partitions(topic) for topic in {one.topic for one in messages}}
                for message in messages:
                    known = partitions[message.topic]
                    # As the producers of all libraries choose it by the key.
                    partition = self._partitioner(str(message.key).encode(), known, known)
                    parts.setdefault((message.topic, partition), []).append(message)
                ended = await asyncio.gather(
                    *(self._in_order(*place, part) for place, part in parts.items()), return_exceptions=True
                )
                for failed in filter(None, ended):
                    raise failed
        except TimeoutError as error:
            raise BrokerUnavailable(
                f"Kafka has not confirmed everything within {self._patience:.0f} s{self._leaderless(parts)}."
            ) from error
        except KafkaError as error:
            raise BrokerUnavailable(f"Kafka has not confirmed a message ({type(error).__name__}).") from error

    def _leaderless(self, places: Collection[tuple[str, int]]) -> str:
        """What to say of the places that nobody leads."""
        known = self._producer.client.cluster
        found = [
            f"{topic}-{partition}"
            for topic, partition in places
            if partition not in (known.available_partitions_for_topic(topic) or ())
        ]
        return f", and nobody leads {', '.join(found)}" if found else ""

    async def _partitions(self, topic: str) -> Sequence[int]:
        return sorted(await self._producer.partitions_for(topic))

    async def _in_order(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        while messages:
            batch = self._producer.create_batch()
            number = 0
            for message in messages:
                key = str(message.key).encode()
                if batch.append(timestamp=None, key=key, value=message.body, headers=HEADERS) is None:
                    break
                number += 1
            batch.close()
            try:
                await (await self._producer.send_batch(batch, topic, partition=partition))
            except TopicAuthorizationFailedError as error:
                raise BrokerRefused(f"Kafka does not let the user write to {topic}.") from error
            except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
                raise BrokerRefused(
                    f"Kafka does not take {batch.size()} bytes at once, from the event {messages[0].id} on:"
                    f" give {topic} a larger max.message.bytes."
                ) from error
            messages = messages[number:]

    async def lost(self) -> None:
        """The producer reconnects by itself, so this never returns."""
        await asyncio.Event().wait()

    async def unrouted(self) -> int:
        """None: a topic keeps everything, whoever reads it."""
        return 0
