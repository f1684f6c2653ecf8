"""An embedded till: selling goes on while the network is cut and returned.

Runs as it stands against the built-in emulator:

    python examples/till.py

In a real till the two marked lines go, and `endpoint` is Adobe's.
"""

import tempfile
import threading
from pathlib import Path

from edgequeue import AdobeEdge, EventQueue
from edgequeue.emulator import Emulator  # (only here)

SALES = 30


def sale(number: int) -> dict:
    return {
        "xdm": {
            "eventType": "commerce.purchases",
            "identityMap": {"TillID": [{"id": "till-7", "primary": True}]},
            "commerce": {"order": {"purchaseID": f"P{4700 + number}", "priceTotal": 12.5, "currencyCode": "EUR"}},
        }
    }


def main() -> None:
    delivered = threading.Semaphore(0)
    with tempfile.TemporaryDirectory() as directory, Emulator() as service:  # (only here)
        shop = AdobeEdge(
            "shop", endpoint=service.url, datastream_id="demo", reference_path="xdm.commerce.order.purchaseID"
        )
        database = Path(directory) / "till.db"
        with EventQueue(database, [shop], on_delivered=lambda record: delivered.release()) as queue:
            queue.start()  # the worker drains in the background from here on
            for number in range(SALES):
                if number == 10:
                    service.go_offline()
                    print("the network is gone; the till sells on")
                if number == 20:
                    service.go_online()
                    print("the network is back")
                event_id = queue.enqueue(sale(number))  # on disk when this returns
                print(f"sold P{4700 + number}: {event_id}")
            for _ in range(SALES):
                delivered.acquire(timeout=60)
            (record,) = queue.find("P4715")  # sold while the network was gone
            print(f"P4715 is {record.status}, receipt {record.receipt}")
            print(f"{queue.status().ledger.delivered} of {SALES} sales delivered, {service.arrived.distinct} arrived")


if __name__ == "__main__":
    main()
