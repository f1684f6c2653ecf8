"""A TCP port that can go away and come back, and a thread for each connection. Knows nothing of HTTP.

While it is away the port stays bound without listening: clients are refused at once, and nobody else can take it.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

STOP_SECONDS = 2.0
"""How long `close` waits for threads in all (ours); they are cut loose first, so this is rarely used up."""
BACKLOG = 128
CONNECTIONS_MAX = 1_000
"""A thread each; a client beyond them is hung up on."""
_BREATHER_SECONDS = 0.05  # when accept fails, for example for want of file descriptors

Serve = Callable[[socket.socket, threading.Event], None]
"""Serves one connection until it ends. The event is set when the connection has been cut: waits must end then."""


class Listener:
    """Owns the port, the connections and their threads. All methods are thread-safe; open and close are idempotent."""

    def __init__(self, host: str, port: int, serve: Serve) -> None:
        self.host = host
        self.port = port  # 0 until opened: any free port
        self._serve = serve
        self._switch = threading.RLock()  # going up or down, one at a time
        self._socket: socket.socket | None = None
        self._wake: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._back: threading.Timer | None = None
        self._cut = threading.Event()
        self._guard = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}

    def open(self) -> None:
        """Bind and listen. OSError where the port is taken."""
        with self._switch:
            if self._socket is None:
                self._socket = self._bound()
                self.port = self._socket.getsockname()[1]
                self._listen()

    def close(self) -> None:
        """Release the port, cut all connections and wait for their threads, STOP_SECONDS at most."""
        with self._switch:
            timer = self._forget_timer()
            self._hang_up()
            if self._socket is not None:
                self._socket.close()
                self._socket = None
        with self._guard:
            threads = [*self._connections, *([timer] if timer else [])]
        deadline = time.monotonic() + STOP_SECONDS
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def go_offline(self, seconds: float | None = None) -> None:
        """Refuse connections and cut the open ones; listen again after that many seconds, None: when told."""
        with self._switch:
            if self._socket is None:
                return
            self._forget_timer()
            if self._acceptor is not None:
                self._hang_up()
                self._socket.close()
                self._socket = self._bound()
            if seconds is not None:
                self._back = threading.Timer(seconds, self._come_back)
                self._back.daemon = True
                self._back.start()

    def go_online(self) -> None:
        """Listen again on the same port."""
        with self._switch:
            self._forget_timer()
            if self._socket is not None and self._acceptor is None:
                self._listen()

    def _come_back(self) -> None:
        with self._switch:
            if self._back is threading.current_thread():  # else somebody has decided otherwise meanwhile
                self.go_online()

    def _forget_timer(self) -> threading.Timer | None:
        timer, self._back = self._back, None
        if timer is not None:
            timer.cancel()
        return timer

    def _bound(self) -> socket.socket:
        bound = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self.host, self.port))
            bound.setblocking(False)
        except BaseException:
            bound.close()
            raise
        return bound

    def _listen(self) -> None:
        assert self._socket is not None
        self._socket.listen(BACKLOG)
        self._cut = threading.Event()
        self._wake, woken = socket.socketpair()
        self._acceptor = threading.Thread(
            target=self._accept, args=(self._socket, woken, self._cut), name="emulator-accept", daemon=True
        )
        self._acceptor.start()

    def _hang_up(self) -> None:
        """Stop accepting, then cut what was accepted, in that order: no connection slips through."""
        if self._acceptor is not None and self._wake is not None:
            self._wake.close()
            self._acceptor.join()
            self._acceptor = self._wake = None
        self._cut.set()
        with self._guard:
            for connection in self._connections.values():
                with suppress(OSError):  # the other side may have been faster
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket, woken: socket.socket, cut: threading.Event) -> None:
        with woken, selectors.DefaultSelector() as selector:
            selector.register(listening, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while True:
                if woken in (key.fileobj for key, _ in selector.select()):
                    return
                try:
                    connection, _ = listening.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue
                except OSError:
                    cut.wait(_BREATHER_SECONDS)
                    continue
                self._start(connection, cut)

    def _start(self, connection: socket.socket, cut: threading.Event) -> None:
        if len(self._connections) >= CONNECTIONS_MAX:
            connection.close()
            return
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=self._run, args=(connection, cut), name="emulator-connection", daemon=True)
        with self._guard:
            self._connections[thread] = connection
        thread.start()

    def _run(self, connection: socket.socket, cut: threading.Event) -> None:
        try:
            self._serve(connection, cut)
        finally:
            with self._guard:  # closed under the lock: _hang_up must never touch a number that is somebody else's
                del self._connections[threading.current_thread()]
                connection.close()
