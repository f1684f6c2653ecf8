"""The emulator as a server: connections, going away and coming back, what it remembers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

import edgequeue.emulator
from edgequeue.emulator import Emulator, Fault

ROOT = Path(edgequeue.emulator.__file__).parents[2]


def dialogue(emulator, data):
    """What the server says to these bytes until it closes."""
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_the_package_needs_nothing_but_itself_and_the_standard_library():
    """It can disagree with the client only if it shares no code with it, and it has to start at once."""
    code = (
        "import sys, edgequeue.emulator\n"
        "own = {m for m in sys.modules if m.startswith('edgequeue.')}\n"
        "allowed = {m for m in own if m.startswith('edgequeue.emulator') or m == 'edgequeue._version'}\n"
        "foreign = {'httpx', 'rich', 'click', 'orjson', 'sqlalchemy', 'backoff', 'alembic'} & set(sys.modules)\n"
        "sys.exit(str(own - allowed | foreign) if own - allowed | foreign else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_one_connection_serves_many_requests(emulator, collect, edge_event):
    """Keep-alive with exact lengths: requests follow each other on one connection, errors included."""
    collect(emulator, edge_event())
    collect(emulator, {"xdm": {}})
    assert collect(emulator, edge_event()).status_code == 202
    assert sum(thread.name == "emulator-connection" for thread in threading.enumerate()) == 1


def test_pipelined_requests_are_answered_in_order(emulator):
    """Bytes that came early are kept for the next request; Connection: close ends the connection."""
    said = dialogue(
        emulator,
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    assert said.count(b"HTTP/1.1 404") == 2
    assert said.index(b'"/a"') < said.index(b'"/b"')
    assert emulator.unknown_paths == {"/a": 1, "/b": 1}


def test_a_chunked_body_is_read(emulator, client, edge_event):
    """Clients that stream do not announce a length."""
    content = json.dumps({"events": [edge_event("a")]}).encode()
    url = f"{emulator.url}/ee/v2/collect?dataStreamId=w"
    parts = iter([content[:10], content[10:]])
    assert client.post(url, content=parts, headers={"content-type": "application/json"}).status_code == 202


def test_a_client_that_asks_first_is_told_to_go_on(emulator):
    """curl asks with Expect: 100-continue before it sends a long body."""
    head = b"POST /x HTTP/1.1\r\nContent-Length: 0\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    assert dialogue(emulator, head).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", 413),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, 431),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_ends(emulator, data, status):
    """No input makes the emulator hang, grow or fall over."""
    assert dialogue(emulator, data).startswith(b"HTTP/1.1 %d " % status)


def test_unknown_paths_and_methods_are_told_apart(emulator, client):
    """404 for a path nobody has, 405 with Allow for a method it has not; both as JSON, and both are remembered."""
    unknown = client.post(f"{emulator.url}/ee/v1/collect", json={})
    for path in ("/ee/v2/collect", "/collection/till", "/collection/batch/till", "/_emulator/arrived"):
        method = "PUT" if path.startswith("/_emulator") else "GET"
        answer = client.request(method, emulator.url + path)
        assert (answer.status_code, answer.json()["status"]) == (405, 405)
        assert answer.headers["allow"] in ("POST", "GET")
    assert (unknown.status_code, unknown.json()["status"]) == (404, 404)
    assert client.get(f"{emulator.url}/_emulator/nothing").status_code == 404
    assert [(seen.method, seen.status) for seen in emulator.requests] == [("POST", 404)] + [("GET", 405)] * 3
    assert emulator.unknown_paths == {"/ee/v1/collect": 1}


def test_head_is_answered_without_a_body(emulator, client):
    """A body after HEAD would be taken for the next answer."""
    assert client.head(f"{emulator.url}/ee/v2/collect").status_code == 405
    assert client.head(f"{emulator.url}/ee/v2/collect").content == b""


def test_arrivals_are_counted_by_id_in_order(emulator, collect, edge_event):
    """Events are distinct, duplicates or without an _id; the three add up to all arrivals."""
    collect(emulator, edge_event("b"), edge_event("a"), edge_event(None))
    collect(emulator, edge_event("a"), edge_event("a"))
    arrived = emulator.arrived
    assert (arrived.events, arrived.distinct, arrived.duplicates, arrived.anonymous) == (5, 2, 2, 1)
    assert arrived.by_id == {"b": 1, "a": 3}
    assert arrived.ids == ("b", "a")
    assert [seen.events for seen in emulator.requests] == [3, 2]
    assert len(emulator.payloads) == 5


def test_one_id_at_both_services_is_no_duplicate(emulator, collect, batch, edge_event, dccs_message):
    """Sending an event to two services is not sending it twice."""
    collect(emulator, edge_event("a"), edge_event("b"))
    batch(emulator, dccs_message("a"))
    arrived = emulator.arrived
    assert (arrived.events, arrived.distinct, arrived.duplicates) == (3, 3, 0)
    assert arrived.by_id == {"a": 2, "b": 1}
    assert emulator.arrived_at("edge").ids == ("a", "b")
    assert emulator.arrived_at("dccs").by_id == {"a": 1}


def test_payloads_are_kept_only_when_asked_for(collect, edge_event):
    """None by default, the last few with a number, so that memory stays modest."""
    for keep, kept in ((False, []), (2, ["b", "c"]), (True, ["a", "b", "c"])):
        with Emulator(keep_payloads=keep) as emulator:
            collect(emulator, edge_event("a"), edge_event("b"), edge_event("c"))
            assert [event["xdm"]["_id"] for event in emulator.payloads] == kept


def test_reset_forgets_arrivals_but_not_faults(emulator, collect, client, edge_event):
    """Each of the two has its own way of being cleared, in Python and over HTTP."""
    emulator.add_fault(Fault("status", service="dccs"))
    collect(emulator, edge_event())
    emulator.reset()
    assert (emulator.arrived.events, emulator.requests, emulator.payloads) == (0, [], [])
    collect(emulator, edge_event())
    client.post(f"{emulator.url}/_emulator/reset")
    assert emulator.arrived.events == 0
    assert len(client.get(f"{emulator.url}/_emulator/faults").json()["faults"]) == 1


def test_what_arrived_can_be_asked_over_http(emulator, collect, client, edge_event):
    """Counts always, ids on request, and each request with what became of it."""
    collect(emulator, edge_event("a"))
    collect(emulator, edge_event("a"))
    document = client.get(f"{emulator.url}/_emulator/arrived").json()
    assert {name: document[name] for name in ("events", "distinct", "duplicates", "requests")} == {
        "events": 2,
        "distinct": 1,
        "duplicates": 1,
        "requests": 2,
    }
    assert "by_id" not in document
    assert client.get(f"{emulator.url}/_emulator/arrived?ids=1").json()["by_id"] == {"a": 2}
    first, _ = client.get(f"{emulator.url}/_emulator/requests").json()
    assert (first["service"], first["status"], first["events"], first["fault"]) == ("edge", 202, 1, None)


def test_offline_refuses_and_comes_back_on_the_same_port(emulator, collect, edge_event):
    """Open connections are cut, new ones refused, and afterwards all is as before, as often as one likes."""
    url = emulator.url
    for number in range(5):
        assert collect(emulator, edge_event(f"e{number}")).status_code == 202
        emulator.go_offline()
        emulator.go_offline()  # twice is once
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", emulator.port), timeout=10)
        with pytest.raises(httpx.TransportError):
            collect(emulator, edge_event("lost"))
        emulator.go_online()
        emulator.go_online()
    assert emulator.url == url
    assert emulator.arrived.distinct == 5


def test_offline_for_a_time_ends_by_itself(emulator):
    """After the given seconds the port answers again, without anybody's help."""
    emulator.go_offline(seconds=0.01)
    with httpx.Client(trust_env=False, transport=httpx.HTTPTransport(retries=6)) as patient:
        assert patient.get(f"{emulator.url}/_emulator/arrived").status_code == 200


def test_a_kept_connection_is_cut_when_it_goes_offline(emulator):
    """Keep-alive connections do not survive the network."""
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        connection.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 404")
        emulator.go_offline()
        assert connection.recv(65536) == b""


def test_stop_ends_answers_that_are_still_waiting():
    """A long delay does not hold up the end; the waiting client sees its connection close."""
    taken = threading.Event()
    emulator = Emulator(on_request=lambda seen: taken.set()).start()
    emulator.add_fault(Fault("delay", seconds=3600))
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        connection.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert taken.wait(10)
        emulator.stop()
        assert connection.recv(65536) == b""
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("emulator")]


def test_stop_and_start_can_be_repeated(collect, edge_event):
    """Both are idempotent; a second start takes the same port, and memory survives."""
    emulator = Emulator()
    emulator.stop()
    emulator.start()
    port = emulator.start().port
    collect(emulator, edge_event("a"))
    emulator.stop()
    emulator.stop()
    emulator.go_online()
    with pytest.raises(httpx.TransportError):
        collect(emulator, edge_event("b"))
    with emulator:
        assert emulator.port == port
        assert collect(emulator, edge_event("c")).status_code == 202
    assert emulator.arrived.ids == ("a", "c")


def test_many_connections_at_once_lose_no_event(emulator, edge_event):
    """Counts are exact under threads."""

    def send(name):
        with httpx.Client(trust_env=False, timeout=30) as own:
            for number in range(50):
                event = edge_event(f"{name}-{number}")
                own.post(f"{emulator.url}/ee/v2/collect?dataStreamId=w", json={"events": [event, event]})

    threads = [threading.Thread(target=send, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (emulator.arrived.events, emulator.arrived.distinct, emulator.arrived.duplicates) == (800, 400, 400)


def test_two_cannot_have_one_port(emulator):
    """A taken port is an OSError at start, not a silent second server."""
    with pytest.raises(OSError, match=r".*"):
        Emulator(port=emulator.port).start()
