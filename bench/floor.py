"""The least that an HTTP endpoint on PostgreSQL can cost: bare FastAPI and psycopg. bench/api.py compares with it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from fastapi import FastAPI, Request
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel


class Document(BaseModel):
    """As in the contract."""

    doc_type: str
    file_id: UUID
    issued_country: str


class Submission(BaseModel):
    """As in the contract."""

    user_id: UUID
    email: str
    documents: list[Document]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """A pool as large as the service's."""
    async with AsyncConnectionPool(
        os.environ["FLOOR_DSN"], min_size=2, max_size=20, kwargs={"autocommit": True}
    ) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/kyc/applications", status_code=201)
async def submit(submission: Submission, request: Request) -> dict[str, object]:
    """Insert one row, and commit."""
    identity = uuid4()
    async with request.app.state.pool.connection() as connection:
        await connection.execute(
            "insert into floor values (%s, %s)", (identity, Jsonb(submission.model_dump(mode="json"))), prepare=True
        )
    return {"id": str(identity), **submission.model_dump()}


@app.get("/v1/kyc/applications/{identity}")
async def read(identity: UUID, request: Request) -> dict[str, object]:
    """Select one row."""
    async with request.app.state.pool.connection() as connection:
        cursor = await connection.execute("select body from floor where id = %s", (identity,), prepare=True)
        row = await cursor.fetchone()
    return {"id": str(identity), **row[0]}
