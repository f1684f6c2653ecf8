"""SQLite's write-ahead log as bytes: which frames can be believed, and what a damaged one hides. Pure.

Each frame's checksum begins with that of the frame before it, so SQLite stops at the first that does not fit, and what
was committed after it is gone without a word. Here each frame is tried from the *stored* checksum before it: one
damaged frame then hides nothing but itself (https://www.sqlite.org/fileformat2.html, section 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from struct import unpack_from
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edgequeue.store.salvage.memory import Memory

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
    `fault`: what is wrong with the log, in words, "" where nothing is; `cut`: whether its end is missing.
    """

    page_bytes: int
    pages: dict[int, int]
    stale: frozenset[int]
    blind: bool
    size: int
    fault: str
    cut: bool = False


EMPTY = Log(0, {}, frozenset(), False, 0, "")

_BLOCK = 1 << 20


def read_log(read: Read, size: int, page_bytes: int, memory: Memory | None = None) -> Log:
    """Read a log of `size` bytes; `page_bytes` is the database's, for a log whose header is damaged. `memory`: what was
    left of the shared memory, where nobody has the log open.
    """
    if not size:
        return _gone("its log is missing", memory) if memory and memory.owes else EMPTY
    header = read(0, HEADER_BYTES).ljust(HEADER_BYTES, b"\0")
    magic, _, stated = unpack_from(">3I", header)
    order, salts, seed = ">" if magic & 1 else "<", header[16:24], unpack_from(">2I", header, 24)
    headed = magic & ~1 == _MAGIC and checksum(header[:24], (0, 0), order) == seed
    if headed:
        page_bytes = 65536 if stated == 1 else stated
    places = range(HEADER_BYTES, size - page_bytes - FRAME_BYTES + 1, page_bytes + FRAME_BYTES)
    if not headed:
        order, salts = "<", _usual_salts(read, places)
    frames = list(_frames(read, places, salts, seed, order))
    if not headed and not any(frame.fits for frame in frames):
        return _unreadable(read, size, memory)
    known = memory if memory and memory.salts == salts else None
    return _view(frames, page_bytes, known, headed=headed)


def _unreadable(read: Read, size: int, memory: Memory | None) -> Log:
    """A log with neither a header nor a page. Zeros are the room for one that was never begun, unless the shared memory
    knows better: its header is safe before the first page is written.
    """
    begun = size > HEADER_BYTES and any(any(read(at, _BLOCK)) for at in range(0, size, _BLOCK))
    if not begun and not (memory and memory.owes):
        return EMPTY
    return _gone("the log is damaged: nothing in it can be read", memory)


def _gone(fault: str, memory: Memory | None) -> Log:
    """No log, where there was one: the database is sound as it once was, unless it was about to change."""
    return EMPTY._replace(blind=not memory or memory.mixed, fault=fault, cut=True)


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
        fits = ours and checksum(data[FRAME_BYTES:], checksum(data[:8], seed, order), order) == stored
        yield Frame(page if ours else 0, commit if ours else 0, at + FRAME_BYTES, fits)
        seed = stored


_STRANGERS_MAX = 64
"""So many frames in a row may be overwritten by something else (64 KB of a card's block, at 1024 a page) before we
take it for what was left of the log's last time around."""


def _view(frames: list[Frame], page_bytes: int, memory: Memory | None, *, headed: bool) -> Log:
    """What the frames come to: SQLite's own reading where it is whole, else all that fits."""
    committed, copied, attempted = memory[:3] if memory else (0, 0, 0)
    first_bad = next((index for index, frame in enumerate(frames) if not frame.fits), len(frames))
    commits = [index for index, frame in enumerate(frames) if frame.commit]
    whole = max((index for index in commits if index < first_bad), default=-1)
    later = [index for index in commits if index > whole]
    # One transaction that is not all there is what a power cut leaves: it was never reported as committed. Two are
    # not: the second begins only once the first is safe. What the shared memory counts was committed as well.
    torn = len(later) < 2 and headed and whole + 1 >= committed
    last = whole if torn else max((index for index in later if frames[index].fits), default=whole)
    taken = frames[: max(last + 1, committed)]
    cut = len(taken) < committed
    if cut and len(taken) <= copied:  # the database has gone on from there
        return EMPTY._replace(blind=attempted > copied, fault=_fault(taken, committed, headed=headed), cut=True)
    if cut and whole == last and attempted <= whole + 1:  # what is left is the database as it once was, and sound
        taken = taken[: whole + 1]
    pages: dict[int, int] = {}
    stale: set[int] = set()
    size = 0
    for frame in taken:
        if frame.fits:
            pages[frame.page] = frame.at
            stale.discard(frame.page)
            size = frame.commit or size
        elif frame.page:
            stale.add(frame.page)
    blind = (cut and len(taken) > whole + 1) or any(not frame.page for frame in taken)
    fault = "" if torn else _fault(taken, committed, headed=headed)
    return Log(page_bytes, pages, frozenset(stale), blind, size, fault, cut)


def _fault(taken: list[Frame], committed: int, *, headed: bool) -> str:
    """What is wrong, in words."""
    if not headed:
        return "the log is damaged: its header is overwritten"
    count = max(len(taken), committed)
    bad = count - sum(frame.fits for frame in taken)
    return f"the log is damaged: {bad} of its {count} pages are missing or do not fit"


def checksum(data: bytes, seed: tuple[int, int], order: str) -> tuple[int, int]:
    """SQLite's checksum of a piece of the log (section 4.2)."""
    first, second = seed
    words = unpack_from(f"{order}{len(data) // 4}I", data)
    for index in range(0, len(words), 2):
        first = first + words[index] + second & 0xFFFFFFFF
        second = second + words[index + 1] + first & 0xFFFFFFFF
    return first, second
