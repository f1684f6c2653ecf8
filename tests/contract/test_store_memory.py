"""The store of tests keeps the same contract as the real one: what passes against it means something."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgequeue.testing import ManualClock, MemoryStore
from tests.contract.store import StoreContract
from tests.support import TILL, WEB


class TestMemoryStore(StoreContract):
    """In memory."""

    @pytest.fixture
    def store(self, clock: ManualClock) -> Iterator[MemoryStore]:
        store = MemoryStore(clock)
        for name in (WEB, TILL):
            store.register(name, "adobe-edge")
        yield store
        store.close()
