"""What lies parked at the brokers, as the intakes count it: the one place where operators look for it."""

from kyc_service.store.database import Database

# `since`: from the first count that found something, until one finds nothing.
REPORT = """
    insert into parked (broker, waiting, since, counted_at)
    values (%(broker)s, %(waiting)s, case when %(waiting)s > 0 then clock_timestamp() end, clock_timestamp())
    on conflict (broker) do update
      set waiting = excluded.waiting, counted_at = excluded.counted_at,
          since = case when excluded.waiting > 0 then coalesce(parked.since, excluded.since) end
"""


class Parked:
    """Keeps the last count of each broker."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, broker: str, waiting: int) -> None:
        """So many commands lie parked there now.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        async with self._database.any() as connection:
            await connection.execute(REPORT, {"broker": broker, "waiting": waiting}, prepare=True)
