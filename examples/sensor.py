"""A Raspberry Pi sensor: one reading a minute into the queue; `edgequeue run` (a systemd service) sends them.

    python examples/sensor.py edgequeue.toml --readings 3 --seconds 0

The process that measures and the process that sends are two: either can be restarted, and a reading is safe as soon
as `enqueue` returns. `examples/edgequeue.service` is the unit for the sender.
"""

import argparse
import sys
import time
from pathlib import Path

from edgequeue import EdgeQueueError, EventQueue, QueueBusy

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")


def temperature() -> float:
    """The processor's temperature in degrees Celsius; a plausible one where there is no such sensor."""
    try:
        return int(THERMAL.read_text()) / 1000
    except (OSError, ValueError):
        return 42.0


def reading(device: str) -> dict:
    return {
        "xdm": {
            "eventType": "sensor.reading",
            "identityMap": {"DeviceID": [{"id": device, "primary": True}]},
            "_example": {"temperature": temperature()},
        }
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="edgequeue.toml")
    parser.add_argument("--device", default="pi-1")
    parser.add_argument("--readings", type=int, default=0, help="stop after so many; 0 goes on for ever")
    parser.add_argument("--seconds", type=float, default=60.0, help="between two readings")
    options = parser.parse_args()
    taken = 0
    with EventQueue.open(options.config) as queue:
        while options.readings == 0 or taken < options.readings:
            try:
                print(queue.enqueue(reading(options.device)), flush=True)
            except QueueBusy:
                continue  # another process was writing; nothing was stored, so take it again
            except EdgeQueueError as error:
                print(f"not stored: {error}", file=sys.stderr)  # a full disk, a limit: say so and go on measuring
            taken += 1
            time.sleep(options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
