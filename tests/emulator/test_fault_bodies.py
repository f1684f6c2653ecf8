"""Faults that lie in what is said: portals, a proxy's error pages, garbage, other Content-Types."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest

from edgequeue.emulator import FORMS, KINDS, Emulator, Fault, parse_fault
from edgequeue.emulator.kinds import OWNERS

OWN = "application/problem+json"


@pytest.mark.parametrize(
    ("form", "content_type", "body"),
    [
        ("plain", "text/plain", "502 Bad Gateway\n"),
        ("empty", None, ""),
        ("json", "application/json", '{"message": "502 Bad Gateway"}'),
        ("html", "text/html", "<h1>502 Bad Gateway</h1>"),
    ],
)
def test_a_status_may_come_from_a_proxy(emulator, collect, edge_event, form, content_type, body):
    """What stands before the service answers in its own ways, and nothing is accepted."""
    emulator.add_fault(Fault("status", status=502, form=form))
    answer = collect(emulator, edge_event())
    assert (answer.status_code, answer.headers.get("content-type")) == (502, content_type)
    assert body in answer.text if body else answer.content == b""
    assert emulator.arrived.events == 0


@pytest.mark.parametrize("status", [304, 400, 418, 425, 451, 499, 507, 520, 599])
def test_any_status_can_be_had(emulator, collect, batch, edge_event, dccs_message, status):
    """Also those that no document of the services names; none of them accepts."""
    emulator.add_fault(Fault("status", status=status, times=2))
    assert collect(emulator, edge_event()).status_code == status
    assert batch(emulator, dccs_message()).status_code == status
    assert emulator.arrived.events == 0


@pytest.mark.parametrize("status", [200, 205, 206, 226])
def test_an_odd_success_accepts_in_any_form(emulator, collect, edge_event, status):
    """A status of success means that the events were taken, whatever the body says."""
    for form in FORMS["status"]:
        emulator.add_fault(Fault("status", status=status, form=form))
        assert collect(emulator, edge_event(form)).status_code == status
    assert emulator.arrived.ids == FORMS["status"]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("captive_portal:form=redirect307", 307),
        ("captive_portal:form=redirect308", 308),
        ("captive_portal:form=login", 401),
        *((f"captive_portal:form=login:status={status}", status) for status in (403, 404, 413, 500, 503)),
    ],
)
def test_a_portal_hides_behind_any_status(emulator, collect, client, edge_event, fault, status):
    """Redirects that keep the method, and login pages where an error of the service is expected."""
    emulator.add_fault(parse_fault(fault))
    answer = collect(emulator, edge_event())
    assert answer.status_code == status
    if status in (307, 308):
        answer = client.post(f"{emulator.url}{answer.headers['location']}", json={})
    assert "<form" in answer.text
    assert emulator.arrived.events == 0


def test_a_portal_may_speak_json(emulator, collect, edge_event):
    """200 and JSON, but not the service's."""
    emulator.add_fault(Fault("captive_portal", form="json"))
    answer = collect(emulator, edge_event())
    assert (answer.status_code, answer.json()) == (200, {"status": "login required"})
    assert emulator.arrived.events == 0


@pytest.mark.parametrize("text", ["captive_portal:status=500", "stray:seconds=1", "huge:bytes=0", "huge:bytes=x"])
def test_a_key_that_would_do_nothing_is_refused(text):
    """status goes with form=login, seconds with form=later, and bytes is a number of at least one."""
    with pytest.raises(ValueError, match=r"status=500|seconds=1|bytes="):
        parse_fault(text)


@pytest.mark.parametrize(("form", "sent"), [("text", "text/plain"), ("html", "text/html"), ("none", None)])
def test_the_right_answer_may_come_under_a_wrong_content_type(emulator, collect, edge_event, form, sent):
    """Accepted, and the body is the service's own."""
    emulator.add_fault(Fault("content_type", form=form))
    answer = collect(emulator, edge_event("a"))
    assert answer.status_code == 202
    assert (answer.headers.get("content-type") or "").partition(";")[0] == (sent or "")
    assert "requestId" in answer.json()
    assert emulator.arrived.ids == ("a",)


def test_garbage_may_hide_the_json_or_wrap_it(emulator, collect, edge_event):
    """Empty, inside a page, inside an array: no object, and nothing arrived; the status can be chosen."""
    answers = {}
    for form in ("empty", "html_json", "array"):
        emulator.add_fault(Fault("garbage", form=form, status=202))
        answers[form] = collect(emulator, edge_event())
    assert {answer.status_code for answer in answers.values()} == {202}
    assert answers["empty"].content == b""
    assert answers["html_json"].text.startswith("<!DOCTYPE html>")
    assert '{"requestId"' in answers["html_json"].text
    assert isinstance(answers["array"].json(), list)
    assert emulator.arrived.events == 0


def test_a_packed_answer_is_right_and_a_broken_one_is_not(emulator, collect, edge_event):
    """Content-Encoding gzip: the whole accepts, the half does not."""
    emulator.add_fault(Fault("garbage", form="gzip"))
    answer = collect(emulator, edge_event("a"))
    assert (answer.status_code, answer.headers["content-encoding"]) == (202, "gzip")
    assert "requestId" in answer.json()
    emulator.add_fault(Fault("garbage", form="gzip_broken"))
    with httpx.stream("POST", f"{emulator.url}/ee/v2/collect?dataStreamId=w", json={}, trust_env=False) as broken:
        raw = b"".join(broken.iter_raw())
    with pytest.raises(EOFError):
        gzip.decompress(raw)
    assert emulator.arrived.ids == ("a",)


def test_the_answer_to_somebody_else_accepts_nothing(emulator, collect, batch, client, edge_event, dccs_message):
    """The ids in it are not those of this request, at each service; a silent answer becomes a 202."""
    emulator.add_fault(Fault("garbage", form="wrong_id", times=None))
    mine = "0a8f1f44-6c1e-4a0e-8a38-5a3c2f4f9b10"
    for silent in ("false", "true"):
        answer = collect(emulator, edge_event(), requestId=mine, silent=silent)
        assert answer.status_code == 202
        assert mine not in answer.text + answer.headers["x-request-id"]
    document = batch(emulator, dccs_message(), dccs_message()).json()
    assert document["inletId"] != "till"
    assert [entry["xactionId"] for entry in document["responses"]] == [f"{document['batchId']}:{i}" for i in (0, 1)]
    single = client.post(emulator.inlet_url("till"), json=dccs_message())
    assert (single.status_code, single.json()["xactionId"]) == (200, document["batchId"])
    assert emulator.arrived.events == 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "offline"])
def test_every_fault_can_be_bound_to_one_event(kind, said, collect, edge_event):
    """In each of its forms it strikes the request with that `_id` and spares the others; what is said is accepted."""
    for form in FORMS.get(kind, (None,)):
        with Emulator() as emulator:
            size = {"bytes": 1000} if kind == "huge" else {}
            emulator.add_fault(Fault(kind, event_id="bad", times=None, form=form, **size))
            assert collect(emulator, edge_event("good")).status_code == 202
            try:
                said(emulator, "bad")
            except ConnectionResetError:
                assert form == "reset"
            good, bad = emulator.requests
            assert (good.fault, bad.fault) == (None, kind if kind not in OWNERS else None)
            assert emulator.arrived.by_id.get("bad", 0) == bad.accepted
            assert json.dumps(emulator.arrived.ids) in ('["good"]', '["good", "bad"]')


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_of_every_form_reads_back(kind):
    """Each form of each kind, with its defaults filled in, as text and back."""
    for form in FORMS.get(kind, (None,)):
        fault = Fault(kind, form=form)
        assert parse_fault(str(fault)) == fault
