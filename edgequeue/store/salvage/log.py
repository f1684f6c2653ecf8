"""SQLite's write-ahead log as bytes: which frames can be believed, and what a damaged one hides. Pure.

Each frame's checksum begins with that of the frame before it, so SQLite stops at the first that does not fit, and what
was committed after it is gone without a word. Here each frame is tried from the *stored* checksum before it: one
damaged frame then hides nothing but itself (https://www.sqlite.org/fileformat2.html, section 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from struct import unpack_from
from typing import NamedTuple

HEADER_BYTES, FRAME_BYTES = 32, 24

_MAGIC = 0x377F0682
"""Its last bit says whether checksums are of big-endian words; a log that lost its header is taken to be little."""


Read = Callable[[int, int], bytes]
"""Gives so many bytes from a place."""


class Frame(NamedTuple):
    """One page as the log has it. `commit`: the size of the database after it in pages, 0 within a transaction."""

    page: int
    commit: int
    at: int
    fits: bool


class Log(NamedTuple):
    """What a log holds. `pages`: where the newest version of each page begins; `stale`: pages of which a newer one was
    damaged; `blind`: whether damaged ones do not even say which page they were; `size`: of the database, in pages;
    `fault`: what is wrong with the log, in words, "" where nothing is.
    """

    page_bytes: int
    pages: dict[int, int]
    stale: frozenset[int]
    blind: bool
    size: int
    fault: str


EMPTY = Log(0, {}, frozenset(), False, 0, "")


def read_log(read: Read, size: int, page_bytes: int) -> Log:
    """Read a log of `size` bytes; `page_bytes` is the database's, for a log whose header is damaged."""
    if size <= HEADER_BYTES:
        return EMPTY
    header = read(0, HEADER_BYTES).ljust(HEADER_BYTES, b"\0")
    magic, _, stated = unpack_from(">3I", header)
    order, salts, seed = ">" if magic & 1 else "<", header[16:24], unpack_from(">2I", header, 24)
    headed = magic & ~1 == _MAGIC and _sum(header[:24], (0, 0), order) == seed
    if headed:
        page_bytes = 65536 if stated == 1 else stated
    places = range(HEADER_BYTES, size - page_bytes - FRAME_BYTES + 1, page_bytes + FRAME_BYTES)
    if not headed:
        order, salts = "<", _usual_salts(read, places)
    frames = list(_frames(read, places, salts, seed, order))
    if not headed and not any(frame.fits for frame in frames):
        return EMPTY
    return _view(frames, page_bytes, headed=headed)


def _usual_salts(read: Read, places: Iterable[int]) -> bytes:
    """The salts that most frames bear: those of the log's last time around."""
    found = Counter(read(at + 8, 8) for at in places)
    found.pop(bytes(8), None)  # of a log that was cut to nothing under a process that wrote on
    return found.most_common(1)[0][0] if found else b""


def _frames(read: Read, places: range, salts: bytes, seed: tuple[int, int], order: str) -> Iterator[Frame]:
    """The frames of this time around the log. Many in a row that bear other salts end them."""
    strangers = -len(places)  # however much is gone before the first
    for at in places:
        data = read(at, places.step).ljust(places.step, b"\0")
        page, commit = unpack_from(">2I", data)
        ours = data[8:16] == salts and page > 0
        strangers = 0 if ours else strangers + 1
        if strangers > _STRANGERS_MAX:
            return
        stored = unpack_from(">2I", data, 16)
        fits = ours and _sum(data[FRAME_BYTES:], _sum(data[:8], seed, order), order) == stored
        yield Frame(page if ours else 0, commit if ours else 0, at + FRAME_BYTES, fits)
        seed = stored


_STRANGERS_MAX = 64
"""So many frames in a row may be overwritten by something else (64 KB of a card's block, at 1024 a page) before we
take it for what was left of the log's last time around."""


def _view(frames: list[Frame], page_bytes: int, *, headed: bool) -> Log:
    """What the frames come to: SQLite's own reading where it is whole, else all that fits."""
    first_bad = next((index for index, frame in enumerate(frames) if not frame.fits), len(frames))
    commits = [index for index, frame in enumerate(frames) if frame.commit]
    whole = max((index for index in commits if index < first_bad), default=-1)
    later = [index for index in commits if index > whole]
    # One transaction that is not all there is what a power cut leaves: it was never reported as committed. Two are
    # not: the second begins only once the first is safe.
    torn = len(later) < 2 and headed
    last = whole if torn else max((index for index in later if frames[index].fits), default=whole)
    pages: dict[int, int] = {}
    stale: set[int] = set()
    size = 0
    for frame in frames[: last + 1]:
        if frame.fits:
            pages[frame.page] = frame.at
            stale.discard(frame.page)
            size = frame.commit or size
        elif frame.page:
            stale.add(frame.page)
    fault = (
        ""
        if torn
        else "the log is damaged: "
        + (
            f"{sum(not frame.fits for frame in frames[: last + 1])} of its {last + 1} pages do not fit"
            if headed
            else "its header is overwritten"
        )
    )
    blind = any(not frame.page for frame in frames[: last + 1])
    return Log(page_bytes, pages, frozenset(stale), blind, size, fault)


def _sum(data: bytes, seed: tuple[int, int], order: str) -> tuple[int, int]:
    """SQLite's checksum of a piece of the log (section 4.2)."""
    first, second = seed
    words = unpack_from(f"{order}{len(data) // 4}I", data)
    for index in range(0, len(words), 2):
        first = first + words[index] + second & 0xFFFFFFFF
        second = second + words[index + 1] + first & 0xFFFFFFFF
    return first, second
