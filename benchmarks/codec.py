"""Part of row 5, an experiment: what a compressed `codec` would give in bytes written, and cost in time.

zlib with a preset dictionary of 24 KB, made of other events of the same kinds. The store is the one that ships, given
payloads of the compressed size. These events are synthetic and alike, so real ones compress less well.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial

from events import POOL, encode_plainly, make_event
from harness import Bench, interleave, seconds_of
from lifetime import life, phases
from report import Figure, of_values
from storing import EDGE, encoded, payload_bytes, put_by_batch, put_singly

from edgequeue.model import Draft

DICTIONARY_BYTES = 24 * 1024
"""Larger ones gain nothing: zlib looks back 32 KB, and the event itself needs its share."""

LEVEL = 1
"""With a dictionary level 6 saves a seventh more and takes half as long again."""


def measure(bench: Bench) -> Iterator[tuple[str, Figure]]:
    count, repeats = bench.of((5000, 3), (1000, 1), (100, 1))
    plain = encoded()
    whole = payload_bytes(plain)
    with_dictionary = dictionary()
    small = [_squeezed(one, with_dictionary) for one in plain]
    sizes = f"{payload_bytes(small):.0f} of {whole:.0f} bytes"
    runs = {
        "single": partial(life, bench, put_singly, small, count, per=whole),
        "bulk": partial(life, bench, put_by_batch, small, count, per=whole),
    }
    for name, lives in interleave(runs, repeats).items():
        yield f"codec_{name}", of_values([sum(one) for one in lives], f"{sizes}; {phases(lives)}")
    yield "codec_micros", _costs(plain, with_dictionary)


def dictionary() -> bytes:
    """Events that are not those of the pool; what is most alike should stand last, so they end whole."""
    events = (encode_plainly(make_event(number)).encode() for number in range(POOL * 50, POOL * 50 + 40))
    return b"".join(events)[-DICTIONARY_BYTES:]


def squeeze(payload: bytes, preset: bytes, level: int = LEVEL) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, zdict=preset)
    return packer.compress(payload) + packer.flush()


def unsqueeze(data: bytes, preset: bytes) -> bytes:
    return zlib.decompressobj(-15, zdict=preset).decompress(data)


def _squeezed(draft: Draft, preset: bytes) -> Draft:
    return draft._replace(payload=squeeze(draft.payload, preset), id_offset=-1)


def _costs(plain: list[Draft], preset: bytes) -> Figure:
    payloads = [one.payload for one in plain]
    packed = [squeeze(one, preset) for one in payloads]
    assert [unsqueeze(one, preset) for one in packed] == payloads, "what was compressed came back otherwise"
    events = [EDGE.check(one, 0) and one for one in map(make_event, range(len(payloads)))]
    runs: dict[str, Callable[[], object]] = {
        "compress": lambda: [squeeze(one, preset) for one in payloads],
        "decompress": lambda: [unsqueeze(one, preset) for one in packed],
        "level 6": lambda: [squeeze(one, preset, 6) for one in payloads],
        "no dictionary": lambda: [zlib.compress(one, LEVEL) for one in payloads],
        "check and encode, for comparison": lambda: [EDGE.check(one, 0) for one in events],
    }
    found = interleave({name: partial(seconds_of, run) for name, run in runs.items()}, 3)
    micros = {name: [one / len(payloads) * 1e6 for one in times] for name, times in found.items()}
    others = ", ".join(f"{name} {of_values(times).value:.1f}" for name, times in micros.items() if name != "compress")
    six = payload_bytes([one._replace(payload=squeeze(one.payload, preset, 6)) for one in plain])
    without = sum(len(zlib.compress(one, LEVEL)) for one in payloads) / len(payloads)
    return of_values(micros["compress"], f"{others}; bytes: level 6 {six:.0f}, no dictionary {without:.0f}")
