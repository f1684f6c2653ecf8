"""The services on loopback: a second, independent reading of their contracts, with faults.

Adobe Edge, DCCS, IMS, Flow Service with Data Prep, Schema Registry and Catalog, and Bloomreach Engagement.

Imports nothing of edgequeue outside this package and nothing beyond the standard library, so that it can disagree with
the client.

    with Emulator(port=0) as emulator:
        emulator.add_fault(Fault("status", status=503))
        ...
        assert emulator.arrived.duplicates == 0
"""

from __future__ import annotations

from edgequeue.emulator.compact import parse_fault
from edgequeue.emulator.faults import FORMS, KINDS, Fault
from edgequeue.emulator.memory import Arrived, RequestSeen
from edgequeue.emulator.mood import Mood
from edgequeue.emulator.options import Inlet
from edgequeue.emulator.server import Emulator

__all__ = ["FORMS", "KINDS", "Arrived", "Emulator", "Fault", "Inlet", "Mood", "RequestSeen", "parse_fault"]
