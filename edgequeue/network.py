"""Whether the machine's network comes or changes, as Linux tells it: an address, a route, a link that came up.

The kernel sends a message for each change to a netlink socket (rtnetlink(7), netlink(7)), so nobody has to ask again
and again: the thread sleeps until there is something to tell. A change says that a try may be worth it, no more: the
network may be there and the service not, and a router's renewal of an address looks like a new one.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable

log = logging.getLogger("edgequeue")

FOLD_SECONDS = 1.0
"""How often `changed` is called while changes go on, and how long no change makes the end of them."""

CLOSE_SECONDS = 5.0
"""How long `close` waits for a `changed` that is running."""

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length with itself, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, which of them changed

_OVERRUN, _NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE = 4, 16, 20, 24
"""NLMSG_OVERRUN (linux/netlink.h), RTM_NEWLINK, RTM_NEWADDR and RTM_NEWROUTE (linux/rtnetlink.h)."""

_WORKS = 0x1 | 0x40
"""IFF_UP | IFF_RUNNING (linux/if.h): switched on, and the other end is there."""

_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE (linux/rtnetlink.h)."""

_MESSAGE_BYTES_MAX = 65536
_MESSAGES_MAX = 64  # read in one go; what is left wakes the thread again


def brings_network(data: bytes) -> bool:
    """Whether netlink messages, one after another, tell of something that is there now and was not, or not so.

    Never raises: what is no message, or a part of one, tells nothing. A lost message (overrun) may have told of it.
    """
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            break  # what follows cannot be found
        if kind in (_OVERRUN, _NEW_ADDRESS, _NEW_ROUTE):
            return True
        body = offset + _HEADER.size
        if kind == _NEW_LINK and length >= _HEADER.size + _LINK.size and body + _LINK.size <= len(data):
            _, _, _, flags, _ = _LINK.unpack_from(data, body)
            if flags & _WORKS == _WORKS:
                return True
        offset += (length + 3) & ~3  # each begins at a multiple of four bytes
    return False


class Fold:
    """Makes one call of many changes. Times are seconds of any steady clock, and arguments.

    The first change calls at once. Those that follow call once in `FOLD_SECONDS`, and the last of them once more when
    it has been quiet for as long; so each is followed by a call within twice that time.
    """

    def __init__(self) -> None:
        self._called: float | None = None
        self._owed: float | None = None

    def change(self, now: float) -> bool:
        """There was a change; whether to call now."""
        if self._called is not None and now - self._called < FOLD_SECONDS:
            self._owed = now
            return False
        self._called, self._owed = now, None
        return True

    def wait_seconds(self, now: float) -> float | None:
        """How long nothing has to be done unless there is a change; None: for ever."""
        return None if self._owed is None else max(self._owed + FOLD_SECONDS - now, 0.0)

    def quiet(self, now: float) -> bool:
        """There was none; whether to call now, for the last one."""
        if self._owed is None or now - self._owed < FOLD_SECONDS:
            return False
        self._called, self._owed = now, None
        return True


def listen() -> socket.socket | None:
    """What the kernel tells of changes; None where it does not: another system, or a process that may not ask."""
    if sys.platform != "linux":
        return None
    found: socket.socket | None = None
    try:
        found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        found.bind((0, _GROUPS))
    except OSError as error:  # a sandbox: systemd's RestrictAddressFamilies, seccomp
        log.debug("changes of the network are not told here: %s", error)
        if found is not None:
            found.close()
        return None
    return found


class NetworkWatch:
    """Calls `changed` when the machine's network comes or changes, from a thread of its own, until it is closed.

    What `changed` raises is logged and stops nothing. A process that was forked has no watch until it starts
    one, whatever its parent had; its copy does nothing to the parent's. `source` makes the socket that tells.
    """

    def __init__(self, changed: Callable[[], None], *, source: Callable[[], socket.socket | None] = listen) -> None:
        self._changed = changed
        self._source = source
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        """What belongs to one process: a fork copies neither threads nor who holds a lock, and shares the pipe."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = -1

    def start(self) -> bool:
        """Begin; False where the platform cannot tell, or after `close`: nothing else happens. Twice is once."""
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            if self._closed or self._thread is not None:
                return not self._closed
            found = self._source()
            if found is None:
                return False
            try:
                found.setblocking(False)
                woken, self._wake = os.pipe()
            except OSError:  # out of files: the worker goes by its clock alone
                found.close()
                return False
            thread = threading.Thread(target=self._watch, args=(found, woken), name="edgequeue-network", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # out of threads
                self._let_go(found, woken)
                return False
            self._thread = thread
        return True

    def close(self) -> None:
        """End the thread and wait for it, `CLOSE_SECONDS` at most if `changed` is running. Idempotent."""
        if self._process != os.getpid():
            self._begin()  # the pipe is the parent's too: a byte in it would end the parent's watch
        with self._lock:
            self._closed = True
            thread = self._thread
            if self._wake >= 0:
                os.write(self._wake, b"x")
        if thread is not None and thread is not threading.current_thread():
            thread.join(CLOSE_SECONDS)

    # --- in its own thread -------------------------------------------------------------------------------------------

    def _watch(self, found: socket.socket, woken: int) -> None:
        fold = Fold()
        waiting = select.poll()
        waiting.register(found, select.POLLIN)
        waiting.register(woken, select.POLLIN)
        try:
            while True:
                seconds = fold.wait_seconds(time.monotonic())
                waiting.poll(None if seconds is None else seconds * 1000 + 1)
                if self._closed:
                    return
                news = read_news(found)
                now = time.monotonic()
                if fold.change(now) if news else fold.quiet(now):
                    self._call()
        except OSError:
            log.warning("changes of the network are not watched any more", exc_info=True)
        finally:
            with self._lock:
                self._let_go(found, woken)

    def _let_go(self, found: socket.socket, woken: int) -> None:
        found.close()
        os.close(woken)
        os.close(self._wake)
        self._wake = -1

    def _call(self) -> None:
        try:
            self._changed()
        except Exception:
            log.exception("what was told of a change of the network failed")


def read_news(found: socket.socket) -> bool:
    """Read what is there; whether it tells of a change. OSError when the socket can no longer be read."""
    news = False
    for _ in range(_MESSAGES_MAX):
        try:
            data = found.recv(_MESSAGE_BYTES_MAX)
        except BlockingIOError:
            break
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # more came than there was room for: something changed
                raise
            news = True
            continue
        news = brings_network(data) or news
    return news
