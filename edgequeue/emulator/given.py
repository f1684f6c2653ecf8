"""From the values of a command line to the options of the emulated organisation; both command lines share it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from edgequeue.emulator.options import DATA_TYPES, Given, Inlet, options_of

_AS_THEY_ARE = (
    "token", "org_id", "error_shape", "client_id", "client_secret", "token_seconds", "sandbox", "public_token",
    "private_key", "smile",
)  # fmt: skip
_LISTS = ("datastreams", "project_tokens")
_AUTHENTICATED = {"authenticated": True, "open": False}


def given_of(values: Mapping[str, Any]) -> Given:
    """The options among these values, by their own names; others are left alone. An empty list: anything goes.

    `inlets` and `datasets` are texts, as parse_inlet and parse_dataset take them. ValueError names what is wrong.
    """
    given: dict[str, Any] = {name: values[name] for name in _AS_THEY_ARE}
    given |= {name: tuple(values[name]) or None for name in _LISTS}
    given["required_fields"] = tuple(values["required_fields"])
    given["inlets"] = [parse_inlet(text) for text in values["inlets"]] or None
    given["datasets"] = dict(parse_dataset(text) for text in values["datasets"]) or None
    found = cast(Given, given)
    options_of(**found)
    return found


def parse_inlet(text: str) -> Inlet:
    """`ID[:authenticated|:open][:xdm|:raw]`, such as `till:authenticated:raw`."""
    inlet_id, *words = text.split(":")
    unknown = [word for word in words if word not in (*_AUTHENTICATED, *DATA_TYPES)]
    if unknown:
        raise ValueError(f"inlet {text!r}: {unknown[0]!r} is none of: authenticated, open, xdm, raw")
    authenticated = next((_AUTHENTICATED[word] for word in words if word in _AUTHENTICATED), None)
    return Inlet(inlet_id, authenticated, next((word for word in words if word in DATA_TYPES), None))


def parse_dataset(text: str) -> tuple[str, str]:
    """`DATASET=SCHEMA`, the ids of both."""
    dataset, _, schema = text.partition("=")
    if not dataset or not schema:
        raise ValueError(f"dataset {text!r}: must be DATASET=SCHEMA, the ids of both")
    return dataset, schema
