"""`sync` and `run`: sending, once or for good."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from edgequeue.cli.context import Code, OnStderr, State, Wrong, epilog, json_option
from edgequeue.cli.output import clean, count, sentence, write_json

if TYPE_CHECKING:
    from rich.console import Console

    from edgequeue.queue import EventQueue
    from edgequeue.sync import Progress
    from edgequeue.views import SyncReport

STOP_SECONDS = 10.0
"""How long `run` waits for what is under way before it cuts it off; nothing is lost either way."""

_ENDING = (signal.SIGINT, signal.SIGTERM)


@click.command(
    epilog=epilog("edgequeue sync", "edgequeue sync --to web --timeout 60", "edgequeue sync --json --limit 1000")
)
@click.option("--to", metavar="NAME", help="Only this destination; without it, all that are enabled.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help="End when N events have been delivered or refused; what is left then is no reason for exit code 3.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="Try again until the queue is empty or the time is up; a destination that is paused has one try at the start"
    " and is not waited for. Without it, end when every destination has to wait.",
)
@json_option("one document when it is done.")
@click.pass_context
def sync(ctx: click.Context, to: str | None, limit: int | None, timeout: float | None, as_json: bool) -> None:
    """Send what waits, now, and say what became of it.

    By hand means now: our own backoff and a pause are skipped for one try, a Retry-After of the service is not. Where
    edgequeue run is at work, it is asked to send, and its progress is followed. Ctrl-C or SIGTERM ends it; nothing is
    lost.
    """
    state: State = ctx.obj
    with _interruptible(), state.queue() as queue:
        target = queue.target(to or next(iter(queue.destinations), None))
        if to is not None and not target.enabled:
            raise Wrong(f"{to} is switched off (enabled = false). Set enabled = true in [destinations.{to}].")
        with _progress(queue, to, limit, ctx.meta["edgequeue.log"]) as on_progress:
            report = queue.sync(timeout, destination=to, limit=limit, on_progress=on_progress, catch_interrupt=True)
        code = _code(queue, to, report)
        if as_json:
            write_json(report)
        else:
            _say(queue, report, code)
    ctx.exit(code)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM is what Ctrl-C is, from whoever stops a sync that takes too long: no request is left open."""

    def interrupt(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # supervisors may send two: one is enough
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _code(queue: EventQueue, to: str | None, report: SyncReport) -> Code:
    """What the report means to who called: destinations that are switched off were not asked to send."""
    if report.stopped_because == "interrupted":
        return Code.INTERRUPTED
    if report.stopped_because != "limit" and any(
        number for name, number in _waiting(queue).items() if to in (None, name) and not _switched_off(queue, name)
    ):
        return Code.REMAIN
    return Code.DIED if report.dead else Code.DONE


def _waiting(queue: EventQueue) -> dict[str, int]:
    """How many events wait or are under way, for each destination."""
    return {name: one.counts.pending + one.counts.sending for name, one in queue.status().destinations.items()}


def _switched_off(queue: EventQueue, name: str) -> bool:
    return name in queue.destinations and not queue.destinations[name].enabled


def _say(queue: EventQueue, report: SyncReport, code: Code) -> None:
    """One sentence about what was done, one about what waits."""
    done = f"{count(report.delivered, 'event')} delivered, {report.dead:,} dead, {report.remaining:,} left"
    sentence(f"{done}; {count(report.requests, 'request')} in {report.seconds:.1f} s.")
    if code is Code.INTERRUPTED:
        sentence("Interrupted. Nothing is lost: what was under way is sent again.")
    elif report.stopped_because == "limit" and report.remaining:
        sentence("The limit is reached.")
    elif code is Code.REMAIN:
        late = "The time is up. " if report.stopped_because == "timeout" else ""
        sentence(clean(late + queue.status().why))
    else:
        off = {name: number for name, number in _waiting(queue).items() if number and _switched_off(queue, name)}
        for name, number in off.items():
            wait = "waits" if number == 1 else "wait"
            sentence(f"{count(number, 'event')} {wait} for {name}, which is switched off (enabled = false).")
    if report.dead:
        sentence("See what was refused, and why: edgequeue list --status dead")


@contextmanager
def _progress(
    queue: EventQueue, to: str | None, limit: int | None, log: OnStderr
) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on stderr where that is a terminal: done of all that can be sent, rate, time left.

    What is logged meanwhile stands above it.
    """
    waiting = _waiting(queue)
    sent = {name for name in waiting if name in queue.destinations and not _switched_off(queue, name)}
    start = sum(number for name, number in waiting.items() if name in sent and to in (None, name))
    aside = 0 if to is not None else sum(number for name, number in waiting.items() if name not in sent)
    if not start or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", justify="right"),
        TimeRemainingColumn(),
    )
    # Room for the ^C that a terminal writes: in the last column it would break the line, and leave half a bar behind.
    console = Console(stderr=True, width=max(shutil.get_terminal_size().columns - 4, 20))
    with Bar(*columns, console=console, expand=True) as bar, _above(bar.console, log):
        task = bar.add_task("", total=start if limit is None else min(start, limit), rate="")

        def show(progress: Progress) -> None:
            done = progress.delivered + progress.dead
            total = done + max(progress.remaining - aside, 0)
            total = total if limit is None else min(total, limit)
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.0f} events/s" if speed else "")

        yield show


@contextmanager
def _above(console: Console, log: OnStderr) -> Iterator[None]:
    """Log records written by the console that shows the bar: on lines of their own."""
    before = log.say
    log.say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    try:
        yield
    finally:
        log.say = before


# --- for good --------------------------------------------------------------------------------------------------------


@click.command(epilog=epilog("edgequeue run", "edgequeue --config /etc/edgequeue/edgequeue.toml run"))
@click.pass_context
def run(ctx: click.Context) -> None:
    """Send for good, in the foreground, for systemd or another supervisor; the log goes to stderr.

    SIGTERM ends it with exit code 0, Ctrl-C with 130: what is under way has 10 seconds, then it is cut off and sent
    again later. Where another process is sending already, this one waits until that has ended.
    """
    _log_with_times(ctx)
    failure: list[BaseException] = []

    def failed(found: threading.ExceptHookArgs) -> None:
        """A worker's thread broke: end the process, so that the supervisor starts it anew."""
        if found.exc_value is not None:
            failure.append(found.exc_value)
        os.kill(os.getpid(), signal.SIGTERM)

    state: State = ctx.obj
    received: signal.Signals | None = None
    before = threading.excepthook
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # the threads inherit it: sigwait alone gets them
    try:
        with state.queue() as queue:
            _announce(queue)
            threading.excepthook = failed
            queue.start(kind="run")
            received = signal.Signals(signal.sigwait(_ENDING))
            # A second Ctrl-C ends the waiting. A second SIGTERM stays blocked to the end: supervisors may send two.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
            queue.stop(STOP_SECONDS)
    finally:
        threading.excepthook = before
        if received is None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if failure:
        raise failure[0]
    click.echo("Stopped. What was not delivered waits in the queue.")
    ctx.exit(Code.INTERRUPTED if received == signal.SIGINT else Code.DONE)


def _log_with_times(ctx: click.Context) -> None:
    """The log of a program that runs for days: each record, with its time, from INFO on."""
    handler = ctx.meta["edgequeue.log"]
    assert isinstance(handler, OnStderr)
    handler.timed = True
    log = logging.getLogger("edgequeue")
    log.setLevel(min(log.level, logging.INFO))


def _announce(queue: EventQueue) -> None:
    """What is sent from where to where; while another process does it, that this one waits for its turn."""
    status = queue.status()
    names = [name for name, one in queue.destinations.items() if one.enabled]
    to = ", ".join(names) or "no destination: none is enabled"
    if status.worker is None:
        click.echo(f"Sending from {status.database} to {to}.")
    else:
        who = "A sync" if status.worker.kind == "sync" else "Another worker"
        click.echo(f"{who} (process {status.worker.pid}) is sending; waiting to send from {status.database} to {to}.")
