"""Puts a reply on a connection: whole, late, in drips and pieces, with strays, or cut where a fault wants it cut."""

from __future__ import annotations

import socket
import struct
import threading

from edgequeue.emulator.contract import Answer, Request
from edgequeue.emulator.effects import Reply
from edgequeue.emulator.wire import render

CUTS = ("body", "headers", "reset")
"""Endings in the middle of the answer."""
_RST_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for no seconds: what is unsent is thrown away, RST goes out


def send(connection: socket.socket, cut: threading.Event, reply: Reply, request: Request) -> bool:
    """Send the reply with its waits. False: the connection is over, and the caller closes it."""
    if reply.pieces is not None:
        for piece in reply.pieces:
            connection.sendall(piece)
        return False
    if reply.answer is None or (reply.wait_seconds and cut.wait(reply.wait_seconds)):
        return False
    data = reply.before + render(reply.answer, request.keep_alive, with_body=request.method != "HEAD")
    if reply.ending in CUTS:
        _cut(connection, reply.ending, data, reply.answer)
        return False
    if reply.drip_seconds:
        return _drip(connection, cut, data, reply.drip_seconds) and request.keep_alive
    connection.sendall(data if reply.stray_seconds else data + reply.stray)
    if reply.stray_seconds:
        if cut.wait(reply.stray_seconds):
            return False
        connection.sendall(reply.stray)
    if reply.ending == "next" and request.keep_alive:
        connection.recv(1, socket.MSG_PEEK)  # unread when the connection is closed: its sender hears RST
    return request.keep_alive and not reply.ending


def _cut(connection: socket.socket, ending: str, data: bytes, answer: Answer) -> None:
    head = data.index(b"\r\n\r\n") + 4
    if ending == "headers" or len(data) == head:  # nothing to cut in an answer without a body
        end = (data.index(b"\r\n") + head) // 2
    else:
        end = len(data) - (len(answer.body) + 1) // 2
    connection.sendall(data[:end])
    if ending == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)


def _drip(connection: socket.socket, cut: threading.Event, data: bytes, seconds: float) -> bool:
    for index in range(len(data)):
        connection.sendall(data[index : index + 1])
        if cut.wait(seconds):
            return False
    return True
