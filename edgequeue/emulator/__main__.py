"""`python -m edgequeue.emulator`: the emulator as a program. First line: where it listens; then a line per request."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from edgequeue.emulator.compact import parse_fault, with_end
from edgequeue.emulator.faults import KINDS, Fault
from edgequeue.emulator.given import given_of
from edgequeue.emulator.memory import RequestSeen
from edgequeue.emulator.mood import Mood
from edgequeue.emulator.options import ERROR_SHAPES, TOKEN_SECONDS, TOKEN_SECONDS_MAX, Given
from edgequeue.emulator.server import Emulator

MOOD_RATE = 0.2
"""The share of the requests that a mood strikes, unless told otherwise."""
_ENDING = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `serve` needs to know; an empty `mood`: none. `given` are the options of the emulated organisation."""

    port: int = 0
    host: str = "127.0.0.1"
    given: Given = field(default_factory=Given, repr=False)
    faults: tuple[Fault, ...] = ()
    quiet: bool = False
    mood: tuple[Fault, ...] = ()
    mood_rate: float = MOOD_RATE
    mood_seed: int = 0


def serve(options: ServeOptions) -> int:
    """Run until SIGINT or SIGTERM, then print what arrived. The exit code: 0, or 2 where it cannot listen.

    To be called in the main thread: it blocks both signals there (and in the threads it starts) and waits for them,
    so that no handler ever runs in the middle of something.
    """
    emulator = Emulator(
        options.port,
        options.host,
        mood=Mood(options.mood_seed, options.mood_rate, options.mood) if options.mood else None,
        on_request=None if options.quiet else lambda seen: _print(describe(seen)),
        **options.given,
    )
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        with emulator:
            for fault in options.faults:
                emulator.add_fault(fault)
            _print(f"emulator listening on {emulator.url}")
            signal.sigwait(_ENDING)
    except OSError as error:
        print(f"cannot listen on {options.host}:{options.port}: {error.strerror or error}", file=sys.stderr)
        return 2
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    arrived = emulator.arrived
    _print(f"arrived {arrived.events}, distinct {arrived.distinct}, duplicates {arrived.duplicates}")
    return 0


def describe(seen: RequestSeen) -> str:
    """One readable line for a request; the time is UTC."""
    at = datetime.fromtimestamp(seen.at, UTC).strftime("%H:%M:%S.%f")[:-3]
    events = f"{seen.events} event{'' if seen.events == 1 else 's'}"
    fault = f"  fault: {seen.fault}" if seen.fault else ""
    status = seen.status or "no answer"
    return f"{at}  {seen.service or 'unknown'}  {seen.method} {seen.path}  {events}  {status}{fault}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and serve."""
    parser = _parser()
    values = vars(parser.parse_args(arguments))
    try:
        given = given_of(values)
    except ValueError as error:
        parser.error(str(error))
    return serve(
        ServeOptions(
            port=values["port"],
            host=values["host"],
            given=given,
            faults=tuple(values["fault"]),
            quiet=values["quiet"],
            mood=tuple(values["mood"]),
            mood_rate=values["mood_rate"],
            mood_seed=values["mood_seed"],
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edgequeue.emulator",
        description="Edge, DCCS, IMS, Flow Service and Bloomreach on loopback, with faults on request.",
    )
    add = parser.add_argument
    add("--port", type=int, default=0, help="port to listen on; 0, the default, takes a free one")
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--token", help="switches authentication on; the one valid bearer token")
    add("--client-id", metavar="ID", help="the one client id that IMS knows; its tokens are then asked for")
    add("--client-secret", metavar="TEXT", help="the one client secret; IMS's tokens are then asked for")
    add("--token-seconds", type=_number(TOKEN_SECONDS_MAX), default=TOKEN_SECONDS, help="life of a token (%(default)s)")
    add("--org-id", help="the organisation; messages of another are refused")
    add("--sandbox", metavar="NAME", help="the one sandbox that DCCS and Flow Service know")
    _add_many(parser)
    add("--public-token", metavar="TEXT", help="a Bloomreach access key; one is then asked for")
    add("--private-key", metavar="ID:SECRET", help="a private access key of Bloomreach; one is then asked for")
    add("--error-shape", choices=ERROR_SHAPES, default="older", help="shape of refused messages (%(default)s)")
    add("--no-smile", dest="smile", action="store_false", help="Edge and DCCS answer Smile with 415")
    add("--mood-rate", type=_number(1), default=MOOD_RATE, help="share of requests that a mood strikes (%(default)s)")
    add("--mood-seed", type=int, default=0, help="the same seed draws the same faults (%(default)s)")
    add("--quiet", action="store_true", help="no line per request")
    return parser


def _add_many(parser: argparse.ArgumentParser) -> None:
    def add(name: str, metavar: str, text: str, dest: str | None = None, kind: Callable[[str], object] = str) -> None:
        parser.add_argument(
            name, action="append", default=[], metavar=metavar, dest=dest, type=kind, help=f"{text} (repeatable)"
        )

    add("--datastream", "ID", "a known datastream; none: any", "datastreams")
    add("--inlet", "ID", "a known inlet, as ID[:authenticated|:open][:xdm|:raw]; none: any", "inlets")
    add("--require", "FIELD", "a field that each DCCS entity needs", "required_fields")
    add("--dataset", "ID=SCHEMA", "a known dataset with its schema's id; none: any", "datasets")
    add("--project-token", "TEXT", "a known Bloomreach project; none: any", "project_tokens")
    names = ", ".join(KINDS)
    add("--fault", "FAULT", f"name[:key=value]..., such as retry_after:seconds=2:times=3; names: {names}", kind=_fault)
    add("--mood", "FAULT", "a fault by chance", kind=_fault)


def _number(largest: float) -> Callable[[str], float]:
    def convert(text: str) -> float:
        found = float(text)
        if not 0 <= found <= largest:
            raise argparse.ArgumentTypeError(f"{text} is not from 0 to {largest}")
        return found

    return convert


def _fault(text: str) -> Fault:
    try:
        return with_end(parse_fault(text))
    except ValueError as error:  # argparse would replace the text of a ValueError with its own
        raise argparse.ArgumentTypeError(str(error)) from error


def _print(line: str) -> None:
    with suppress(BrokenPipeError):  # `emulator | head` must not take the services down
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
