"""What a create would send, and what comes of it: the requests of a dry run, and the ready destination. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from edgequeue.flow_service import checks, steps
from edgequeue.flow_service.create import Made
from edgequeue.flow_service.settings import FlowService
from edgequeue.flow_service.steps import Call, Step
from edgequeue.flow_service.survey import moment
from edgequeue.flow_service.wanted import MappingRef, Wanted

READY_AFTER = timedelta(minutes=5)
"""Adobe: at least ~5 minutes between creating a dataflow and sending, or data may be lost (HTTP API tutorial)."""

BASE_ID = "<id of the base connection>"
SOURCE_ID = "<id of the source connection>"
TARGET_ID = "<id of the target connection>"
MAPPING_ID = "<id of the mapping set>"
PLACEHOLDERS = (BASE_ID, SOURCE_ID, TARGET_ID, MAPPING_ID)
"""What stands in the requests of a dry run where only the service can say what."""


def requests(wanted: Wanted, settings: FlowService) -> Iterator[Call]:
    """Every request of a create that finds nothing, in order; of lists the first page, and each look-up once."""
    yield checks.look_up_schema(wanted)[0]
    yield checks.look_up_dataset(wanted)
    yield from _both(steps.base(wanted))
    yield steps.get_base(BASE_ID)
    yield from _both(steps.source(wanted, BASE_ID))
    yield from _both(steps.target(wanted, SOURCE_ID))
    mapped = None
    if wanted.mapping is not None:
        yield steps.look_up_flows(wanted.flow_called)
        yield from _both(steps.mapping(wanted, settings.mapping_path))
        mapped = MappingRef(MAPPING_ID, 0)
    yield from _both(steps.flow(wanted, SOURCE_ID, TARGET_ID, mapped))


def _both(step: Step) -> tuple[Call, Call]:
    return step.look_up, step.create


def ready_at(made: Made, now: datetime) -> datetime | None:
    """When events may be sent, in whole seconds: 5 minutes after the dataflow was made; None where that is over."""
    if made.flow.made:
        return (now + READY_AFTER).replace(microsecond=0)
    created = moment(made.flow.item.get("createdAt"))
    if created is None or created + READY_AFTER <= now:
        return None
    return (created + READY_AFTER + timedelta(seconds=1)).replace(microsecond=0)


def destination_keys(wanted: Wanted, settings: FlowService, made: Made, now: datetime) -> Mapping[str, Any]:
    """The keys of the table `[destinations.NAME]` that sends to this connection, in the order of the file."""
    keys = foreseen_keys(wanted, settings, made.inlet_url, made.flow.id)
    ready = ready_at(made, now.astimezone(UTC))
    return keys if ready is None else {**keys, "not_before": ready}


def foreseen_keys(wanted: Wanted, settings: FlowService, inlet_url: str, flow_id: str) -> Mapping[str, Any]:
    """The same as far as it is known before anything is made; inlet URL and dataflow are what will be told."""
    keys = {
        "type": "adobe-dccs",
        "endpoint": inlet_url,
        "data_type": wanted.data_type,
        "auth": settings.auth_name if wanted.authenticated else None,
        "org_id": settings.org_id,
        "dataset_id": wanted.dataset_id,
        "schema_id": wanted.schema_id,
        "schema_version": wanted.schema_version,
        "flow_id": flow_id,
        "sandbox_name": settings.sandbox_name,
    }
    return {key: value for key, value in keys.items() if value is not None}
