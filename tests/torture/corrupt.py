"""`make corrupt`: damages databases, a page at a time, opens each, and says how much came back.

A run prints its seed; `--seed` with the number of a damage that went wrong draws that one again. Event ids are random
all the same, so that some bytes of the pages differ.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.torture.damage import DAMAGES, UNSEEN, Specimen, Verdicts, damage_page, examine, specimen

PER_SPECIMEN = 100
"""Damages to one database before another one is made."""


def main() -> int:
    """Exit code 1 where anything was wrong, or less than 99 % came back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3000, help="damages in all")
    parser.add_argument("--events", type=int, default=300, help="events in each database, about")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(f"seed {options.seed}")
    sound = back = salvaged = wrong = 0
    kinds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.count):
            seed = options.seed + number
            if number % PER_SPECIMEN == 0:
                crashed = bool(number // PER_SPECIMEN % 2)
                place = Path(folder, str(number))
                place.mkdir()
                known = specimen(place, Random(seed), events=options.events, crashed=crashed)
            found, kind, how = _damaged(known, Path(folder, f"damaged-{number}"), Random(seed))
            sound, back, salvaged = sound + found.sound, back + found.back, salvaged + found.salvaged
            kinds[kind] += 1
            if found.wrong:
                wrong += 1
                print(f"damage {number} ({how} in {kind}): {found.wrong[0]}")
    print(f"{options.count:,} damages ({', '.join(f'{count} in {kind}' for kind, count in kinds.most_common())})")
    print(f"{salvaged:,} salvaged; {back:,} of {sound:,} events on sound pages came back: {back / sound:.4%}")
    print(f"{wrong} with something wrong")
    return int(wrong > 0 or back < sound * 0.99)


def _damaged(known: Specimen, folder: Path, dice: Random) -> tuple[Verdicts, str, str]:
    folder.mkdir()
    path = known.copy(folder / "queue.db")
    page, how = dice.choice(sorted(known.kinds)), dice.choice(DAMAGES)
    damage_page(path, page, how, dice)
    found = examine(path, known, {page}, exact=how not in UNSEEN)
    shutil.rmtree(folder)
    return found, known.kinds[page], how.__name__


if __name__ == "__main__":
    raise SystemExit(main())
