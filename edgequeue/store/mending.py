"""A store object that outlives its file: where the database is found damaged, or replaced by another process that found
it so, it is salvaged, opened anew, and what was asked for is done then.
"""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

from edgequeue.clock import Clock
from edgequeue.errors import EdgeQueueError, FileReplaced, NotAQueue, QueueBusy, StoreDamaged
from edgequeue.lazily import importing
from edgequeue.store.forking import OPEN
from edgequeue.store.identity import Identity, identity
from edgequeue.store.ids import QueueIds
from edgequeue.store.intake import Intake
from edgequeue.store.opening import TURN, salvaging
from edgequeue.store.schema import create_file
from edgequeue.store.sqlite import Database
from edgequeue.store.trouble import KEEP_IT

log = logging.getLogger("edgequeue")

AGAIN_SECONDS, AGAIN_SECONDS_MAX = 1.0, 600.0
"""After a salvage the next one waits so long, and twice as long after each further one: it reads the whole file, and
keeps one more. A disk that damages what it was just given is not to be filled with copies."""

STANDSTILL_SECONDS = 30.0
"""How long the threads of this process that are writing may take to end their commits."""

ODD = (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError)
"""What comes of a row with another kind of value in it than was written: SQLite checks none of it when it reads."""

Method = TypeVar("Method", bound=Callable[..., Any])


class Mending:
    """What can be mended: `generation` grows with each file that the object has had."""

    _database: Database
    _device_clock: Clock
    _ids: QueueIds
    _intake: Intake
    generation = 0
    _again_at = 0.0
    _patience = AGAIN_SECONDS

    @abstractmethod
    def reopen(self) -> None:
        """Read the books of the file that is there now."""

    @abstractmethod
    def verify(self) -> None:
        """A quick check. StoreDamaged for what it finds."""

    @abstractmethod
    def vouch(self) -> None:
        """The file is sound: the mark may say what it says."""

    @abstractmethod
    def wall_ms(self) -> int:
        """The device's wall clock."""

    def mend(self, error: StoreDamaged | FileReplaced, seen: int) -> None:
        """Return when there is a sound file again; raise `error` where there is none to be had."""
        if isinstance(error, NotAQueue) or self._database.closed or not self._database.writable:
            raise error
        if isinstance(error, StoreDamaged) and (newer := self._database.outgrown()) is not None:
            raise newer from error
        with TURN.lock, _standstill(self._database):
            if self.generation != seen:
                return
            known, before, unsent = self._database.identity, self._ids, self._database.unsent()
            try:
                strayed = identity(self._database.path) == known and self._database.has_strayed()
                if isinstance(error, StoreDamaged) and not strayed:
                    self._salvage(error, known)
                    self._database.abandon()
                    self.reopen()
                else:
                    if strayed:
                        with importing():
                            from edgequeue.store.strayed import bring_home

                        bring_home(self._database)
                    self._database.abandon()
                    salvaging(self._database.path, self._open_anew, self._device_clock)
            except BaseException:
                self._database.abandon(known)  # whatever is there, it is not open: the next use tries again
                raise
            self.vouch()
            self.generation += 1
            _say(self._database.path, before, self._ids, unsent)

    def come_home(self, seen: int) -> None:
        """What was committed stands in a log that was deleted: copy it back. The log says where that cannot be done."""
        try:
            self.mend(FileReplaced(f"{self._database.path}: its log was deleted"), seen)
        except EdgeQueueError as error:
            log.error("%s; what was enqueued is in a log that was deleted, and is safe while this runs", error)

    def _open_anew(self, *, checked: bool) -> None:
        """Open what has the file's name now; where nothing has, a new queue."""
        try:
            create_file(self._database.path)
            self.reopen()
            if checked:
                self.verify()
        except BaseException:
            self._database.let_go()
            self._database.identity = None  # what is salvaged now has another file
            raise

    def mend_rows(self, error: Exception, seen: int) -> None:
        """An error that no sound row leads to: where rows are found that cannot be right, that is damage too."""
        if isinstance(error, EdgeQueueError) or time.monotonic() < self._again_at or not self._database.writable:
            raise error
        with importing():
            from edgequeue.store.salvage.salvage import flaws

        found = flaws(self._database.path)
        self._database.let_go()  # reading the file gave up SQLite's locks on it
        if not found:
            self._wait_for_the_next()
            raise error
        self.mend(StoreDamaged(f"{self._database.path}: the database is damaged (in {found}). {KEEP_IT}"), seen)

    def _wait_for_the_next(self) -> None:
        now = time.monotonic()
        if now - self._again_at > AGAIN_SECONDS_MAX:
            self._patience = AGAIN_SECONDS
        self._again_at = now + self._patience
        self._patience = min(2 * self._patience, AGAIN_SECONDS_MAX)

    def _salvage(self, error: StoreDamaged, known: Identity | None) -> None:
        with importing():
            from edgequeue.store.salvage.salvage import salvage

        left = self._again_at - time.monotonic()
        if left > 0:
            text = (
                f"{self._database.path}: the database is damaged again, so soon after a salvage that the next one waits"
            )
            raise StoreDamaged(
                f"{text} {left:.0f} s; nothing is deleted. Check the card or disk, and try then"
            ) from error
        self._wait_for_the_next()
        try:
            mark = self._intake.last_sequence
            salvage(self._database.path, error, self.wall_ms(), known, was_open=True, least_mark=mark)
        except QueueBusy:
            self._again_at = 0.0
            raise
        except Exception:
            self._database.let_go()  # reading the file gave up SQLite's locks on it
            raise


def _say(path: Path, before: QueueIds, now: QueueIds, unsent: int | None) -> None:
    """What a file was replaced by. After a salvage of our own its line in the log has said more."""
    extra = {"action": "replaced", "unsent": unsent}
    many = "those" if unsent is None else f"{unsent:,}"
    if now.current == before.current:
        log.warning("%s was opened again: other files have its names now, of the same queue", path, extra=extra)
    elif before.current in now:
        log.info("%s was salvaged: it goes on in the new file", path, extra=extra)
    elif unsent == 0:
        text = "%s was deleted or replaced while it was open; nothing in it waited. It goes on in the new one"
        log.warning(text, path, extra=extra)
    else:
        text = (
            "%s was deleted or replaced while it was open, and with it %s events that had not been delivered. What is "
            "enqueued from now on is in the file that is there now. Stop all that uses a queue before moving its files"
        )
        log.error(text, path, many, extra=extra)


@contextmanager
def _standstill(database: Database) -> Iterator[None]:
    """No thread of this process is in the middle of a commit to that file: SQLite's locks keep out other processes
    only.
    """
    with ExitStack() as stack:
        for other in [database, *(one for one in OPEN if isinstance(one, Database) and one is not database)]:
            if other.path == database.path and not other.closed:
                if not other.write_turn.acquire(timeout=STANDSTILL_SECONDS):
                    raise other.busy()
                stack.callback(other.write_turn.release)
        yield


def mending(method: Method) -> Method:
    """A method that is done again when the file had to be mended for it."""

    @wraps(method)
    def done(self: Mending, *values: Any, **named: Any) -> Any:
        seen = self.generation
        try:
            found = method(self, *values, **named)
            if self._database.astray:
                self.come_home(seen)
            return found
        except (StoreDamaged, FileReplaced) as error:
            self.mend(error, seen)
        except ODD as error:
            self.mend_rows(error, seen)
        return method(self, *values, **named)

    return cast(Method, done)


def mending_pages(method: Method) -> Method:
    """The same for what is read in pages: begun anew only while nothing has been handed out."""

    @wraps(method)
    def pages(self: Mending, *values: Any, **named: Any) -> Iterator[Any]:
        seen, begun = self.generation, False
        try:
            for one in method(self, *values, **named):
                begun = True
                yield one
            return
        except (StoreDamaged, FileReplaced) as error:
            self.mend(error, seen)
            if begun:
                raise
        except ODD as error:
            self.mend_rows(error, seen)
            if begun:
                raise
        yield from method(self, *values, **named)

    return cast(Method, pages)
