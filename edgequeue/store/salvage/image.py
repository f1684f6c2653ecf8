"""The pages of a database as they stand in its file and its log together. Reads, and changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from edgequeue.store.connecting import PAGE_BYTES
from edgequeue.store.salvage.log import EMPTY, Log, read_log
from edgequeue.store.salvage.memory import Memory
from edgequeue.store.salvage.pages import HEADER_BYTES, KINDS, Unreadable, layout, page_size

SAMPLED_BYTES = 400 * 1024
"""How much of a file is tried as pages of each size, where its header does not tell it."""

_BLOCK = 1 << 20

_SIZES = tuple(512 << bit for bit in range(8))


class Image:
    """Pages by number, from 1. `stale` pages are older than the newest that was committed; `log` is empty where the
    log is left out. `memory`: what is known of the log besides (`read_memory`). A context manager.

    The files are read page by page, as a database may be larger than the memory; what the disk cannot read is no page.
    Not for a database that this process has open and goes on using: closing a file gives up SQLite's locks on it.
    """

    def __init__(self, database: Path, *, with_log: bool = True, memory: Memory | None = None) -> None:
        self._base = _File(database)
        self._frames = _File(database.with_name(f"{database.name}-wal") if with_log else None)
        named = page_size(self._base.read(0, HEADER_BYTES))
        guess = named or self._likely_size()
        self.log: Log = read_log(self._frames.read, self._frames.size, guess, memory)
        self.page_bytes = named or self.log.page_bytes or guess
        self.fits_log = not self.log.pages or self.log.page_bytes == self.page_bytes
        if not self.fits_log:
            self.log = EMPTY
        self.stale, self.blind = self.log.stale, self.log.blind
        self.count = max(-(-self._base.size // self.page_bytes), self.log.size, max(self.log.pages, default=0))
        first = self.page(1)
        stated = 0 if first is None or page_size(first[:100]) is None else int.from_bytes(first[28:32])
        self.missing = max(min(stated, 2 * self.count) - self.count, 0) if not self.log.pages else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._base.close()
        self._frames.close()

    def page(self, number: int) -> bytes | None:
        """A page, or None where there is none (a pointer to nowhere, a file cut short)."""
        at = self.log.pages.get(number)
        file = self._base if at is None else self._frames
        at = (number - 1) * self.page_bytes if at is None else at
        if number < 1:
            return None
        data = file.read(at, self.page_bytes)
        return data if len(data) == self.page_bytes else None

    def numbers(self) -> Iterator[int]:
        """Every page number that there is."""
        return iter(range(1, self.count + 1))

    def is_blank(self) -> bool:
        """Whether there is nothing but zeros, as some file systems leave of a file that was being written."""
        files = (self._base, self._frames)
        return all(not any(file.read(at, _BLOCK)) for file in files for at in range(0, file.size, _BLOCK))

    def _likely_size(self) -> int:
        """The smallest size at which the file's beginning reads about as well as at the best: where pages begin at
        every 1024 bytes, one begins at every 8192 as well.
        """
        begin = self._base.read(0, SAMPLED_BYTES)

        def score(size: int) -> int:
            return size * sum(is_page(begin[at : at + size]) for at in range(size, len(begin) - size + 1, size))

        scores = {size: score(size) for size in _SIZES}
        best = max(scores.values())
        return min(size for size in _SIZES if scores[size] * 2 >= best) if best else PAGE_BYTES


def is_page(data: bytes) -> bool:
    """Whether it reads as a page of a tree, all of whose cells are on it."""
    if data[0] not in KINDS:
        return False
    try:
        return all(8 <= at < len(data) for at in layout(data, 0).pointers)
    except Unreadable:
        return False


class _File:
    """A file that may be missing, or that the disk cannot read everywhere."""

    def __init__(self, path: Path | None) -> None:
        self._file: FileIO | None = None
        self.size = 0
        with suppress(FileNotFoundError):
            if path is not None:
                self._file = FileIO(path)
                self.size = os.fstat(self._file.fileno()).st_size

    def read(self, at: int, count: int) -> bytes:
        """Bytes from a place; fewer where the file ends or the disk fails."""
        if self._file is None:
            return b""
        try:
            self._file.seek(at)
            return self._file.read(count) or b""
        except OSError:
            return b""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
