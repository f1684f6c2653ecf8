"""Mapping files, and which mapping set of Data Prep is the one that is wanted. Pure.

**How a mapping set made before is recognised.** The tutorial's body has no name, Data Prep does not say that it keeps
one for the older form of the body, and a look-up by a name that was not kept would make a second copy after each lost
answer. So nothing but the content counts: the same schema and version, and the same pairs of source and destination in
any order. Two sets with the same content do the same, and a dataflow names the version it uses, so that a later change
of a set does not reach it. A dataflow that exists already decides: the set it uses is the one, and where that one
differs from the file the create is refused, since a second dataflow or a changed one would be a surprise. If none fits,
all sets of the sandbox have been looked at before one is made.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from edgequeue.errors import ConfigError
from edgequeue.flow_service.wanted import Pair

ATTRIBUTE_TYPES = (None, "", "ATTRIBUTE", "text/x.schema-path")
"""What Data Prep writes as `sourceType` of a plain attribute (OpenAPI of Data Prep: the enum and the example)."""

_HEADER = ("source", "destination")
_FORMS = ('"source" and "destination"', '"sourceAttribute" and "destinationXdmPath"')


def parse_mapping(text: str, name: str) -> tuple[Pair, ...]:
    """The pairs in a mapping file: JSON where the text begins with a bracket, else CSV. `name` is the file's name.

    ConfigError names the file, the line or the entry, and the remedy.
    """
    text = text.removeprefix("\ufeff")
    numbered = _json_pairs(text, name) if text.lstrip()[:1] in ("[", "{") else _csv_pairs(text, name)
    pairs: dict[str, Pair] = {}
    for place, pair in numbered:
        for key, value in zip(_HEADER, pair, strict=True):
            if not value:
                raise ConfigError(f"{name}, {place}: the {key} is empty. Write both, as in: firstName,person.firstName")
        if pair.destination in pairs:
            raise ConfigError(f"{name}, {place}: {pair.destination} has a source already. Keep one of the two.")
        pairs[pair.destination] = pair
    if not pairs:
        raise ConfigError(f"{name} holds no pair. Write lines as in: firstName,person.name.firstName")
    return tuple(pairs.values())


def _csv_pairs(text: str, name: str) -> Iterator[tuple[str, Pair]]:
    """Pairs with their lines; lines that are blank or begin with `#` count as lines and as nothing else."""
    lines = ("" if line.lstrip().startswith("#") else line for line in text.splitlines())
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    order: list[str] | None = None
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            place = f"line {reader.line_num}"
            if not any(cells):
                continue
            if order is None:
                order = [cell.lower() for cell in cells]
                if sorted(order) != sorted(_HEADER):
                    raise ConfigError(f"{name}, {place}: the first line is to be the header: source,destination")
                continue
            if len(cells) != len(_HEADER):
                remedy = 'Write source,destination; what has a comma in it stands in "quotes".'
                raise ConfigError(f"{name}, {place}: {len(cells)} values where there are to be 2. {remedy}")
            found = dict(zip(order, cells, strict=True))
            yield place, Pair(found["source"], found["destination"])
    except csv.Error as error:
        raise ConfigError(f"{name}, line {reader.line_num}: {error}. Check the quotes.") from error


def _json_pairs(text: str, name: str) -> Iterator[tuple[str, Pair]]:
    """Pairs with their places, from a list or from `mappings` in an object."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{name} is no JSON: {error}. Mend it, or write CSV: source,destination") from error
    entries = document.get("mappings") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise ConfigError(f"{name}: there is no list of pairs. Write [{{…}}, …] or {{'mappings': [{{…}}, …]}}.")
    for number, entry in enumerate(entries, 1):
        place = f"entry {number}"
        pair = pair_of(entry)
        if pair is None:
            raise ConfigError(f"{name}, {place}: it has no texts {' or '.join(_FORMS)}. Give each entry both.")
        if not _is_plain(entry):
            remedy = "Map plain attributes here, and make others in the Platform UI (Sources, Dataflows)."
            raise ConfigError(f"{name}, {place}: it is an expression, a fixed value or an identity. {remedy}")
        yield place, pair


def pair_of(entry: Any) -> Pair | None:
    """One entry in either of the service's forms; None when it is none."""
    if not isinstance(entry, dict):
        return None
    source = entry.get("sourceAttribute", entry.get("source"))
    destination = entry.get("destinationXdmPath", entry.get("destination"))
    if not isinstance(source, str) or not isinstance(destination, str):
        return None
    return Pair(source.strip(), destination.strip())


def _is_plain(entry: Mapping[str, Any]) -> bool:
    return entry.get("sourceType") in ATTRIBUTE_TYPES and not entry.get("identity")


def has_pairs(item: Mapping[str, Any], pairs: tuple[Pair, ...]) -> bool | None:
    """Whether a mapping set of the service holds just these pairs; None where it was listed without its mappings."""
    entries = item.get("mappings")
    if not isinstance(entries, list):
        return None
    if not all(isinstance(entry, dict) and _is_plain(entry) for entry in entries):
        return False
    return Counter(pair_of(entry) for entry in entries) == Counter(pairs)


def is_for_schema(item: Mapping[str, Any], schema_id: str, schema_version: int) -> bool:
    """Whether a mapping set maps to this schema, in either form; a version that it does not state is no other one."""
    output = item.get("outputSchema")
    ref = output.get("schemaRef") if isinstance(output, dict) else None
    ref = ref if isinstance(ref, dict) else {}
    if schema_id not in (item.get("xdmSchema"), ref.get("id")):
        return False
    stated = major_version(item.get("xdmVersion")) or major_version(ref.get("contentType"))
    return stated in (None, schema_version)


def major_version(text: Any) -> int | None:
    """The major version in "1.0", "1", or "application/vnd…+json;version=1.0"; None when there is none."""
    if not isinstance(text, str):
        return None
    digits = text.replace(" ", "").rpartition("version=")[2].partition(".")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 else None
