"""What `doctor` finds: one thing that was looked at, and whether it is well."""

from __future__ import annotations

from dataclasses import dataclass

from edgequeue.cli.context import Code

CONNECT_SECONDS = 5.0
"""How long a destination or a token service may take to accept a connection."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `code` is the exit code it stands for when it is not well, 0 for mere advice."""

    check: str
    ok: bool
    text: str
    remedy: str | None = None
    code: Code = Code.DONE


def wrong(check: str, text: str, remedy: str) -> Finding:
    """Something for the operator to mend: exit code 2."""
    return Finding(check, False, text, remedy, Code.WRONG)
