"""Alembic's entry: a connection handed in by `edgequeue.store.schema`, or a URL for developers (`-x url=...`).

No logging is configured here: a library must not do that.
"""

from alembic import context
from sqlalchemy import Connection, create_engine, event

from edgequeue.store.tables import metadata


def run(connection: Connection) -> None:
    # transactional_ddl: alembic assumes that SQLite cannot roll back DDL; it can, if the driver does not interfere.
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    engine = create_engine(context.get_x_argument(as_dictionary=True).get("url", "sqlite:///edgequeue-dev.db"))

    @event.listens_for(engine, "connect")
    def _autocommit(driver_connection, _record):
        driver_connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.connect() as connection:
        run(connection)
