"""SQLite's write-ahead log as bytes: which frames can be believed, and what a damaged one hides. Pure.

Each frame's checksum begins with that of the frame before it, so SQLite stops at the first that does not fit, and what
was committed after it is gone without a word. Here each frame is tried from the *stored* checksum before it: one
damaged frame then hides nothing but itself (https://www.sqlite.org/fileformat2.html, section 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from struct import unpack_from
from typing import NamedTuple

HEADER_BYTES, FRAME_BYTES = 32, 24

_MAGIC = 0x377F0682
"""Its last bit says whether checksums are of big-endian words; a log that lost its header is taken to be little."""


class Frame(NamedTuple):
    """One page as the log has it. `commit`: the size of the database after it in pages, 0 within a transaction."""

    page: int
    commit: int
    at: int
    fits: bool


class Log(NamedTuple):
    """What a log holds. `pages`: where the newest version of each page begins; `stale`: pages of which a newer one was
    damaged; `size`: of the database, in pages; `fault`: what is wrong with the log, in words, "" where nothing is.
    """

    page_bytes: int
    pages: dict[int, int]
    stale: frozenset[int]
    size: int
    fault: str


EMPTY = Log(0, {}, frozenset(), 0, "")


def read_log(data: bytes, page_bytes: int | None) -> Log:
    """Read a log; `page_bytes` is the database's, for a log whose header is damaged."""
    if len(data) <= HEADER_BYTES:
        return EMPTY
    magic, _, size, _, salts, seed = *unpack_from(">4I", data), data[16:24], unpack_from(">2I", data, 24)
    order = ">" if magic & 1 else "<"
    headed = magic & ~1 == _MAGIC and _sum(data[:24], (0, 0), order) == seed
    if headed:
        size = 65536 if size == 1 else size
    elif page_bytes is None:
        return EMPTY
    else:
        size, order = page_bytes, "<"
        salts = _usual_salts(data, size)
    frames = list(_frames(data, size, salts, seed, order))
    if not headed and not any(frame.fits for frame in frames):
        return EMPTY
    return _view(frames, size, headed=headed)


def _usual_salts(data: bytes, page_bytes: int) -> bytes:
    """The salts that most frames bear: those of the log's last time around."""
    step = page_bytes + FRAME_BYTES
    found = Counter(bytes(data[at + 8 : at + 16]) for at in range(HEADER_BYTES, len(data) - step + 1, step))
    return found.most_common(1)[0][0] if found else b""


def _frames(data: bytes, page_bytes: int, salts: bytes, seed: tuple[int, int], order: str) -> Iterable[Frame]:
    """The frames of this time around the log. The first one that bears other salts, twice in a row, ends them."""
    step, strangers = page_bytes + FRAME_BYTES, 0
    for at in range(HEADER_BYTES, len(data) - step + 1, step):
        head = data[at : at + FRAME_BYTES]
        page, commit = unpack_from(">2I", head)
        ours = head[8:16] == salts and page > 0
        strangers = 0 if ours else strangers + 1
        if strangers > _STRANGERS_MAX:
            return
        stored = unpack_from(">2I", head, 16)
        fits = ours and _sum(data[at + FRAME_BYTES : at + step], _sum(head[:8], seed, order), order) == stored
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
    fault = "" if torn else "the log is damaged: " + (
        f"{sum(not frame.fits for frame in frames[: last + 1])} of its {last + 1} pages do not fit"
        if headed
        else "its header is overwritten"
    )
    return Log(page_bytes, pages, frozenset(stale), size, fault)


def _sum(data: bytes, seed: tuple[int, int], order: str) -> tuple[int, int]:
    """SQLite's checksum of a piece of the log (section 4.2)."""
    first, second = seed
    words = unpack_from(f"{order}{len(data) // 4}I", data)
    for index in range(0, len(words), 2):
        first = first + words[index] + second & 0xFFFFFFFF
        second = second + words[index + 1] + first & 0xFFFFFFFF
    return first, second
