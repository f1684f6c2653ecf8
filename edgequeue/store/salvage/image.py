"""The pages of a database as they stand in its file and its log together. Reads, and changes nothing."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from edgequeue.store.salvage.log import EMPTY, Log, read_log
from edgequeue.store.salvage.pages import KINDS, Unreadable, layout, page_size
from edgequeue.store.sqlite import PAGE_BYTES

SAMPLED_PAGES = 400
"""How many pages are tried for each size, where the header does not tell it."""

_SIZES = (PAGE_BYTES, 4096, 2048, 512, 8192, 16384, 32768, 65536)


class Image:
    """Pages by number, from 1. `stale` pages are older than the newest that was committed; `log` is empty where the
    log is left out. A context manager.

    The files are mapped, never loaded: a database may be larger than the memory. They must not be opened where this
    process has the database open: closing a file gives up the locks that SQLite has on it (see `aside.held_open`).
    """

    def __init__(self, database: Path, *, with_log: bool = True) -> None:
        self._base = _mapped(database)
        self._frames = _mapped(database.with_name(f"{database.name}-wal")) if with_log else b""
        named = page_size(self._base[:100])
        self.log: Log = read_log(self._frames, named or self._likely_size()) if len(self._frames) else EMPTY
        self.page_bytes = named or self.log.page_bytes or self._likely_size()
        self.fits_log = not self.log.pages or self.log.page_bytes == self.page_bytes
        if not self.fits_log:
            self.log = EMPTY
        self.stale = self.log.stale
        self.count = max(-(-len(self._base) // self.page_bytes), self.log.size, max(self.log.pages, default=0))
        first = self.page(1)
        stated = 0 if first is None or page_size(first[:100]) is None else int.from_bytes(first[28:32])
        self.missing = max(min(stated, 2 * self.count) - self.count, 0) if not self.log.pages else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._base, self._frames):
            if isinstance(one, mmap.mmap):
                one.close()

    def page(self, number: int) -> bytes | None:
        """A page, or None where there is none (a pointer to nowhere, a file cut short)."""
        at = self.log.pages.get(number)
        if at is not None:
            return self._frames[at : at + self.page_bytes]
        at = (number - 1) * self.page_bytes
        if number < 1 or at + self.page_bytes > len(self._base):
            return None
        return self._base[at : at + self.page_bytes]

    def numbers(self) -> Iterator[int]:
        """Every page number that there is."""
        return iter(range(1, self.count + 1))

    def _likely_size(self) -> int:
        """The size at which most of the file's beginning reads as pages of trees; the one we write, where none does."""

        def score(size: int) -> int:
            last = min(len(self._base), SAMPLED_PAGES * 1024)
            return size * sum(_is_page(self._base[at : at + size]) for at in range(size, last - size + 1, size))

        return max(_SIZES, key=score)


def _is_page(data: bytes) -> bool:
    if data[0] not in KINDS:
        return False
    try:
        return all(8 <= at < len(data) for at in layout(data, 0).pointers)
    except Unreadable:
        return False


def _mapped(path: Path) -> mmap.mmap | bytes:
    """A file's bytes; none where it is missing or empty. OSError where the disk cannot read it."""
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, ValueError):  # ValueError: an empty file cannot be mapped
        return b""
