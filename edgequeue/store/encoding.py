"""How small values are kept in a column of text: problems, holds, what was learned. NULL for the usual case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from edgequeue.learning import NOTHING, Doubt, Learned, Suspect
from edgequeue.model import Problem
from edgequeue.retry import Hold, HoldState


def encode_problem(problem: Problem | None) -> str | None:
    """A problem as it is kept with a request."""
    if problem is None:
        return None
    return orjson.dumps({"code": problem.code, "text": problem.text, "status": problem.status}).decode()


def encode_hold(hold: Hold) -> str | None:
    """A hold as it is kept with its destination; nothing for a destination that is well."""
    if hold.state is HoldState.OK:
        return None
    return orjson.dumps(hold).decode()


def decode_hold(text: str | None) -> Hold:
    """The hold of a destination."""
    if text is None:
        return Hold()
    found = orjson.loads(text)
    problem = found.pop("problem", None)
    state = HoldState(found.pop("state"))
    return Hold(state=state, problem=Problem(**problem) if problem else None, **found)


def encode_learned(learned: Learned) -> str | None:
    """What was learned about a destination; nothing where nothing was."""
    learned = replace(learned, passed_bytes=0)
    if replace(learned, place="") == NOTHING:
        return None
    return orjson.dumps(learned, option=orjson.OPT_NON_STR_KEYS).decode()


def decode_learned(text: str | None) -> Learned:
    """What was learned about a destination. It is a hint: what cannot be read (another version's) is nothing."""
    if text is None:
        return NOTHING
    try:
        found: dict[str, Any] = orjson.loads(text)
        kept = found.pop("suspects").items()
        suspects = {int(sequence): Suspect(**{**one, "doubt": Doubt(one["doubt"])}) for sequence, one in kept}
        return Learned(suspects=suspects, **found)
    except (ValueError, TypeError, KeyError, AttributeError):
        return NOTHING
