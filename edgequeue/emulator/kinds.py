"""What can go wrong, by name: the kinds of faults, their keys, forms and defaults, and the checks of their values.

Tables and pure functions. What a kind does to an answer stands in `effects.py`, the description in `faults.Fault`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from edgequeue.emulator.codes import CODES

KINDS: Mapping[str, tuple[str, ...]] = {
    "offline": ("seconds",),
    "status": ("status", "code", "form"),
    "delay": ("seconds",),
    "retry_after": ("seconds", "status", "form"),
    "cut_before": (),
    "cut_during": ("form",),
    "cut_after": (),
    "captive_portal": ("form", "status"),
    "garbage": ("form", "status"),
    "drip": ("seconds",),
    "content_type": ("form",),
    "informational": ("form",),
    "huge": ("form", "bytes"),
    "stray": ("form", "seconds"),
    "idle_close": ("form",),
    "answer": ("form", "status"),
    "results": ("form",),
}
"""Kind -> the keys it takes beside those of MATCHING."""
MATCHING = ("times", "skip", "service", "event_id")
VALUES = ("seconds", "status", "code", "form", "bytes")
SERVICES = ("edge", "dccs", "ims", "bloomreach", "platform")
"""platform is Flow Service, Data Prep, Schema Registry and Catalog."""
OWNERS: Mapping[str, str] = {"answer": "dccs", "results": "bloomreach"}
"""Kind -> the one service that it can strike; nobody else answers message by message."""
FORMS: Mapping[str, tuple[str, ...]] = {
    "status": ("own", "plain", "empty", "json", "html"),
    "retry_after": ("seconds", "date"),
    "cut_during": ("body", "headers", "reset"),
    "captive_portal": ("page", "redirect", "redirect307", "redirect308", "511", "login", "json"),
    "garbage": (
        "truncated", "noise", "short", "empty", "html_json", "array", "wrong_id", "gzip", "gzip_broken", "not_http",
        "no_length", "chunked_broken",
    ),
    "content_type": ("text", "html", "none"),
    "informational": ("100", "102", "103", "many", "switching"),
    "huge": ("body", "chunked", "gzip", "headers"),
    "stray": ("same", "later", "bytes"),
    "idle_close": ("now", "next"),
    "answer": ("refused", "older", "newer", "mixed", "missing", "swapped", "foreign", "unknown_entry"),
    "results": ("refused", "unauthorized", "coded", "failed", "missing", "swapped", "anonymous", "foreign", "silent"),
}  # fmt: skip
"""Kind -> its variants; the first is the default."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "delay": {"seconds": 1.0},
    "retry_after": {"status": 503, "seconds": 1.0},
    "garbage": {"status": 200},
    "drip": {"seconds": 0.01},
    "huge": {"bytes": 64_000_000},
}
"""Kind -> defaults that hang on nothing else."""
SECONDS_MAX = 86_400
"""A day."""
BYTES_MAX = 1_000_000_000_000
"""No client reads a terabyte to its end."""


def defaults_of(kind: str, form: str | None, code: str | None) -> dict[str, Any]:
    """The values that hold where none are given; some hang on the form, and a code brings its own status."""
    form = form or FORMS.get(kind, (None,))[0]
    found: dict[str, Any] = {"form": form, **DEFAULTS.get(kind, {})}
    if kind == "status":
        found["status"] = CODES.get(code or "", ("", 503))[1]
    elif kind == "captive_portal" and form == "login":
        found["status"] = 401
    elif kind == "stray":
        found["seconds"] = 0.05 if form == "later" else None
    elif kind == "answer" and form == "refused":
        found["status"] = 503
    return found


def check(kind: str, values: Mapping[str, Any]) -> None:
    """Raise ValueError with the first thing that is wrong with the values of a fault of a known kind."""
    for name in VALUES:
        if values[name] is not None and name not in KINDS[kind]:
            raise ValueError(unknown_key(kind, name))
    for name, one_check in _CHECKS.items():
        if values[name] is not None and (wrong := one_check(kind, values[name])):
            raise ValueError(f"{name}={values[name]!r}: {wrong}")
    if kind == "captive_portal" and values["status"] is not None and values["form"] != "login":
        raise ValueError(f"status={values['status']}: captive_portal takes it with form=login")
    owner = owner_of(kind, values["code"])
    if values["service"] not in (None, owner or values["service"]):
        what = f"code {values['code']}" if values["code"] else kind
        raise ValueError(f"service={values['service']!r}: {what} is for {owner} only")
    if kind == "stray" and values["seconds"] is not None and values["form"] != "later":
        raise ValueError(f"seconds={values['seconds']}: stray takes it with form=later")


def owner_of(kind: str, code: str | None) -> str | None:
    """The one service that a fault can strike: that of its kind, or of its code; None: any."""
    return OWNERS.get(kind) or CODES.get(code or "", (None,))[0]


def unknown_kind(kind: object) -> str:
    """The text for a kind that there is not."""
    return f"unknown fault {kind!r}; known are: {', '.join(KINDS)}"


def unknown_key(kind: str, name: str) -> str:
    """The text for a key that a kind does not take."""
    return f"fault {kind} has no key {name!r}; known are: {', '.join((*KINDS[kind], *MATCHING))}"


def _status(kind: str, status: int) -> str | None:
    if kind == "retry_after" and status not in (429, 503):
        return "retry_after takes 429 or 503"
    return None if 200 <= status <= 599 else "must be from 200 to 599"


def _form(kind: str, form: str) -> str | None:
    forms = FORMS.get(kind, ())
    return None if form in forms else f"{kind} takes one of: {', '.join(forms)}"


def _seconds(kind: str, seconds: float) -> str | None:
    return None if 0 <= seconds <= SECONDS_MAX else f"must be from 0 to {SECONDS_MAX}"  # also refuses NaN


def _known(text: str, names: Collection[str]) -> Callable[[str, Any], str | None]:
    return lambda _, value: None if value in names else f"{text}: {', '.join(names)}"


_CHECKS: Mapping[str, Callable[[str, Any], str | None]] = {
    "times": lambda _, times: None if times >= 1 else "must be 1 or more (or always, in Python None)",
    "skip": lambda _, skip: None if skip >= 0 else "must be 0 or more",
    "service": _known("must be one of", SERVICES),
    "seconds": _seconds,
    "status": _status,
    "code": _known("known are", CODES),
    "form": _form,
    "bytes": lambda _, size: None if 1 <= size <= BYTES_MAX else f"must be from 1 to {BYTES_MAX}",
}
