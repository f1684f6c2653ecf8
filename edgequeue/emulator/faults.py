"""Faults on request: what can go wrong between a device and the services, as values, and the list of those waiting.

A fault is applied to the next `times` requests that match it; one fault a request, the first added first. What each of
them does to an answer stands in `effects.py`. `compact.py` reads the text of the command line.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, fields

from edgequeue.emulator.kinds import FORMS, KINDS, MATCHING, SERVICES, VALUES, check, defaults_of, unknown_kind

__all__ = ["FORMS", "KINDS", "MATCHING", "SERVICES", "Fault", "Faults"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. ValueError names what is wrong with the fault itself, and what there is.

    kind      offline         the listening socket is closed and connections are cut, for `seconds` or until back; at
                              once, unless `service` or `event_id` says which request brings it about
              status          `status` (503) with a body that is `form` own (the service's error body), plain (one
                              line), empty, json (not the service's) or html (a proxy's page). Edge: `code` is the EXEG
                              number, such as 0100. A 2xx status accepts the events, 207 tells of a failed upstream
                              (Edge)
              delay           accepted, answered after `seconds` (1)
              retry_after     `status` 503 or 429 with Retry-After: `seconds` (1), by `form` seconds or (HTTP) date
              cut_before      the connection is dropped after the request was read; nothing accepted
              cut_during      accepted, then the connection ends inside the answer: `form` body, headers (inside the
                              header lines), or reset (inside the body, with RST instead of FIN)
              cut_after       accepted, then the connection is dropped without an answer
              captive_portal  a portal in the service's place, nothing accepted: `form` page (200), redirect (302),
                              redirect307, redirect308, 511, login (its page with `status`, 401), or json (200 with
                              JSON that is not the service's)
              garbage         `status` (200) with a body that is `form` truncated (half the JSON), noise, short (fewer
                              bytes than announced, then the end), empty, html_json (the JSON inside a page), array
                              (the JSON in an array), gzip_broken (Content-Encoding gzip, half of it), no_length (half
                              the JSON, ended by the connection's end), chunked_broken (chunks without the last);
                              not_http: bytes that are no HTTP; wrong_id: the answer with the ids of somebody else.
                              Nothing accepted, but with gzip: the proper answer with Content-Encoding gzip
              drip            accepted, answered byte by byte, `seconds` (0.01) apart
              content_type    accepted, the service's body with another Content-Type: `form` text, html or none
              informational   accepted, the answer comes after 1xx: `form` 100, 102, 103, many (of each); switching:
                              101 alone, nothing accepted
              huge            200 and `bytes` (64,000,000) of body, sent in pieces: `form` body (announced), chunked,
                              gzip (so many when unpacked), or headers (header lines); nothing accepted
              stray           accepted and answered, then stray bytes on the same connection: `form` same (a refusal,
                              400, in the same segment), later (after `seconds`, 0.05) or bytes (noise)
              idle_close      accepted and answered with keep-alive, then the connection ends: `form` now, or next
                              (when the next request begins; it is not read)
              answer          DCCS, batches: `form` refused (entries say `status`, 503), older, newer or mixed (shape
                              of all entries), missing (an entry fewer), swapped (backwards), foreign (receipts
                              of another batch), unknown_entry (one that says nothing). With `status` in each form the
                              entries are refused with it, unless 2xx; messages not refused are accepted. With
                              `event_id` it concerns that message, else all of them, or the first one (missing,
                              unknown_entry). A single message is refused with `status`, if any
    times     how many matching requests it is applied to; None: until cleared
    service   only requests to this service (edge, dccs or ims); event_id: only requests that contain this `_id`
    """

    kind: str
    times: int | None = 1
    service: str | None = None
    event_id: str | None = None
    seconds: float | None = None
    status: int | None = None
    code: str | None = None
    form: str | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(unknown_kind(self.kind))
        if self.times is not None and not isinstance(self.times, int):
            raise ValueError(f"times={self.times!r}: give a number from 1, or None for always")
        given = {name: getattr(self, name) for name in ("times", "service", *VALUES)}
        for name, value in defaults_of(self.kind, self.form, self.code).items():
            if given[name] is None:
                given[name] = value
                object.__setattr__(self, name, value)  # frozen for everybody else
        check(self.kind, given)

    @property
    def at_once(self) -> bool:
        """True for an offline fault that waits for no request."""
        return self.kind == "offline" and self.service is None and self.event_id is None

    def matches(self, service: str | None, ids: Collection[str]) -> bool:
        """Whether it is meant for a request to this service (None: an unknown path) that carries these `_id`s."""
        only = self.service or ("dccs" if self.kind == "answer" else None)  # nobody else answers message by message
        if only is not None and only != service:
            return False
        return self.event_id is None or self.event_id in ids

    def __str__(self) -> str:
        """The compact text that parse_fault reads back."""
        given = [(f.name, getattr(self, f.name)) for f in fields(self) if f.name not in ("kind", "times")]
        keys = "".join(f":{name}={value}" for name, value in given if value is not None)
        return f"{self.kind}{keys}:times={'always' if self.times is None else self.times}"


class Faults:
    """The faults that wait for their requests. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[Fault, int | None]] = []

    def add(self, fault: Fault) -> None:
        """Queue it behind those already waiting."""
        with self._lock:
            self._waiting.append((fault, fault.times))

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._waiting.clear()

    def waiting(self) -> list[Fault]:
        """Those that still wait, in the order they were added."""
        with self._lock:
            return [fault for fault, _ in self._waiting]

    def take(self, service: str | None, ids: Collection[str]) -> Fault | None:
        """The first fault meant for this request, used up by one; None when there is none."""
        if not self._waiting:  # the common case pays no lock
            return None
        with self._lock:
            for position, (fault, left) in enumerate(self._waiting):
                if fault.matches(service, ids):
                    if left == 1:
                        del self._waiting[position]
                    elif left is not None:
                        self._waiting[position] = (fault, left - 1)
                    return fault
        return None
