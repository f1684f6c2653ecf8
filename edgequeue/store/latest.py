"""The tables of the newest version as plain SQL: what a new database is made of.

A new database need not walk through the migrations, whose library takes 29 MB and half a second: twice what a process
has otherwise that only enqueues. A test holds these tables to what the migrations build.
"""

from __future__ import annotations

STATEMENTS = (
    """
    CREATE TABLE alembic_version (
        version_num VARCHAR(32) NOT NULL,
        CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
    )
    """,
    """
    CREATE TABLE queue (
        id INTEGER NOT NULL PRIMARY KEY,
        queue_id TEXT NOT NULL,
        pruned_through INTEGER NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE boots (
        number INTEGER NOT NULL PRIMARY KEY,
        boot_id TEXT NOT NULL,
        started_ms INTEGER NOT NULL,
        base_ms INTEGER NOT NULL,
        wall_offset_ms INTEGER NOT NULL,
        trusted INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE destinations (
        id INTEGER NOT NULL PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        type TEXT NOT NULL,
        fence INTEGER NOT NULL DEFAULT 0,
        owner TEXT,
        hold TEXT,
        wake INTEGER NOT NULL DEFAULT 0,
        last_accepted_ms INTEGER,
        delivered INTEGER NOT NULL DEFAULT 0,
        dead INTEGER NOT NULL DEFAULT 0,
        expired INTEGER NOT NULL DEFAULT 0,
        evicted INTEGER NOT NULL DEFAULT 0,
        erased INTEGER NOT NULL DEFAULT 0,
        lost INTEGER NOT NULL DEFAULT 0,
        learned TEXT
    )
    """,
    """
    CREATE TABLE events (
        sequence INTEGER NOT NULL PRIMARY KEY,
        nonce INTEGER NOT NULL,
        destination INTEGER NOT NULL,
        priority INTEGER NOT NULL,
        codec INTEGER NOT NULL,
        stamped INTEGER NOT NULL,
        boot INTEGER NOT NULL,
        enqueued_ms INTEGER NOT NULL,
        occurred_ms INTEGER,
        reference TEXT,
        checksum INTEGER NOT NULL,
        payload BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE pending (
        destination INTEGER NOT NULL,
        priority INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        not_before_ms INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        travel_max INTEGER,
        PRIMARY KEY (destination, priority, sequence)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE requests (
        number INTEGER NOT NULL PRIMARY KEY,
        request_id TEXT NOT NULL,
        destination INTEGER NOT NULL,
        fence INTEGER NOT NULL,
        opened_ms INTEGER NOT NULL,
        closed_ms INTEGER,
        outcome TEXT,
        disposition TEXT,
        http_status INTEGER,
        receipt TEXT,
        service TEXT,
        error TEXT,
        events INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        first_sequence INTEGER NOT NULL,
        last_sequence INTEGER NOT NULL,
        sequences BLOB NOT NULL
    )
    """,
    "CREATE INDEX requests_open ON requests (destination) WHERE closed_ms IS NULL",
    """
    CREATE TABLE attempts (
        request INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        position INTEGER NOT NULL,
        disposition TEXT NOT NULL,
        receipt TEXT,
        http_status INTEGER,
        code TEXT,
        message TEXT,
        PRIMARY KEY (request, sequence)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE endings (
        sequence INTEGER NOT NULL PRIMARY KEY,
        destination INTEGER NOT NULL,
        state TEXT NOT NULL,
        ended_ms INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        http_status INTEGER,
        code TEXT,
        message TEXT
    )
    """,
    """
    CREATE TABLE salvages (
        number INTEGER NOT NULL PRIMARY KEY,
        queue_id TEXT NOT NULL,
        through INTEGER NOT NULL,
        salvaged_ms INTEGER NOT NULL,
        events INTEGER NOT NULL,
        lost INTEGER NOT NULL,
        unplaced INTEGER NOT NULL,
        place TEXT NOT NULL,
        reason TEXT NOT NULL
    )
    """,
)
