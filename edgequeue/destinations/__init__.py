"""Which destination types there are: a name in the configuration -> a class, imported only when it is asked for.

The built-in ones stand in `_BUILT_IN`. Others are found through the entry-point group `edgequeue.destinations`, whose
names are types and whose values are subclasses of `Destination`; the installed packages are searched only for a name
that is not built in, because that search reads the metadata of every one of them.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from edgequeue.errors import ConfigError

if TYPE_CHECKING:
    from edgequeue.destinations.base import Destination

ENTRY_POINT_GROUP = "edgequeue.destinations"

_BUILT_IN = {
    "adobe-dccs": ("edgequeue.destinations.adobe_dccs", "AdobeDccs"),
    "adobe-edge": ("edgequeue.destinations.adobe_edge", "AdobeEdge"),
    "bloomreach": ("edgequeue.destinations.bloomreach", "Bloomreach"),
}


def destination_types() -> tuple[str, ...]:
    """The names of the built-in types, sorted."""
    return tuple(sorted(_BUILT_IN))


def destination_class(type_name: str) -> type[Destination]:
    """The class for a `type` of the configuration; ConfigError names the nearest type that exists."""
    if type_name in _BUILT_IN:
        module, name = _BUILT_IN[type_name]
        found: type[Destination] = getattr(import_module(module), name)
        return found
    return _installed_class(type_name)


def _installed_class(type_name: str) -> type[Destination]:
    from importlib.metadata import entry_points  # reads the metadata of every installed package: only when needed

    from edgequeue.destinations.base import Destination

    offered = entry_points(group=ENTRY_POINT_GROUP)
    if type_name not in offered.names:
        raise _unknown(type_name, {*_BUILT_IN, *offered.names})
    entry = offered[type_name]
    try:
        found = entry.load()
    except Exception as error:  # whatever somebody else's module raises while it is imported
        raise ConfigError(
            f"destination type {type_name!r}: {entry.value} cannot be imported ({type(error).__name__}: {error}). "
            "Install its package again, or ask its author."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Destination)):
        raise ConfigError(f"destination type {type_name!r}: {entry.value} is no subclass of Destination")
    return found


def _unknown(type_name: str, known: set[str]) -> ConfigError:
    nearest = get_close_matches(str(type_name), known, n=1, cutoff=0.5)
    hint = f"Did you mean {nearest[0]!r}? " if nearest else ""
    return ConfigError(f"destination type {type_name!r} is not known. {hint}Known: {', '.join(sorted(known))}.")
