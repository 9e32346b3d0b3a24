"""Processes are killed at random under load, and nothing is lost or done twice."""

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from random import Random
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest

from kyc_service.vendors.simulated import Magic, magic_file_id

ENDS = {
    Magic.VERIFIED: "VERIFIED",
    Magic.EXPIRED: "REJECTED",
    Magic.EVERY_VENDOR_DOWN: "ROLLED_BACK",
    Magic.FIRST_VENDOR_DOWN: "VERIFIED",
    Magic.FLAKY: "VERIFIED",
}
KILLS = [pytest.param(4, id="a-few"), pytest.param(20, id="many", marks=pytest.mark.long)]
CLIENTS = 4


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", KILLS)
async def test_every_accepted_application_ends_once_whatever_is_killed(
    start: Callable[..., object], token: Callable[..., str], dsn: str, kills: int, dice: Random
) -> None:
    api = start("serve", "--no-worker", serving=True)
    worker = start("worker")
    bearer = {"Authorization": f"Bearer {token('submitter', 'reader')}"}
    accepted: dict[str, tuple[UUID, Magic]] = {}
    over = asyncio.Event()

    async def submit(client: httpx2.AsyncClient, key: str, magic: Magic) -> None:
        """The same request with the same key until somebody answers it."""
        body = {
            "user_id": str(uuid4()),
            "email": f"{key}@example.com",
            "documents": [{"doc_type": "PASSPORT", "file_id": str(magic_file_id(magic)), "issued_country": "NL"}],
        }
        while True:
            try:
                answer = await client.post(
                    f"{api.url}/v1/kyc/applications", json=body, headers={**bearer, "Idempotency-Key": key}
                )
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code == 201:
                accepted[key] = (UUID(answer.json()["id"]), magic)
                return
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.05)

    async def client(number: int) -> None:
        magics = cycle(ENDS)
        count = 0
        async with httpx2.AsyncClient(timeout=10) as http:
            while not over.is_set():
                count += 1
                await submit(http, f"client-{number}-{count}", next(magics))
                await asyncio.sleep(dice.uniform(0, 0.05))

    async def reaper() -> None:
        for number in range(kills):
            await asyncio.sleep(dice.uniform(0.1, 0.8))
            victim = (api, worker)[number % 2]
            victim.kill()
            victim.start()
            if victim is api:
                await asyncio.to_thread(api.wait_ready)
        over.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(reaper())
        for number in range(CLIENTS):
            group.create_task(client(number))

    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as database:
        async with asyncio.timeout(120):
            while True:
                # What follows an ending, such as the watch, is an order of its own.
                cursor = await database.execute(
                    "select (select count(*) from applications where status in ('PENDING', 'IN_PROGRESS'))"
                    " + (select count(*) from orders where done_at is null)"
                )
                if await cursor.fetchone() == (0,):
                    break
                await asyncio.sleep(0.2)
        rows = await (await database.execute("select id, status from applications")).fetchall()
        assert dict(rows) == {identity: ENDS[magic] for identity, magic in accepted.values()}

        ended = await (
            await database.execute(
                "select stream, count(*) from events where type in"
                " ('ApplicationVerified', 'ApplicationRejected', 'ApplicationRolledBack') group by stream"
            )
        ).fetchall()
        assert Counter(count for _, count in ended) == {1: len(accepted)}

        answers = await (
            await database.execute(
                "select stream, data ->> 'check', data ->> 'vendor', count(*) from events"
                " where type in ('CheckAnswered', 'VendorGivenUp') group by 1, 2, 3 having count(*) > 1"
            )
        ).fetchall()
        assert answers == []

        gaps = await (
            await database.execute("select stream from events group by stream having max(version) <> count(*)")
        ).fetchall()
        assert gaps == []
    assert len(accepted) > kills
