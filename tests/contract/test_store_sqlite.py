"""The SQLite store keeps the contract."""

from __future__ import annotations

import pytest

from edgequeue.store.facade import SqliteStore
from tests.conftest import MakeStore
from tests.contract.store import StoreContract
from tests.support import TILL, WEB


class TestSqliteStore(StoreContract):
    """On disk."""

    @pytest.fixture
    def store(self, make_store: MakeStore) -> SqliteStore:
        store = make_store()
        for name in (WEB, TILL):
            store.register(name, "adobe-edge")
        return store
