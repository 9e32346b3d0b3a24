"""A relay as a process of its own, without the rest of the service: `relay_process.py DSN BROKER MODE`."""

import asyncio
import sys
from functools import partial

from kyc_service.application.worker import Doorbell
from kyc_service.messaging.brokers import Broker, opened
from kyc_service.messaging.relay import Relay
from kyc_service.settings import RelayMode
from kyc_service.store.bells import LOG, Bells
from kyc_service.store.database import Database
from kyc_service.store.following import Log


async def main(target: str, url: str, mode: str) -> None:
    """Relay until killed."""
    database = Database(target, size=2)
    await database.open()
    bells = Bells(target, Doorbell())
    log = Log(database=database, target=target, mode=RelayMode(mode), bell=bells.reader)
    relay = Relay(
        "rabbitmq", "/kyc", partial(log.follow, "rabbitmq"), partial(opened, Broker(name="rabbitmq", url=url))
    )
    await asyncio.gather(relay.run(), bells.listen(LOG))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
