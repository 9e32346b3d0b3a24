"""How the service stands as a whole: what waits, what is late, how old the lists are. One question, for metrics."""

from collections.abc import Mapping, Sequence

from kyc_service.domain.record import record
from kyc_service.store.database import Database

# Each by an index, because finished orders are many. An order is overdue when no worker has taken it within a minute;
# one that has failed is due again within the hour (`effects.LONGEST_WAIT`).
ORDERS = """
    select json_build_object(
      'due', (select count(*) from orders
              where done_at is null and dead_at is null and due_at <= statement_timestamp()),
      'overdue', (select count(*) from orders
                  where done_at is null and dead_at is null and due_at <= statement_timestamp() - interval '1 minute'),
      'failing', (select count(*) from orders
                  where done_at is null and dead_at is null and due_at <= statement_timestamp() + interval '1 hour'
                    and failures > 0),
      'given_up', (select count(*) from orders where dead_at is not null and done_at is null)
    )
"""
BACKLOGS = """
    select coalesce(json_agg(json_build_array(
      b.name, b.behind, extract(epoch from b.oldest)::float8, b.unrouted, coalesce(p.waiting, 0),
      extract(epoch from p.since)::float8
    )), '[]')
    from backlogs(%s) b left join parked p on p.broker = b.name
"""
LISTS = """
    select coalesce(json_agg(json_build_array(
      w.source, v.entries, extract(epoch from w.confirmed_at)::float8
    )), '[]')
    from watchlists w join watchlist_versions v on v.source = w.source and v.number = w.active
"""
STANDING = f"select ({ORDERS}), ({BACKLOGS}), ({LISTS}), extract(epoch from clock_timestamp())::float8"
PATIENCE = "set statement_timeout = '2s'"


@record
class OrderFigures:
    """Orders by how they stand. Due ones are for any worker, overdue ones wait for more than a minute."""

    due: int
    overdue: int
    failing: int
    given_up: int


@record
class ListFigures:
    """A list in force: its entries, and how many seconds ago it was last known to be what the publisher has."""

    entries: int
    age: float


@record
class BacklogFigures:
    """What a broker has not been told yet (ten thousand means at least so many), and for how many seconds.

    `parked`: how many commands lie parked there, and for how many seconds there have always been some.
    """

    behind: int
    age: float
    unrouted: int
    parked: int
    parked_age: float


@record
class Standing:
    """Everything that is read at once."""

    orders: OrderFigures
    brokers: Mapping[str, BacklogFigures]
    lists: Mapping[str, ListFigures]


class Gauges:
    """Reads how the service stands, over all tenants; *brokers* are those whose backlog is asked for."""

    def __init__(self, database: Database, brokers: Sequence[str]) -> None:
        self._database = database
        self._brokers = list(brokers)

    async def standing(self) -> Standing:
        """How it stands now.

        Raises:
            StoreUnavailable: the database does not answer within two seconds.
        """
        async with self._database.system() as connection:
            await connection.execute(PATIENCE)
            row = await (await connection.execute(STANDING, (self._brokers,))).fetchone()
        orders, brokers, lists, now = row or ({}, [], [], 0.0)
        return Standing(
            orders=OrderFigures(**orders),
            brokers={
                name: BacklogFigures(
                    behind=behind,
                    age=max(now - (oldest or now), 0.0),
                    unrouted=unrouted,
                    parked=parked,
                    parked_age=max(now - (since or now), 0.0),
                )
                for name, behind, oldest, unrouted, parked, since in brokers
            },
            lists={
                name: ListFigures(entries=entries, age=max(now - confirmed, 0.0)) for name, entries, confirmed in lists
            },
        )
