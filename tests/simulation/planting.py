"""Bugs to plant: each changes one small thing in the code under test, as somebody might by mistake.

A bug is a function that takes pytest's monkeypatch and makes the mistake, and nothing else. `planted_store.py` and
`planted_worker.py` hold them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

Plant = Callable[[pytest.MonkeyPatch], None]


class Bug(NamedTuple):
    """A mistake, and the promises it breaks: the simulation may find any of them first."""

    plant: Plant
    breaks: frozenset[str]


class Bugs(dict[str, Bug]):
    """A list of bugs, by the names of their functions."""

    def breaks(self, *rules: str) -> Callable[[Plant], Plant]:
        """Add the function to the list, as a bug that breaks one of these promises."""

        def add(plant: Plant) -> Plant:
            self[plant.__name__] = Bug(plant, frozenset(rules))
            return plant

        return add
