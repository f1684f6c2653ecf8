"""Faults on request: what can go wrong between a device and the services, as values, and the list of those waiting.

A fault is applied to the next `times` requests that match it; one fault a request, the first added first. What each of
them does to an answer stands in `effects.py`. `parse_fault` reads the compact text of the command line.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from edgequeue.emulator.edge_problems import PROBLEMS

KINDS: Mapping[str, tuple[str, ...]] = {
    "offline": ("seconds",),
    "status": ("status", "code"),
    "delay": ("seconds",),
    "retry_after": ("seconds", "status", "form"),
    "cut_before": (),
    "cut_after": (),
    "captive_portal": ("form",),
    "garbage": ("form",),
    "drip": ("seconds",),
}
"""Kind -> the keys it takes beside those of MATCHING."""
MATCHING = ("times", "service", "event_id")
SERVICES = ("edge", "dccs")
FORMS: Mapping[str, tuple[str, ...]] = {
    "retry_after": ("seconds", "date"),
    "captive_portal": ("page", "redirect", "511"),
    "garbage": ("truncated", "noise", "short"),
}
"""Kind -> its variants; the first is the default."""
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "delay": {"seconds": 1.0},
    "retry_after": {"status": 503, "seconds": 1.0},
    "drip": {"seconds": 0.01},
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. ValueError names what is wrong with the fault itself, and what there is.

    kind      offline         the listening socket is closed and connections are cut, for `seconds` or until back; at
                              once, unless `service` or `event_id` says which request brings it about
              status          `status` with the service's own error body; Edge: `code` is the EXEG number, such as 0100.
                              A 2xx status accepts the events, 207 tells of a failed upstream (Edge)
              delay           accepted, answered after `seconds`
              retry_after     `status` 503 or 429 with Retry-After: `seconds`, by `form` as a number or as an HTTP date
              cut_before      the connection is dropped after the request was read; nothing accepted
              cut_after       accepted, then the connection is dropped without an answer
              captive_portal  a login page: `form` page (200), redirect (302) or 511; nothing accepted
              garbage         200 with a body that is `form` truncated (half the JSON), noise, or short (fewer bytes
                              than announced, then the end); nothing accepted
              drip            accepted, answered byte by byte, `seconds` apart
    times     how many matching requests it is applied to; None: until cleared
    service   only requests to this service (edge or dccs); event_id: only requests that contain this `_id`
    """

    kind: str
    times: int | None = 1
    service: str | None = None
    event_id: str | None = None
    seconds: float | None = None
    status: int | None = None
    code: str | None = None
    form: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; known are: {', '.join(KINDS)}")
        for name in ("seconds", "status", "code", "form"):
            if getattr(self, name) is not None and name not in KINDS[self.kind]:
                raise ValueError(_unknown_key(self.kind, name))
        forms = FORMS.get(self.kind, ("",))
        defaults = {"form": forms[0] or None, **_DEFAULTS.get(self.kind, {})}
        if self.kind == "status":  # an EXEG number brings its own status
            defaults["status"] = PROBLEMS.get(self.code or "", (503,))[0]
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)  # frozen for everybody else
        self._check(forms)

    def _check(self, forms: tuple[str, ...]) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError(f"times={self.times}: must be 1 or more (or always, in Python None)")
        if self.service not in (None, *SERVICES):
            raise ValueError(f"service={self.service!r}: must be one of: {', '.join(SERVICES)}")
        if self.seconds is not None and not 0 <= self.seconds <= 86_400:  # a day; also refuses NaN
            raise ValueError(f"seconds={self.seconds}: must be from 0 to 86400")
        if self.kind == "retry_after" and self.status not in (429, 503):
            raise ValueError(f"status={self.status}: retry_after takes 429 or 503")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status={self.status}: must be from 200 to 599")
        if self.code is not None and self.code not in PROBLEMS:
            raise ValueError(f"code={self.code!r}: known are: {', '.join(PROBLEMS)}")
        if self.form is not None and self.form not in forms:
            raise ValueError(f"form={self.form!r}: {self.kind} takes one of: {', '.join(forms)}")

    @property
    def at_once(self) -> bool:
        """True for an offline fault that waits for no request."""
        return self.kind == "offline" and self.service is None and self.event_id is None

    def matches(self, service: str | None, ids: Collection[str]) -> bool:
        """Whether it is meant for a request to this service (None: an unknown path) that carries these `_id`s."""
        if self.service is not None and self.service != service:
            return False
        return self.event_id is None or self.event_id in ids

    def __str__(self) -> str:
        """The compact text that parse_fault reads back."""
        given = [(f.name, getattr(self, f.name)) for f in fields(self) if f.name not in ("kind", "times")]
        keys = "".join(f":{name}={value}" for name, value in given if value is not None)
        return f"{self.kind}{keys}:times={'always' if self.times is None else self.times}"


def parse_fault(text: str) -> Fault:
    """The fault in a compact text: `kind[:key=value]…`, such as `retry_after:seconds=2:times=3`.

    `times=always` means until cleared. ValueError names the unknown fault or key and lists the known ones. A value may
    hold colons (an `_id` may), as long as what follows does not look like the next key.
    """
    kind, *parts = re.split(r":(?=[a-z_]+=)", text.strip())
    if kind not in KINDS and ":" in kind:
        wrong = kind.partition(":")[2]
        raise ValueError(f"fault {text!r}: {wrong!r} is not key=value")
    return fault_from_mapping({"kind": kind, **dict(part.split("=", 1) for part in parts)})


def fault_from_mapping(values: Mapping[str, Any]) -> Fault:
    """The fault in a JSON object; numbers may be given as text. Raises ValueError as parse_fault does."""
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"unknown fault {kind!r}; known are: {', '.join(KINDS)}")
    converted: dict[str, Any] = {}
    for name, value in values.items():
        if name != "kind" and name not in (*KINDS[kind], *MATCHING):
            raise ValueError(_unknown_key(kind, name))
        converted[name] = _convert(name, value)
    return Fault(**converted)


def _convert(name: str, value: object) -> object:
    if value is None:
        return None
    text = str(value)
    try:
        if name == "times":
            return None if text in ("always", "none") else int(text)
        if name == "status":
            return int(text)
        return float(text) if name == "seconds" else text
    except ValueError:
        raise ValueError(f"{name}={text}: must be a number") from None


def _unknown_key(kind: str, name: str) -> str:
    return f"fault {kind} has no key {name!r}; known are: {', '.join((*KINDS[kind], *MATCHING))}"


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
