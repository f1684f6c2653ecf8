"""The words of errors about a configuration: what a value is, and what was probably meant."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error: the known name nearest to a wrong one (all that are equally near), or what is known."""
    from difflib import SequenceMatcher, get_close_matches  # only who made a mistake pays for it

    names = sorted(set(known))
    close = get_close_matches(name, names, n=3)
    if not close:
        return f"; known are: {', '.join(names) or 'none'}"
    likeness = {each: SequenceMatcher(None, each, name).ratio() for each in close}
    best = [each for each in close if likeness[each] == likeness[close[0]]]
    return f"; did you mean {' or '.join(best)}?"


def kind_of(value: Any) -> str:
    """What a TOML value is, in words."""
    match value:
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int():
            return "a whole number"
        case float():
            return "a number with a fraction" if math.isfinite(value) else "not a finite number"
        case list():
            return "a list"
        case dict():
            return "a table"
    return "a date or a time"
