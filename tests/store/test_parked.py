"""Since when commands lie parked is told from the first count that found one until one finds none."""

from datetime import datetime

from kyc_service.application.worker import Doorbell
from kyc_service.settings import RelayMode
from kyc_service.store.bells import Bells
from kyc_service.store.database import Database
from kyc_service.store.following import Log
from kyc_service.store.parked import Parked


async def test_the_age_of_what_lies_parked_begins_anew_when_all_is_taken(database: Database) -> None:
    parked = Parked(database)
    log = Log(database=database, target="", mode=RelayMode.TAIL, bell=Bells("", Doorbell()).reader)

    async def told() -> tuple[int, datetime | None]:
        found = (await log.backlogs(["rabbitmq"]))["rabbitmq"]
        return found.parked, found.parked_since

    assert await told() == (0, None)
    await parked.report("rabbitmq", 1)
    number, first = await told()
    assert number == 1
    assert first is not None
    await parked.report("rabbitmq", 3)
    assert await told() == (3, first)
    await parked.report("rabbitmq", 0)
    assert await told() == (0, None)
    await parked.report("rabbitmq", 2)
    number, again = await told()
    assert number == 2
    assert again is not None
    assert again > first
    await parked.report("kafka", 9)
    assert (await told())[0] == 2
