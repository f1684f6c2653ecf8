"""Faults that lie in the bytes: interim answers, absurd sizes, cuts, strays, connections that die. Over raw sockets."""

from __future__ import annotations

import json
import re
import socket
import zlib

import httpx
import pytest

from edgequeue.emulator import Fault, parse_fault

WHOLE = b"HTTP/1.1 202 Accepted"


@pytest.mark.parametrize(
    ("form", "lines"),
    [("100", [b"100"]), ("102", [b"102"]), ("103", [b"103"]), ("many", [b"100", b"102", b"103", b"103"])],
)
def test_interim_answers_come_before_the_real_one(emulator, said, form, lines):
    """One or several of 1xx, then the answer; accepted."""
    emulator.add_fault(Fault("informational", form=form))
    *interim, final, _ = said(emulator, "a").split(b"\r\n\r\n")
    assert [one.split(b" ")[1] for one in interim] == lines
    assert final.startswith(WHOLE)
    assert emulator.arrived.ids == ("a",)


def test_switching_protocols_alone_is_no_answer(emulator, said):
    """101 and the end; nothing accepted."""
    emulator.add_fault(Fault("informational", form="switching"))
    answer = said(emulator)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(b"\r\n\r\n")
    assert (emulator.arrived.events, emulator.requests[0].status) == (0, 101)


def test_a_huge_body_is_announced_and_sent(emulator, collect, edge_event):
    """As many bytes as asked for, with a length or in chunks; it begins as a right answer would."""
    for form in ("body", "chunked"):
        emulator.add_fault(Fault("huge", form=form, bytes=200_001))
        answer = collect(emulator, edge_event())
        assert (answer.status_code, len(answer.content)) == (200, 200_001)
        assert answer.content.startswith(b'{"requestId":"0')
        assert answer.headers.get("content-length") == ("200001" if form == "body" else None)
    assert emulator.arrived.events == 0


def test_a_huge_body_may_be_small_on_the_wire(emulator, said):
    """Packed with gzip, a thousandth of it travels."""
    emulator.add_fault(Fault("huge", form="gzip", bytes=5_000_000))
    raw = said(emulator)
    assert len(raw) < 50_000
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    packed = b""
    while size := int((line := body.partition(b"\r\n"))[0], 16):
        packed, body = packed + line[2][:size], line[2][size + 2 :]
    assert len(zlib.decompress(packed, wbits=31)) == 5_000_000


def test_a_client_may_leave_a_huge_answer(emulator, said, collect, edge_event):
    """By default far more is sent than is read here; the emulator minds neither that nor the end."""
    for form in ("body", "headers"):
        emulator.add_fault(Fault("huge", form=form))
        assert len(said(emulator, most=1_000_000)) >= 1_000_000
    assert collect(emulator, edge_event("a")).status_code == 202
    assert emulator.arrived.ids == ("a",)


def test_endless_header_lines_have_no_end(emulator, said):
    """Header lines only, up to the size asked for; the head is never finished."""
    emulator.add_fault(Fault("huge", form="headers", bytes=300_000))
    raw = said(emulator)
    assert len(raw) > 300_000
    assert b"\r\n\r\n" not in raw


@pytest.mark.parametrize(("form", "headers_end"), [("body", True), ("headers", False)])
def test_an_answer_may_end_in_its_middle(emulator, said, form, headers_end):
    """Accepted, but the client does not get to hear all of it."""
    emulator.add_fault(Fault("cut_during", form=form))
    raw = said(emulator, "a")
    assert raw.startswith(WHOLE + b"\r\n")
    assert (b"\r\n\r\n" in raw) is headers_end
    assert not raw.endswith(b"}")
    assert emulator.arrived.ids == ("a",)


def test_a_connection_may_be_reset_in_the_middle(emulator, said):
    """RST in place of FIN: the socket fails instead of ending."""
    emulator.add_fault(Fault("cut_during", form="reset"))
    with pytest.raises(ConnectionResetError):
        said(emulator, "a")
    assert emulator.arrived.ids == ("a",)


def test_a_silent_answer_is_cut_in_its_headers(emulator, client, edge_event):
    """There is no body to cut."""
    emulator.add_fault(Fault("cut_during"))
    url = f"{emulator.url}/ee/v2/collect?dataStreamId=w&silent=true"
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(url, json={"events": [edge_event("a")]})
    assert emulator.arrived.ids == ("a",)


def test_what_is_no_http_is_no_answer(emulator, said):
    """Another service's greeting; the request has no status."""
    emulator.add_fault(Fault("garbage", form="not_http"))
    assert said(emulator).startswith(b"SSH-2.0-")
    assert (emulator.requests[0].status, emulator.arrived.events) == (None, 0)


def test_a_body_without_a_length_ends_with_the_connection(emulator, collect, edge_event):
    """HTTP cannot tell that half of it is missing, only JSON can."""
    emulator.add_fault(Fault("garbage", form="no_length"))
    answer = collect(emulator, edge_event())
    assert "content-length" not in answer.headers
    with pytest.raises(ValueError):
        json.loads(answer.content)
    assert emulator.arrived.events == 0


def test_a_chunked_body_may_lack_its_end(emulator, collect, said, edge_event):
    """The JSON is whole, but the last chunk never comes."""
    emulator.add_fault(Fault("garbage", form="chunked_broken", times=2))
    with pytest.raises(httpx.RemoteProtocolError):
        collect(emulator, edge_event())
    assert said(emulator).endswith(b'"}\r\n')
    assert emulator.arrived.events == 0


@pytest.mark.parametrize(
    ("fault", "stray"),
    [("stray", b"HTTP/1.1 400 "), ("stray:form=later:seconds=0.001", b"HTTP/1.1 400 "), ("stray:form=bytes", b"\x80")],
)
def test_stray_bytes_follow_the_right_answer(emulator, said, fault, stray):
    """Accepted, and then there is more on the connection than was asked for."""
    emulator.add_fault(parse_fault(fault))
    raw = said(emulator, "a")
    end = raw.index(b'"}') + 2
    assert raw.startswith(WHOLE)
    assert raw[end:].startswith(stray)
    assert emulator.arrived.ids == ("a",)


def test_the_connection_lives_on_after_a_stray_answer(emulator):
    """Whoever keeps it has to see that there is an answer too many: the next one comes after it."""
    emulator.add_fault(Fault("stray"))
    request = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        connection.sendall(request + request.replace(b"Host", b"Connection: close\r\nHost"))
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", raw) == [b"404", b"400", b"404"]
    assert len(emulator.requests) == 2


@pytest.mark.parametrize("form", ["now", "next"])
def test_a_kept_connection_may_be_dead_when_it_is_used_again(emulator, form):
    """The answer promises keep-alive; the next request on the connection is not read, nor counted."""
    emulator.add_fault(Fault("idle_close", form=form))
    request = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        connection.sendall(request)
        first = connection.recv(65536)
        assert b"onnection: close" not in first
        if form == "next":
            connection.sendall(request)
            with pytest.raises(ConnectionResetError):
                connection.recv(65536)
        else:
            assert connection.recv(65536) == b""
    assert len(emulator.requests) == 1
