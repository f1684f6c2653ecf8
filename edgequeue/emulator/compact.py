"""Faults as text and as JSON objects: what the command line and `/_emulator/faults` take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edgequeue.emulator.faults import Fault
from edgequeue.emulator.kinds import KINDS, MATCHING, unknown_key, unknown_kind

_NUMBERS: Mapping[str, type[int] | type[float]] = {
    "times": int,
    "skip": int,
    "status": int,
    "bytes": int,
    "seconds": float,
}


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
        raise ValueError(unknown_kind(kind))
    converted: dict[str, Any] = {}
    for name, value in values.items():
        if name != "kind" and name not in (*KINDS[kind], *MATCHING):
            raise ValueError(unknown_key(kind, name))
        converted[name] = _convert(name, value)
    return Fault(**converted)


def faults_in(document: object) -> list[Fault]:
    """One fault or a list of them, each as an object or as compact text. ValueError for what no request could end."""
    found: list[Fault] = []
    for item in document if isinstance(document, list) else [document]:
        if isinstance(item, str):
            fault = parse_fault(item)
        elif isinstance(item, dict):
            fault = fault_from_mapping(item)
        else:
            raise ValueError('a fault is an object such as {"kind": "delay"}, or its compact text')
        found.append(with_end(fault))
    return found


def with_end(fault: Fault) -> Fault:
    """The fault itself; ValueError for an offline without `seconds`, where nobody could call `go_online()`."""
    if fault.kind == "offline" and fault.seconds is None:
        raise ValueError("offline needs seconds here: once offline, nothing could end it")
    return fault


def _convert(name: str, value: object) -> object:
    text = str(value)
    if value is None or (name == "times" and text in ("always", "none")):
        return None
    try:
        return _NUMBERS.get(name, str)(text)
    except ValueError:
        raise ValueError(f"{name}={text}: must be a number") from None
