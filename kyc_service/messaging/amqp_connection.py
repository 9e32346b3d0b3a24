"""A connection to RabbitMQ, or one sentence that says why there is none."""

import asyncio
import ssl
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from aio_pika.abc import AbstractConnection
from aio_pika.connection import Connection, make_url
from aio_pika.exceptions import AMQPError, AuthenticationError, ProbableAuthenticationError

from kyc_service.messaging.publisher import BrokerRefused, BrokerUnavailable

PATIENCE = 30.0
OPENED = "Connection.OpenOk"  # what aiormq has missed when RabbitMQ closes instead; what it said then is not kept


async def connected(url: str, name: str) -> AbstractConnection:
    """A connection that operators see as *name*.

    Raises:
        BrokerUnavailable: nobody answers there.
        BrokerRefused: the user, the virtual host or the certificate is refused.
    """
    connection = Connection(make_url(url), client_properties={"connection_name": name})
    try:
        async with AsyncExitStack() as failing:
            # Left open, it would close when it is collected, without a loop.
            failing.push_async_callback(connection.close)
            async with asyncio.timeout(PATIENCE):
                await connection.connect()
            failing.pop_all()
    except (AuthenticationError, ProbableAuthenticationError) as error:
        raise BrokerRefused("RabbitMQ refuses the user or the password in KYC_EVENT_BROKER_URL.") from error
    except (AMQPError, OSError, TimeoutError) as error:
        raise _why(url, error) from error
    return connection


def _why(url: str, error: Exception) -> BrokerRefused | BrokerUnavailable:
    if OPENED in str(error):
        return BrokerRefused(
            "RabbitMQ does not open the virtual host at the end of KYC_EVENT_BROKER_URL: it is not there, not for the"
            " user, or full; the log of RabbitMQ says which."
        )
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return BrokerRefused(
            f"The certificate of RabbitMQ is refused ({cause.verify_message}): name the authority that signed it by"
            " cafile=/path in KYC_EVENT_BROKER_URL, and the host as the certificate does."
        )
    if "cafile=" in urlsplit(url).query and not isinstance(error, (AMQPError, TimeoutError)):
        return BrokerRefused("The file that cafile names in KYC_EVENT_BROKER_URL holds no readable certificates.")
    return BrokerUnavailable(f"RabbitMQ cannot be reached ({type(cause).__name__}).")
