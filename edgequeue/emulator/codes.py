"""The names under which a status fault finds a service's own error bodies, and whose each of them is."""

from __future__ import annotations

from collections.abc import Mapping

from edgequeue.emulator import bloomreach, platform_problems
from edgequeue.emulator.edge_problems import PROBLEMS

CODES: Mapping[str, tuple[str, int]] = {
    **{code: ("edge", status) for code, (status, _, _) in PROBLEMS.items()},
    **{code: ("bloomreach", status) for code, (status, _, _) in bloomreach.REFUSALS.items()},
    **{
        code: ("platform", platform_problems.status_of(code))
        for code in (*platform_problems.GATEWAY, *platform_problems.SERVICE)
    },
}
"""Code -> service, HTTP status: EXEG numbers, names of Bloomreach's refusals, codes of the gateway and Flow Service."""
