"""Alembic's entry: `alembic upgrade head` works as it is, on KYC_DB_DSN or on the embedded server."""

from contextlib import ExitStack

import psycopg
from alembic import context
from sqlalchemy import create_engine, pool

from kyc_service.settings import Settings
from kyc_service.store.database import dsn

# Two migrations at once (three replicas that start) must be one migration and two that find it done.
MIGRATING = "select pg_advisory_xact_lock(7305808869232175464)"


def run() -> None:
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql")
        with context.begin_transaction():
            context.run_migrations()
        return
    with ExitStack() as stack:
        given = context.config.attributes.get("dsn")
        target = given or stack.enter_context(dsn(Settings()))
        engine = create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(target), poolclass=pool.NullPool
        )
        stack.callback(engine.dispose)
        with engine.connect() as connection:
            context.configure(connection=connection, transactional_ddl=True)
            with context.begin_transaction():
                connection.exec_driver_sql("set local lock_timeout = '10s'")
                connection.exec_driver_sql(MIGRATING)
                context.run_migrations()
            connection.commit()


run()
