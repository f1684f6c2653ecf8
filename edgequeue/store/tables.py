"""The tables, for queries, administration and the check that the migrations build exactly these.

The hot statements (put, claim, record, settle) are plain SQL in the modules beside this one, because that is where
SQLAlchemy costs most: 0.67–0.84 of raw sqlite3 per durable put, 0.42 per row of a bulk insert (docs/decisions.md).
Times are queue-clock milliseconds (`clock.py`).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text, text

metadata = MetaData()

# SQLite's INTEGER PRIMARY KEY is the row's own address; elsewhere it has to be a BIGINT.
Key = BigInteger().with_variant(Integer(), "sqlite")
Zero = text("0")

queue = Table(
    "queue",
    metadata,
    Column("id", Integer, primary_key=True),  # one row, id 1
    Column("queue_id", Text, nullable=False),
    # Sequences up to here may have been pruned: a sequence is never given twice.
    Column("pruned_through", Key, nullable=False, server_default=Zero),
)

boots = Table(
    "boots",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("boot_id", Text, nullable=False),
    Column("started_ms", Key, nullable=False),
    Column("base_ms", Key, nullable=False),
    Column("wall_offset_ms", Key, nullable=False),
    Column("trusted", Integer, nullable=False),
)

destinations = Table(
    "destinations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("fence", Key, nullable=False, server_default=Zero),
    Column("owner", Text),  # JSON {pid, kind, since_ms}: for display, the lease itself is a file lock
    Column("hold", Text),  # JSON of retry.Hold; NULL when nothing holds the destination back
    Column("wake", Key, nullable=False, server_default=Zero),
    Column("last_accepted_ms", Key),
    # Counts of what has ended, written by settle, requeue and the like; pending and sending are counted when asked.
    Column("delivered", Key, nullable=False, server_default=Zero),
    Column("dead", Key, nullable=False, server_default=Zero),
    Column("expired", Key, nullable=False, server_default=Zero),
    Column("evicted", Key, nullable=False, server_default=Zero),
    Column("erased", Key, nullable=False, server_default=Zero),
    Column("lost", Key, nullable=False, server_default=Zero),
    Column("learned", Text),  # JSON of learning.Learned; NULL while nothing was
)

events = Table(
    "events",
    metadata,
    Column("sequence", Key, primary_key=True),
    Column("nonce", Key, nullable=False),
    Column("destination", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("codec", Integer, nullable=False),
    Column("stamped", Integer, nullable=False),  # 1: the timestamp in the payload is ours
    Column("boot", Integer, nullable=False),
    Column("enqueued_ms", Key, nullable=False),
    Column("occurred_ms", Key),  # wall-clock milliseconds as the event says
    Column("reference", Text),
    Column("checksum", Key, nullable=False),  # CRC-32 of payload
    Column("payload", LargeBinary, nullable=False),
)

pending = Table(
    "pending",
    metadata,
    Column("destination", Integer, primary_key=True),
    Column("priority", Integer, primary_key=True),
    Column("sequence", Key, primary_key=True),
    Column("not_before_ms", Key, nullable=False, server_default=Zero),
    Column("attempts", Integer, nullable=False, server_default=Zero),
    Column("travel_max", Integer),
    sqlite_with_rowid=False,
)

requests = Table(
    "requests",
    metadata,
    Column("number", Key, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("destination", Integer, nullable=False),
    Column("fence", Key, nullable=False),
    Column("opened_ms", Key, nullable=False),
    Column("closed_ms", Key),
    Column("outcome", Text),
    Column("disposition", Text),  # of each of its events that has no row in attempts
    Column("http_status", Integer),
    Column("receipt", Text),  # "{position}" in it stands for the event's place in the request
    Column("service", Text),  # JSON: the ids that the service answered with
    Column("error", Text),  # JSON {code, text, status}
    Column("events", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("first_sequence", Key, nullable=False),
    Column("last_sequence", Key, nullable=False),
    Column("sequences", LargeBinary, nullable=False),  # packing.py
    Index("requests_open", "destination", sqlite_where=text("closed_ms IS NULL")),
)

attempts = Table(
    "attempts",
    metadata,
    Column("request", Key, primary_key=True),
    Column("sequence", Key, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("disposition", Text, nullable=False),
    Column("receipt", Text),
    Column("http_status", Integer),
    Column("code", Text),
    Column("message", Text),
    sqlite_with_rowid=False,
)

endings = Table(
    "endings",
    metadata,
    Column("sequence", Key, primary_key=True),
    Column("destination", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended_ms", Key, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("http_status", Integer),
    Column("code", Text),
    Column("message", Text),
)

salvages = Table(
    "salvages",
    metadata,
    Column("number", Key, primary_key=True),
    Column("queue_id", Text, nullable=False),  # of the damaged queue: it minted the ids up to `through`
    Column("through", Key, nullable=False),
    Column("salvaged_ms", Key, nullable=False),  # wall clock
    Column("events", Key, nullable=False),
    Column("lost", Key, nullable=False),
    Column("unplaced", Key, nullable=False),  # of the lost: those whose destination nobody knows
    Column("place", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
