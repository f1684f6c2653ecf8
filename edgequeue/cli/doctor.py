"""`doctor`: looks at everything that sending needs, and says what is wrong and what to do. Sends no event."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgequeue.cli.context import Code, State, epilog, explained, is_missing, json_option, note_created
from edgequeue.cli.finding import CONNECT_SECONDS, Finding, wrong
from edgequeue.cli.inlets import open_inlets
from edgequeue.cli.output import clean, count, local, salvaged, sentence, write_json
from edgequeue.errors import EdgeQueueError
from edgequeue.model import Status
from edgequeue.views import PUT_BACK

if TYPE_CHECKING:
    from edgequeue.config import Settings
    from edgequeue.destinations.base import Destination
    from edgequeue.queue import EventQueue
    from edgequeue.views import DestinationView, QueueStatus, SalvageView

FREE_BYTES_MIN = 100 * 1024 * 1024
"""Less free space than this is reported: the log needs some to be copied back, the system needs the rest."""

YEAR_MIN = 2025
"""Before this version was written nobody enqueued anything: a clock that says so is wrong."""

DEAD_COUNTED_MAX = 10_000
"""Refused events are counted up to here; the ledger counts also those that were pruned since."""


@click.command(epilog=epilog("edgequeue doctor", "edgequeue doctor --json | jq '.findings[] | select(.ok | not)'"))
@click.option(
    "--validate",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Have Adobe check the first event of FILE against its schema (adobe-dccs, for development). An event that"
    " passes is stored there like any other.",
)
@click.option("--to", "name", metavar="NAME", help="The destination that --validate asks.")
@json_option('{"findings": [{"check", "ok", "text", "remedy"}, …]}.')
@click.pass_context
def doctor(ctx: click.Context, file: Path | None, name: str | None, as_json: bool) -> None:
    """Look at configuration, database, ledger, disk, permissions, clock, and for each destination at the network and
    the token; say what is wrong and what to do.

    A connection to each destination is opened and closed (5 seconds at most), and an account of type ims is asked for a
    token; no event is sent but with --validate. The exit code is that of the worst finding: 5 database or disk, 2
    configuration, token, clock or a pause, 3 events wait and nothing sends them, or a service is out of reach, 4 events
    were refused. WRONG is for you to mend; WARN may pass, or is advice.
    """
    state: State = ctx.obj
    found: list[Finding] = []
    for finding in chain(examine(state), _validated(state, file, name)):
        found.append(finding)
        if not as_json:
            _say(finding)
    if as_json:
        keys = ("check", "ok", "text", "remedy")
        write_json({"findings": [{key: getattr(one, key) for key in keys} for one in found]})
    elif all(one.ok for one in found):
        click.echo("\nAll is well.")
    codes = {one.code for one in found if not one.ok}
    ctx.exit(next((code for code in (Code.STORE, Code.WRONG, Code.REMAIN, Code.DIED) if code in codes), Code.DONE))


def _validated(state: State, file: Path | None, name: str | None) -> Iterator[Finding]:
    """What the service says of an event, where that was asked for."""
    if file is not None:
        from edgequeue.cli.validation import validated
        from edgequeue.config import load_settings

        yield from validated(load_settings(state.find_config()), file, name)
    elif name is not None:
        raise click.UsageError("--to goes with --validate.")


def _say(finding: Finding) -> None:
    if finding.ok:
        mark = click.style("ok     ", fg="green")
    elif finding.code in (Code.REMAIN, Code.DIED, Code.DONE):
        mark = click.style("WARN   ", fg="yellow", bold=True)
    else:
        mark = click.style("WRONG  ", fg="red", bold=True)
    indent = " " * 7
    sentence(clean(f"{finding.check}: {finding.text}"), indent, lead=mark)
    if finding.remedy:
        sentence(clean(finding.remedy), indent)


def examine(state: State) -> Iterator[Finding]:
    """All findings, in the order in which they would have to be mended."""
    from edgequeue.config import load_settings

    try:
        settings = load_settings(state.find_config())
    except EdgeQueueError as error:
        yield _refused("configuration", error)
        yield _clock()
        return
    names = ", ".join(settings.destinations) or "none"
    yield Finding("configuration", True, f"{settings.path}; destinations: {names}")
    if not settings.destinations:
        yield wrong("destinations", "there is none", "Add a [destinations.NAME] table to the configuration.")
    for warning in settings.warnings:
        text, _, remedy = warning.partition("; ")
        yield wrong("secrets", text, remedy[:1].upper() + remedy[1:])
    status = yield from _store(settings)
    yield _clock()
    for destination in settings.destinations.values():
        if destination.enabled:
            yield from _destination(destination)
        else:
            yield Finding(f"destination {destination.name}", True, "switched off (enabled = false); its events wait")
    yield from _tokens(settings, status)


def _store(settings: Settings) -> Generator[Finding, None, QueueStatus | None]:
    """Database, ledger, disk and permissions; returns how the queue stands, None where it cannot be opened."""
    from edgequeue.queue import EventQueue

    database = settings.queue.database
    yield _disk(database)
    if database.exists() and not os.access(database, os.W_OK):
        yield unwritable("database", database)
    new = is_missing(database)
    try:
        with EventQueue.from_settings(settings, looking=True) as queue:
            if new:
                note_created(database)
                remedy = "If there should be one, look for its file: deleted, moved, or its disk not mounted."
                yield Finding("database", False, f"there was none at {database}; a new, empty one was created", remedy)
            damage = queue.damage()  # first: what it finds it mends, and what stands then is told
            status = queue.status()
            yield from _books(queue, status, damage)
    except EdgeQueueError as error:
        yield _refused("database", error)
        return None
    mode = stat.S_IMODE(database.stat().st_mode)
    if mode & 0o077:
        yield wrong("permissions", f"{database}: other users may read it ({mode:o})", f"Run chmod 600 {database}")
    else:
        yield Finding("permissions", True, f"{database} belongs to its owner alone")
    return status


def _books(queue: EventQueue, status: QueueStatus, damage: Sequence[str]) -> Iterator[Finding]:
    if damage:
        remedy = "Make room on the disk and run this again: it is salvaged by itself, and nothing of it is deleted."
        yield Finding("database", False, f"{status.database} is damaged: {damage[0]}", remedy, Code.STORE)
    else:
        yield Finding(
            "database", True, f"{status.database}, schema {status.schema_revision}, {status.disk_bytes:,} bytes"
        )
    for one in status.salvages:
        yield _salvaged(one)
    ledger = status.ledger
    text = f"{ledger.enqueued:,} events enqueued"
    if ledger.balanced:
        yield Finding("ledger", True, f"{text}, each accounted for")
    else:
        remedy = "Keep a copy of the database and report this: it must never happen."
        yield Finding("ledger", False, f"{text}, and the states add up to another number", remedy, Code.STORE)
    yield _worker(status)
    for name, view in status.destinations.items():
        finding = _delivery(name, view)
        if finding is not None:
            yield finding
    yield from open_inlets(queue)
    dead = sum(1 for _ in queue.events(Status.DEAD, limit=DEAD_COUNTED_MAX + 1))
    if dead:
        many = f"more than {DEAD_COUNTED_MAX:,} events" if dead > DEAD_COUNTED_MAX else count(dead, "event")
        remedy = "See why: edgequeue list --status dead. Once mended: edgequeue requeue."
        yield Finding("dead events", False, f"{many} refused, and kept", remedy, Code.DIED)


def _salvaged(one: SalvageView) -> Finding:
    """A damaged file that was moved aside is reported for as long as it is there."""
    text = f"{salvaged(one)}; the damaged file is {one.place}"
    if not Path(one.place).exists():
        return Finding("salvage", True, f"{text}, and has been deleted since")
    remedy = "Check the card or disk: it may be failing. Keep the file until you miss nothing, then delete it."
    if PUT_BACK in one.reason:
        remedy = f"If you put a copy back, all is well. {remedy}"
    unharmed = one.events and not one.lost and not one.more_lost
    return Finding("salvage", False, text, remedy, Code.DONE if unharmed else Code.DIED)


def _worker(status: QueueStatus) -> Finding:
    """Whether anything sends; events of destinations that are switched off or not configured ask for nothing."""
    waiting = sum(
        view.counts.pending + view.counts.sending
        for view in status.destinations.values()
        if view.reason is None or view.reason.code not in ("disabled", "unconfigured")
    )
    if status.worker is not None:
        return Finding("worker", True, f"{status.worker.kind}, process {status.worker.pid}")
    if not waiting:
        return Finding("worker", True, "none is running, and nothing waits to be sent")
    wait = "waits" if waiting == 1 else "wait"
    remedy = "Run edgequeue sync (once) or edgequeue run (for good, see examples/edgequeue.service)."
    return Finding("worker", False, f"{count(waiting, 'event')} {wait} and no worker is running", remedy, Code.REMAIN)


def _delivery(name: str, view: DestinationView) -> Finding | None:
    """What holds a destination's events back; None where nothing does, or where it was switched off on purpose."""
    waiting = view.counts.pending + view.counts.sending
    reason = view.reason
    if view.state == "ok" or (reason is not None and reason.code == "disabled"):
        return None
    if view.state == "unconfigured":
        return wrong(f"destination {name}", reason.text, reason.remedy) if waiting and reason is not None else None
    if view.state == "paused":
        return wrong(f"delivery {name}", f"paused: {reason.text}", reason.remedy) if reason is not None else None
    if not waiting:
        return None
    text = reason.text if reason is not None else "each event was refused and is tried again"
    when = f"; next try {local(view.next_attempt_at)}" if view.next_attempt_at else ""
    remedy = (
        reason.remedy if reason is not None else ""
    ) or "A worker tries again by itself; edgequeue sync tries now."
    wait = f"{count(waiting, 'event')} {'waits' if waiting == 1 else 'wait'}"
    return Finding(
        f"delivery {name}", False, f"{view.state.replace('_', ' ')}, {wait}: {text}{when}", remedy, Code.REMAIN
    )


def _disk(database: Path) -> Finding:
    from edgequeue.store.reserve import is_spent

    place = database.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        text = f"{place}: {error.strerror}"
        return Finding("disk", False, text, "Create the directory, or correct [queue] database.", Code.STORE)
    if not os.access(place, os.W_OK):
        return unwritable("disk", place)
    if free < FREE_BYTES_MIN:
        remedy = (
            "Free some space; edgequeue sync and prune work all the same, and prune makes room within the database."
        )
        text = f"{free // 1024**2:,} MB free at {place}"
        if is_spent(database):
            text += "; the reserve is given up so that delivering can go on, and enqueue only takes what fits within"
        return Finding("disk", False, text, remedy, Code.STORE)
    return Finding("disk", True, f"{free // 1024**2:,} MB free at {place}")


def unwritable(check: str, place: Path) -> Finding:
    """A file or directory that cannot be written: the file system, its mode, or its owner."""
    seen = place.stat()
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        text = f"{place} is on a file system that is mounted read-only"
        remedy = "Mount it for writing, or set [queue] database to a path elsewhere."
    elif seen.st_uid == os.geteuid():
        text = f"{place} is yours, but its mode {stat.S_IMODE(seen.st_mode):o} does not let you write"
        remedy = f"Run chmod u+w {place}"
    else:
        text = f"{place} belongs to user {seen.st_uid}, and you are user {os.geteuid()}"
        remedy = "Run as that user, or change the owner."
    return Finding(check, False, text, remedy, Code.STORE)


def _clock() -> Finding:
    from edgequeue.clock import SystemClock

    now = datetime.now(UTC)
    if now.year < YEAR_MIN:
        remedy = "Set it, or let it be set (timedatectl set-ntp true): events without a timestamp are stamped by it."
        return wrong("clock", f"it says {now:%Y-%m-%d %H:%M} UTC", remedy)
    trusted = "synchronised" if SystemClock().wall_trusted() else "nothing vouches for it; ages are a lower bound"
    return Finding("clock", True, f"{now:%Y-%m-%d %H:%M:%S} UTC, {trusted}")


def _destination(destination: Destination) -> Iterable[Finding]:
    """Whether it can be reached, and what its settings leave to chance."""
    from edgequeue.cli.reach import certificates, reach
    from edgequeue.destinations.adobe_dccs import AdobeDccs

    name = destination.name
    tls = certificates(destination)
    if isinstance(tls, str):
        yield wrong(f"destination {name}", tls, f"Correct it in [destinations.{name}], or the file's permissions.")
    else:
        reached = reach(destination, min(CONNECT_SECONDS, destination.connect_timeout_seconds), tls)
        remedy = None if reached.ok else "Check the network, its proxy and the endpoint; the events wait until then."
        yield Finding(f"destination {name}", reached.ok, reached.text, remedy, Code.REMAIN)
    if isinstance(destination, AdobeDccs) and not destination.org_id:
        text = "org_id is not set, so Adobe takes the inlet's; a wrong inlet would not be noticed"
        yield Finding(f"org_id {name}", False, text, f'Add org_id = "…@AdobeOrg" to [destinations.{name}].')


def _tokens(settings: Settings, status: QueueStatus | None) -> Iterator[Finding]:
    """Whether there are credentials: once for each account."""
    signed = [one for one in settings.destinations.values() if one.enabled and one.signs]
    if signed:
        from edgequeue.cli.credential import tokens

        yield from tokens(signed, {} if status is None else status.destinations)


def _refused(check: str, error: EdgeQueueError) -> Finding:
    """An error of ours as a finding: its last sentence is the remedy."""
    code, text = explained(error)
    text, _, remedy = text.rstrip(".").rpartition(". ")
    return Finding(check, False, text or remedy, f"{remedy}." if text else None, code)
