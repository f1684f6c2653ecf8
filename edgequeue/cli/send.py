"""`sync` and `run`: sending, once or for good."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from edgequeue.cli.context import Code, OnStderr, State, epilog, json_option
from edgequeue.cli.output import count, sentence, write_json

if TYPE_CHECKING:
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
    help="Try again until the queue is empty or the time is up; without it, end when every destination has to wait.",
)
@json_option("one document when it is done.")
@click.pass_context
def sync(ctx: click.Context, to: str | None, limit: int | None, timeout: float | None, as_json: bool) -> None:
    """Send what waits, now, and say what became of it.

    By hand means now: our own backoff and a pause are skipped for one try, a Retry-After of the service is not. Where
    edgequeue run is at work, it is asked to send, and its progress is followed. Ctrl-C ends it; nothing is lost.
    """
    state: State = ctx.obj
    with state.queue() as queue:
        queue.target(to or next(iter(queue.destinations), None))
        with _progress(queue, to, limit) as on_progress:
            report = queue.sync(timeout, destination=to, limit=limit, on_progress=on_progress, catch_interrupt=True)
        code = _code(queue, to, report)
        if as_json:
            write_json(report)
        else:
            _say(queue, report, code)
    ctx.exit(code)


def _code(queue: EventQueue, to: str | None, report: SyncReport) -> Code:
    """What the report means to who called: destinations that are switched off were not asked to send."""
    if report.stopped_because == "interrupted":
        return Code.INTERRUPTED
    if report.stopped_because != "limit" and any(
        view.counts.pending + view.counts.sending
        for name, view in queue.status().destinations.items()
        if to in (None, name) and (name not in queue.destinations or queue.destinations[name].enabled)
    ):
        return Code.REMAIN
    return Code.DIED if report.dead else Code.DONE


def _say(queue: EventQueue, report: SyncReport, code: Code) -> None:
    """One sentence about what was done, one about what waits."""
    done = f"{count(report.delivered, 'event')} delivered, {report.dead:,} dead, {report.remaining:,} left"
    sentence(f"{done}; {count(report.requests, 'request')} in {report.seconds:.1f} s.")
    if code is Code.INTERRUPTED:
        sentence("Interrupted. Nothing is lost: what was under way is sent again.")
    elif report.stopped_because == "limit" and report.remaining:
        sentence("The limit is reached.")
    elif report.remaining:
        late = "The time is up. " if report.stopped_because == "timeout" else ""
        sentence(late + queue.status().why)
    if report.dead:
        sentence("See what was refused, and why: edgequeue list --status dead")


@contextmanager
def _progress(queue: EventQueue, to: str | None, limit: int | None) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on stderr where that is a terminal: done of all, rate, time left."""
    start = sum(
        one.counts.pending + one.counts.sending
        for name, one in queue.status().destinations.items()
        if to in (None, name)
    )
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
    with Bar(*columns, console=Console(stderr=True), expand=True) as bar:
        task = bar.add_task("", total=start if limit is None else min(start, limit), rate="")

        def show(progress: Progress) -> None:
            done = progress.delivered + progress.dead
            total = done + progress.remaining if limit is None else min(done + progress.remaining, limit)
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.0f} events/s" if speed else "")

        yield show


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
    """What is sent from where to where, and who is in the way."""
    status = queue.status()
    names = [name for name, one in queue.destinations.items() if one.enabled]
    click.echo(f"Sending from {status.database} to {', '.join(names) or 'no destination: none is enabled'}.")
    if status.worker is not None:
        who = "a sync" if status.worker.kind == "sync" else "another worker"
        click.echo(f"{who.capitalize()} (process {status.worker.pid}) is sending; waiting for it to end.")
