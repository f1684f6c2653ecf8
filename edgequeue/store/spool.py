"""Where a bulk put waits until all of it was checked: in memory, and beyond that in a temporary file."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Iterator
from errno import ENOSPC
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from edgequeue.errors import StoreError, StoreFull
from edgequeue.model import Draft

CHUNK_EVENTS, CHUNK_BYTES = 256, 256 * 1024
"""A bulk put goes to the driver in chunks of this size, whichever comes first; larger ones are no faster and take more
memory."""

CHUNKS_IN_MEMORY = 8
"""`put_many` keeps so many chunks and the rest in a temporary file: a bulk put must not need its size in RAM."""


class Spool:
    """Drafts read once and kept, beyond `CHUNKS_IN_MEMORY` in a temporary file that is gone when this is closed.

    The file is read chunk by chunk: `marshal.load` on it reads every number and text apart, 4.3 us per event for 0.8.
    """

    def __init__(self, drafts: Iterable[Draft], path: Path) -> None:
        self._path = path
        self.size = 0  # bytes of all payloads
        self._kept: list[list[Draft]] = []
        self._sizes: list[int] = []
        self._file: BinaryIO | None = None
        try:
            self._read(drafts)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def chunks(self) -> Iterator[list[Draft]]:
        """The drafts in order, a chunk at a time."""
        yield from self._kept
        if self._file is not None:
            self._file.seek(0)
            for size in self._sizes:
                yield marshal.loads(self._file.read(size))  # noqa: S302 (our own bytes, written a moment ago)

    def _read(self, drafts: Iterable[Draft]) -> None:
        chunk: list[Draft] = []
        size = 0
        for draft in drafts:
            chunk.append(draft)
            size += len(draft.payload)
            self.size += len(draft.payload)
            if len(chunk) == CHUNK_EVENTS or size >= CHUNK_BYTES:
                self._keep(chunk)
                chunk, size = [], 0
        if chunk:
            self._keep(chunk)

    def _keep(self, chunk: list[Draft]) -> None:
        if len(self._kept) < CHUNKS_IN_MEMORY:
            self._kept.append(chunk)
            return
        try:
            if self._file is None:  # beside the database: the usual place for such files is memory on many devices
                self._file = TemporaryFile(dir=self._path.parent)  # noqa: SIM115 (closed by __exit__)
            self._sizes.append(self._file.write(marshal.dumps([tuple(draft) for draft in chunk])))
            self._file.flush()
        except OSError as error:
            kind = StoreFull if error.errno == ENOSPC else StoreError
            raise kind(f"{self._path.parent}: no room for what is to be enqueued: {error.strerror}") from error
