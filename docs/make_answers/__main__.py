"""Writes docs/answers.md, from what the code that reads answers makes of each (`make answers`).

Without an argument it writes the file, with "-" to the standard output.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bloomreach
import others
import services
from rows import table

from edgequeue.retry import RETRY_AFTER_SECONDS_MAX, RetryPolicy
from edgequeue.weighing import PROBE_TRIES_MIN

WAITS = RetryPolicy()

INTRODUCTION = f"""\
# What answers come to

Each answer decides two things: what becomes of the events of the request, and what becomes of the destination.
The tables below are made by the code that reads the answers (`make answers`), so they cannot say anything else.

For the events:

- **delivered**: the service has accepted them; the receipt is kept.
- **kept**: pending, and sent again later. No attempt is spent. Where the outcome is *unknown* the service may have
  taken them: the history shows both requests, and the same `_id` lets the service drop the second; Bloomreach drops
  what is the same to the byte. Events are kept *without a trace* where nothing was sent: neither a request nor a
  history tells of it.
- **halved**: the batch was refused without saying for which event. Its parts are sent again until the bad one is alone.
- **halved in the end**: it may be about one event of the batch. The batch is halved when another request is accepted
  beside it. Else, after {PROBE_TRIES_MIN} tries in a row, a single event is sent; when that is accepted, the batch is
  halved if it fails again.
- **dead**: refused for good, by the service itself. Kept with status, code and text until it is requeued or pruned.

For the destination, as `edgequeue status` has it:

- **goes on**: `ok`. The next events are sent.
- **backs off**: `backing_off`. It is tried again by itself, after {WAITS.base_seconds:g} s at most the first time and
  {WAITS.cap_seconds:g} s at most later; `edgequeue sync` tries at once. A Retry-After *binds*: nothing is sent before
  it is over, also not by hand, {RETRY_AFTER_SECONDS_MAX:g} s at most.
- **offline**: `offline`. No byte went out. It is tried again as after a backoff.
- **pauses**: `paused`. An operator has to mend something. One event every {WAITS.probe_seconds:g} s asks whether it is
  well again; `edgequeue sync` asks now.

NAME stands for the destination's name, ID for its datastream, HOST for the token service's host."""

SECTIONS = (
    (
        "Adobe Edge, by status",
        "Edge judges a request as a whole. A status that comes with an error code is read by the code, see below.",
        services.edge_rows,
    ),
    (
        "Adobe Edge, by error code",
        "The code is the end of `type` in Edge's error document.",
        services.code_rows,
    ),
    (
        "Adobe streaming ingestion (DCCS), by status",
        "For requests as a whole.",
        services.dccs_rows,
    ),
    (
        "Adobe streaming ingestion (DCCS), message by message",
        "What an entry of a 207 means for its message, beside another that was accepted. "
        "A Retry-After binds where any was kept.",
        services.entry_rows,
    ),
    (
        "Bloomreach, by status",
        "For requests as a whole.",
        bloomreach.status_rows,
    ),
    (
        "Bloomreach, command by command",
        "What a result of a 200 means for its command, beside another that was accepted. "
        "A Retry-After binds where any was kept.",
        bloomreach.result_rows,
    ),
    (
        "The token service",
        "Without a token nothing is sent: no event is touched, whatever the token service answers.",
        others.token_rows,
    ),
    (
        "Nobody's answer",
        "What cannot be the service's own, whatever it says: it counts for nothing. All destinations read it alike.",
        others.nobodys_rows,
    ),
    (
        "No answer",
        "What a connection can do. The first kind fails before the first byte of the request, the second after it.",
        others.connection_rows,
    ),
)


def document() -> str:
    """The whole document."""
    parts = [INTRODUCTION]
    for title, text, rows in SECTIONS:
        parts += [f"## {title}", text, table(rows())]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["-"]:
        sys.stdout.buffer.write(document().encode())
    else:
        (Path(__file__).parents[1] / "answers.md").write_bytes(document().encode())
