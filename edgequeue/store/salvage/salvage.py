"""The steps of a salvage in their order, for one process at a time."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from glob import escape
from pathlib import Path

from edgequeue.errors import StoreDamaged, StoreError, StoreFull
from edgequeue.store.identity import Identity, identity
from edgequeue.store.mark import read_mark
from edgequeue.store.salvage import states
from edgequeue.store.salvage.aside import alone, exchange, new_place, writers_out
from edgequeue.store.salvage.copying import proven, roots, strangers
from edgequeue.store.salvage.detect import Suspicion, suspicion
from edgequeue.store.salvage.image import Image
from edgequeue.store.salvage.rebuild import Salvage, rebuild
from edgequeue.store.salvage.shapes import SHAPES
from edgequeue.store.salvage.trees import Forest
from edgequeue.store.trouble import KEEP_IT, START_ANEW, translated
from edgequeue.views import MORE_LOST

log = logging.getLogger("edgequeue")

NOTHING_READ = "nothing in it could be read, so how many events it held is not known"


def salvage(
    database: Path,
    error: StoreDamaged,
    wall_ms: int,
    seen: Identity | None,
    *,
    was_open: bool = False,
    least_mark: int = 0,
) -> None:
    """Move a damaged database aside and put what can be read of it in its place.

    `seen` is the file that was found damaged; nothing is done where it is another one by now, because another process
    was faster. `was_open`: as a queue of ours, in this process. `least_mark` is a sequence that was given. Raises
    `error` where the file is somebody else's, or nothing shows that it ever was a queue; QueueBusy while another
    process is at it; StoreFull where the disk has no room for the copy.
    """
    if _is_strangers(database):
        raise error
    if not (was_open or _is_queue(database)):
        raise StoreDamaged(str(error).replace(KEEP_IT, START_ANEW)) from error
    with alone(database, opening=not was_open):
        if identity(database) != seen:
            return
        found = suspicion(database)
        with writers_out(database):
            made = _remade(database, error, found, wall_ms, least_mark)
    extra = {"action": "salvage", "events": made.events, "lost": made.lost, "place": str(made.place)}
    least = "at least " if made.reason.endswith(MORE_LOST) else ""
    back = f"{made.events:,} events salvaged, {least}{made.lost:,} lost" if made.events or made.lost else NOTHING_READ
    text = "%s was damaged (%s): %s; the old file is kept as %s"
    log.warning(text, database, made.reason, back, made.place.name, extra=extra)


def flaws(database: Path) -> str:
    """Which tables hold rows that cannot be right, in words; "" where all of them can. Reads the whole file."""
    with Image(database) as image:
        forest, places = Forest(image), roots(image)
        for name, shape in SHAPES.items():
            for _ in forest.walk(shape, places.get(name)):
                pass
        return states.gap_words(forest.gaps) if forest.bad_rows or forest.unread_pages else ""


def _is_strangers(database: Path) -> bool:
    """Whether it reads as a database of another program."""
    with Image(database, with_log=False) as image:
        return strangers(image)


def _is_queue(database: Path) -> bool:
    """Whether it ever was one of ours, with its log or without; else whether nothing in it is anybody's, or a mark or a
    worker's lease tells of a queue of this name.
    """
    if read_mark(database) is not None:
        return True
    for with_log in (True, False):
        with Image(database, with_log=with_log) as image:
            if proven(image):
                return True
            if with_log and image.is_blank():
                return True
    return any(database.parent.glob(f"{escape(database.name)}.*.lease"))


def _remade(database: Path, error: StoreDamaged, found: Suspicion | None, wall_ms: int, least_mark: int) -> Salvage:
    part, place = database.with_name(f"{database.name}.salvaging"), new_place(database)
    try:
        with translated(part):
            seen = found or Suspicion(_words(error))
            kept = place if database.exists() else Path(f"{place}-wal")
            made = rebuild(database, part, kept, seen, wall_ms=wall_ms, least_mark=least_mark)
        exchange(database, part, place)
    except StoreFull as full:
        text = f"{database}: damaged, and the disk has no room for a copy of what can be read"
        raise StoreFull(f"{text}. Free some space: it is tried again, and nothing is deleted") from full
    except OSError as failed:
        text = f"{database}: damaged, and it could not be salvaged ({failed.strerror or failed})"
        raise StoreError(f"{text}. Check the disk and the directory's owner; nothing was deleted") from failed
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                Path(f"{part}{suffix}").unlink()
    return made


def _words(error: StoreDamaged) -> str:
    """What the driver says, else what we do, without the path and the remedy."""
    if error.__cause__ is not None:
        return str(getattr(error.__cause__, "orig", error.__cause__))
    found = re.search(r"damaged \((.+)\)\. ", str(error))
    return found[1] if found else str(error)
