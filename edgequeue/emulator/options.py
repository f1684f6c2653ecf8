"""What the emulated organisation looks like: its credentials, inlets, projects and datasets. Values, checked once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypedDict, Unpack

ERROR_SHAPES = ("older", "newer")
"""The two documented shapes of a refused message in a DCCS batch answer."""
DATA_TYPES = ("xdm", "raw")
"""What a streaming connection may carry ("Create an HTTP API streaming connection", auth.params.dataType)."""
UNKNOWN_FLOWS = ("refused", "lost")
"""What becomes of a message whose flow the inlet does not know."""
TOKEN_SECONDS = 86_399.0
"""What IMS answers as expires_in: about a day."""
TOKEN_SECONDS_MAX = 10_000_000.0
"""From here on a client may take expires_in for milliseconds."""
PAGE_SIZE = 20
"""Objects on a page of a list where the request names no limit (ours; no document gives a figure)."""


@dataclass(frozen=True, slots=True)
class Inlet:
    """One DCCS inlet, and how it differs from the others. None: nothing is known of it, anything goes.

    `authenticated`: a bearer token is asked for, or never asked for; None: where the emulator knows a token.
    `data_type` is xdm or raw; None takes both. `flow_ids` are the flows that are enabled on it; None: any, or none at
    all. `starting_flow_ids` are not enabled yet: what is sent for them is lost.
    """

    id: str
    authenticated: bool | None = None
    data_type: str | None = None
    flow_ids: frozenset[str] | None = None
    starting_flow_ids: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.id or "/" in self.id:
            raise ValueError(f"inlet {self.id!r}: the id must be there, and must hold no slash")
        if self.data_type not in (None, *DATA_TYPES):
            raise ValueError(f"inlet {self.id}: data_type is {self.data_type!r}; it must be one of: xdm, raw")


class Given(TypedDict, total=False):
    """The options as they may be given; what they mean stands with `Options`."""

    token: str | None
    org_id: str | None
    datastreams: Iterable[str] | None
    inlets: Iterable[str | Inlet] | None
    required_fields: Iterable[str]
    error_shape: str
    client_id: str | None
    client_secret: str | None
    token_seconds: float
    token_milliseconds: bool
    scopes: Iterable[str] | None
    smile: bool
    sandbox: str | None
    project_tokens: Iterable[str] | None
    public_token: str | None
    private_key: str | None
    datasets: Mapping[str, str] | None
    page_size: int
    unknown_flows: str
    flow_delay_seconds: float
    short_mapping_path: bool


@dataclass(frozen=True, slots=True)
class Options:
    """What the emulated organisation looks like. None means: not checked, anything goes.

    `datastreams`, `inlets`, `scopes` and `project_tokens` are the known ones; `token` is a valid bearer token of all
    Adobe services; `required_fields` are dotted paths that each `xdmEntity` must have. With `client_id` or
    `client_secret` those services take the tokens that IMS has issued; each lives `token_seconds`, answered as
    milliseconds on request. Without `smile` Edge and DCCS answer it with 415. `sandbox` is the one that DCCS and the
    platform know. `public_token` and `private_key` (`id:secret`) are the access keys of Bloomreach. `datasets` maps the
    known datasets to the `$id` of their schemas, which are then the known schemas.

    Flow Service lists `page_size` objects a page at most. A message for an unknown flow is refused, or silently lost by
    `unknown_flows`; a flow becomes known `flow_delay_seconds` after it was made, and what comes earlier is lost.
    `short_mapping_path` serves the mapping sets where the tutorial prints them, too.
    """

    token: str | None = field(default=None, repr=False)
    org_id: str | None = None
    datastreams: frozenset[str] | None = None
    inlets: Mapping[str, Inlet] | None = None
    required_fields: tuple[str, ...] = ()
    error_shape: str = "older"
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    token_seconds: float = TOKEN_SECONDS
    token_milliseconds: bool = False
    scopes: frozenset[str] | None = None
    smile: bool = True
    sandbox: str | None = None
    project_tokens: frozenset[str] | None = None
    public_token: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    datasets: Mapping[str, str] | None = None
    page_size: int = PAGE_SIZE
    unknown_flows: str = "refused"
    flow_delay_seconds: float = 0.0
    short_mapping_path: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.token_seconds <= TOKEN_SECONDS_MAX:
            raise ValueError(f"token_seconds is {self.token_seconds}; it must be from 0 to {TOKEN_SECONDS_MAX}")
        if self.error_shape not in ERROR_SHAPES:
            raise ValueError(f"error_shape is {self.error_shape!r}; it must be one of: {', '.join(ERROR_SHAPES)}")
        if self.unknown_flows not in UNKNOWN_FLOWS:
            raise ValueError(f"unknown_flows is {self.unknown_flows!r}; it must be one of: {', '.join(UNKNOWN_FLOWS)}")
        if self.private_key is not None and not all(self.private_key.partition(":")):
            raise ValueError("private_key must be the id of the key, a colon and its secret")
        if self.page_size < 1:
            raise ValueError(f"page_size is {self.page_size}; it must be 1 or more")
        if not self.flow_delay_seconds >= 0:  # also refuses NaN
            raise ValueError(f"flow_delay_seconds is {self.flow_delay_seconds}; it must be 0 or more")

    def inlet(self, inlet_id: str) -> Inlet | None:
        """The inlet of that id; None where there is none. Without a list of inlets there is every one."""
        return Inlet(inlet_id) if self.inlets is None else self.inlets.get(inlet_id)


def options_of(**given: Unpack[Given]) -> Options:
    """The options with their lists made immutable. ValueError names the first that is wrong."""
    values: dict[str, object] = dict(given)
    for name in ("datastreams", "scopes", "project_tokens"):
        found = given.get(name)
        values[name] = None if found is None else frozenset(found)  # type: ignore[call-overload]
    values["required_fields"] = tuple(given.get("required_fields", ()))
    inlets, datasets = given.get("inlets"), given.get("datasets")
    if inlets is not None:
        each = [Inlet(one) if isinstance(one, str) else one for one in inlets]
        values["inlets"] = MappingProxyType({one.id: one for one in each})
    values["datasets"] = None if datasets is None else MappingProxyType(dict(datasets))
    return Options(**values)  # type: ignore[arg-type]
