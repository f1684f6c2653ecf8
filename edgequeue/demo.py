"""The whole story in under a minute: offline, sell, power cut, back online, drain, ask. Every figure is of this run.

`python -m edgequeue.demo CONFIG FIRST COUNT` is the till of the story: a process of its own, so that it can be killed.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from edgequeue.emulator import Emulator

SALES_BEFORE, SALES_IN_ALL = 60, 240
"""Sales acknowledged before the till is killed, and sales in the whole story."""

SYNC_SECONDS = 40.0

ARTICLES = (("espresso", 2.4), ("croissant", 2.1), ("flat white", 3.8), ("lemonade", 3.2), ("bagel", 4.6))

CONFIG = """# Left behind by `edgequeue demo`. The service it names was an emulator and is gone.
[queue]
database = "till.db"

[destinations.web]
type = "adobe-edge"
endpoint = "{url}"
datastream_id = "demo-datastream"
reference_path = "xdm.commerce.order.purchaseID"
batch_events_max = 30
requests_in_flight_max = 2
"""


def run(directory: Path | None = None, *, fast: bool = False) -> int:
    """Tell the story; 0 when every promise held, 1 otherwise. `directory` is where the database is left.

    `fast` shortens the waits that the service asks for.
    """
    from rich.console import Console

    from edgequeue.emulator import Emulator

    console = Console(highlight=False, soft_wrap=False)
    place = Path(tempfile.mkdtemp(prefix="edgequeue-demo-")) if directory is None else directory
    place.mkdir(parents=True, exist_ok=True)
    config = place / "edgequeue.toml"
    if (place / "till.db").exists():
        console.print(f"{place} holds the database of an earlier demo. Name another directory.", style="red")
        return 2
    with Emulator() as service:
        config.write_text(CONFIG.format(url=service.url))
        config.chmod(0o600)
        return Story(console, service, config, fast).tell()


@dataclass(slots=True)
class Story:
    """The demo, act by act."""

    console: Console
    service: Emulator
    config: Path
    fast: bool

    def tell(self) -> int:
        self.say("1", "The network is down. A till sells.")
        self.service.go_offline()
        acknowledged = self.sell(1, SALES_BEFORE, kill=True)
        self.tell_line(f"[red]SIGKILL[/] in the middle of the next; {len(acknowledged)} sales had been acknowledged.")

        self.say("2", "The till starts again and goes on selling.")
        missing = self.missing(acknowledged)
        self.tell_line(f"Of the {len(acknowledged)} acknowledged sales, [bold]{len(missing)}[/] are missing on disk.")
        acknowledged += self.sell(len(acknowledged) + 1, SALES_IN_ALL - len(acknowledged))
        self.tell_why()

        poison = acknowledged[len(acknowledged) // 3]
        self.say("3", "The network comes back, in a bad mood.")
        self.bad_mood(poison)
        self.drain()
        return self.close_the_books(acknowledged, missing, poison)

    # --- acts ---------------------------------------------------------------------------------------------------------

    def sell(self, first: int, count: int, *, kill: bool = False) -> list[str]:
        """Run the till as a process; returns the ids that it printed, each after its `enqueue` had returned."""
        command = [sys.executable, "-m", "edgequeue.demo", str(self.config), str(first), str(10**9 if kill else count)]
        ids: list[str] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as till:
            assert till.stdout is not None
            while len(ids) < count and (line := till.stdout.readline()):
                ids.append(self.heard(line, len(ids), count))
            if kill:
                till.send_signal(signal.SIGKILL)
                ids += [line.split()[0] for line in till.stdout if line.endswith("\n")]
        return ids

    def heard(self, line: str, done: int, count: int) -> str:
        """One line of the till; the first few and the last are shown."""
        event_id, reference, article, price = line.rstrip("\n").split("\t")
        if done < 3 or done == count - 1:
            self.tell_line(f"sold {reference}  {article:<10} {price:>5} €  [dim]{event_id}[/]")
        elif done == 3:
            self.tell_line("[dim]…[/]")
        return event_id

    def missing(self, acknowledged: list[str]) -> list[str]:
        from edgequeue.queue import EventQueue

        with EventQueue.open(self.config) as queue:
            stored = {record.event_id for record in queue.events()}
        return [one for one in acknowledged if one not in stored]

    def tell_why(self) -> None:
        from edgequeue.queue import EventQueue

        with EventQueue.open(self.config) as queue:
            queue.sync()
            self.tell_line("It tries to send, and [bold]edgequeue why[/] says:")
            self.tell_line(f"[yellow]{queue.status().why}[/]")

    def bad_mood(self, poison: str) -> None:
        from edgequeue.emulator import Fault

        seconds = 1.0 if self.fast else 3.0
        self.service.add_fault(Fault("retry_after", seconds=seconds))
        self.service.add_fault(Fault("captive_portal"))
        self.service.add_fault(Fault("cut_after"))
        self.service.add_fault(Fault("status", status=422, times=None, event_id=poison))
        self.service.go_online()
        self.tell_line(f"First a 503 (“come back in {seconds:g} s”), then a Wi-Fi login page, then a batch")
        self.tell_line("is taken and the answer lost; and one event will never be accepted.")

    def drain(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        from edgequeue.queue import EventQueue
        from edgequeue.sync import Progress as Done

        with EventQueue.open(self.config) as queue:
            total = queue.status().ledger.pending
            columns = (TextColumn("    draining"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
            with Progress(*columns, console=self.console) as bar:
                task = bar.add_task("", total=total)

                def moved(done: Done) -> None:
                    bar.update(task, completed=total - done.remaining)

                report = queue.sync(timeout_seconds=SYNC_SECONDS, on_progress=moved)
        for trip in reversed(self.requests()):
            self.tell_line(trip)
        many = "1 request" if report.requests == 1 else f"{report.requests} requests"
        self.tell_line(f"{many} in {report.seconds:.1f} s, mostly waiting as the service asked.")

    def requests(self) -> list[str]:
        """What became of each request that did not simply succeed."""
        from edgequeue.queue import EventQueue

        with EventQueue.open(self.config) as queue:
            found = [one for one in queue.requests() if one.outcome != "accepted"]
        lines = []
        for one in found:
            answer = f"HTTP {one.http_status}" if one.http_status else "no answer"
            text = (one.error.message if one.error else None) or ""
            count = f"{one.events} event{'s' if one.events > 1 else ''}"
            lines.append(f"{count:<10} {answer:<9} {one.outcome:<9} [dim]{text[:42]}[/]")
        return lines

    def close_the_books(self, acknowledged: list[str], missing: list[str], poison: str) -> int:
        from rich.table import Table

        from edgequeue.queue import EventQueue

        with EventQueue.open(self.config) as queue:
            ledger = queue.status().ledger
            record = queue.get(poison)
            stored = {one.event_id: one.status for one in queue.events()}
        arrived = self.service.arrived
        lost = [one for one in stored if stored[one] == "delivered" and one not in arrived.by_id]
        self.say("4", "The books.")
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 4))
        table.add_row("acknowledged", f"{len(acknowledged)}", f"{len(missing)} missing after the kill")
        table.add_row("enqueued", f"{ledger.enqueued}", "+1 where the kill hit after the commit")
        table.add_row("delivered", f"{ledger.delivered}", f"{len(lost)} of them unknown to the service")
        reason = f"{record.error.status} {record.error.message}" if record and record.error else "none"
        table.add_row("dead", f"{ledger.dead}", reason[:42])
        table.add_row("duplicates", f"{arrived.duplicates}", "the lost answer; sent with the same _id")
        table.add_row("ledger", "balanced" if ledger.balanced else "NOT BALANCED", "enqueued = the sum of all states")
        self.show(table)
        self.say("5", "Ask yourself. The database is still there:")
        own = own_command()
        for command in ("status", "list --status dead", f"show {poison}", "requests"):
            self.tell_line(f"{own} --config {self.config} {command}", wrap=False)
        good = ledger.balanced and not missing and not lost and ledger.dead == 1 and ledger.pending == 0
        return 0 if good else 1

    # --- the voice ----------------------------------------------------------------------------------------------------

    def say(self, number: str, text: str) -> None:
        self.show(f"\n[bold cyan]{number}[/]  [bold]{text}[/]")

    def tell_line(self, text: str, *, wrap: bool = True) -> None:
        self.show(f"    {text}", wrap=wrap)

    def show(self, what: object, *, wrap: bool = True) -> None:
        self.console.print(what, soft_wrap=not wrap)


def own_command() -> str:
    """How the reader can run edgequeue: by its name where that is on the path, else as this process was run."""
    found = which("edgequeue")
    if found is not None and Path(found).parent == Path(sys.executable).parent:
        return "edgequeue"
    beside = Path(sys.executable).with_name("edgequeue")
    return str(beside) if beside.exists() else f"{sys.executable} -m edgequeue"


def till(config: Path, first: int, count: int, out: IO[str]) -> None:
    """Sell; each line is written after the sale is safe."""
    from edgequeue.queue import EventQueue

    with EventQueue.open(config) as queue:
        for number in range(first, first + count):
            article, price = ARTICLES[number % len(ARTICLES)]
            reference = f"P{4700 + number}"
            event_id = queue.enqueue(sale(reference, article, price))
            out.write(f"{event_id}\t{reference}\t{article}\t{price:.2f}\n")
            out.flush()


def sale(reference: str, article: str, price: float) -> dict[str, object]:
    """One purchase as XDM."""
    return {
        "xdm": {
            "eventType": "commerce.purchases",
            "identityMap": {"TillID": [{"id": "till-7", "primary": True}]},
            "commerce": {"order": {"purchaseID": reference, "priceTotal": price, "currencyCode": "EUR"}},
            "productListItems": [{"name": article, "quantity": 1, "priceTotal": price}],
        }
    }


if __name__ == "__main__":
    till(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.stdout)
