"""The tables of a Smile document: which names, and which texts, can be written as a reference to an earlier one."""

from __future__ import annotations

from collections.abc import Callable

from edgequeue.destinations.smile_tokens import EMPTY, SHORT_BYTES_MAX, SLOTS

_LITERAL_BYTES_MAX = 1 + SHORT_BYTES_MAX


class Table:
    """The names or texts of a document that were seen, each with its reference.

    Every literal takes a slot, also one that is repeated because its first slot must not be referenced.
    """

    __slots__ = ("_before", "_literal", "_mark", "_references", "_slot", "tokens")

    def __init__(self, literal: Callable[[str], bytes], references: tuple[bytes, ...]) -> None:
        self.tokens = {"": EMPTY}  # takes no slot
        self._literal = literal
        self._references = references
        self._slot = 0
        self.mark()

    def new(self, string: str) -> bytes:
        """The literal of a string that is not among the tokens; unless it is a long text, it is from now on."""
        literal = self._literal(string)
        if len(literal) > _LITERAL_BYTES_MAX:
            return literal
        slot = self._slot
        if slot == SLOTS:
            self._clear()
            slot = 0
        reference = self._references[slot]
        if reference:
            self.tokens[string] = reference
        self._slot = slot + 1
        return literal

    def mark(self) -> None:
        """Remember what is here now."""
        self._mark = len(self.tokens), self._slot
        self._before: dict[str, bytes] | None = None

    def restore(self) -> None:
        """Forget what came after the mark: the newest tokens of the table as it was before it was first cleared."""
        length, self._slot = self._mark
        if self._before is not None:
            self.tokens.clear()
            self.tokens.update(self._before)
        while len(self.tokens) > length:
            self.tokens.popitem()

    def _clear(self) -> None:
        self._before = self._before or dict(self.tokens)
        self.tokens.clear()  # the same dictionary: the writer has its `get` in hand
        self.tokens[""] = EMPTY
