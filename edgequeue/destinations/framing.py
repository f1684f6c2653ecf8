"""How the items of a request stand together: `{"<key>": [item, item, …]}`, as JSON or as Smile.

Pure. JSON joins stored bytes as they are. In Smile an item names again what those before it have named, so its bytes
depend on its place: a document is begun anew for each request, and filled by the bytes that each item adds to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import orjson

from edgequeue.lazily import importing

JSON_TYPE = "application/json"
SMILE_TYPE = "application/x-jackson-smile"

Adding = Callable[[bytes], bytes | None]
"""The bytes that an item's JSON adds to the document; None where it cannot stand in the same one as those before."""


class Framing(Protocol):
    """An encoding of requests, with what it costs beside the items (`frame_bytes`).

    `shrinks_by`: how much larger the stored items of a full request may be.
    """

    content_type: str
    frame_bytes: int
    shrinks_by: int

    def begin(self) -> Adding:
        """A new document: what each item adds to it, in their order."""

    def document(self, added: Sequence[bytes]) -> bytes:
        """The whole document of what the items have added."""

    def alone(self, item: bytes) -> bytes:
        """An item's JSON as a document of its own, without a list around it."""


class JsonFraming:
    """Items joined by commas."""

    content_type = JSON_TYPE
    shrinks_by = 1

    def __init__(self, key: str) -> None:
        self._open, self._close = b'{"' + key.encode() + b'":[', b"]}"
        self.frame_bytes = len(self._open) + len(self._close)

    def begin(self) -> Adding:
        """Each item adds itself."""
        return lambda item: item

    def document(self, added: Sequence[bytes]) -> bytes:
        """The items, as they are stored."""
        return self._open + b",".join(added) + self._close

    def alone(self, item: bytes) -> bytes:
        """The item itself."""
        return item


class SmileFraming:
    """Items that share their names, and with `shared_values` their short texts; the first brings the document's head.

    `frame_bytes` is what closes the document: the rest is counted with the items.
    """

    content_type = SMILE_TYPE
    shrinks_by = 3  # measured: to a half, and to a third with shared values

    def __init__(self, key: str, *, shared_values: bool) -> None:
        with importing():
            from edgequeue.destinations.smile import Packing, encode

        self._encode = encode
        self._packing = Packing
        self._key, self._shared_values = key, shared_values
        self.frame_bytes = len(Packing.END)

    def begin(self) -> Adding:
        """A document of its own tables of names and values."""
        return self._packing(self._key, shared_values=self._shared_values).item

    def document(self, added: Sequence[bytes]) -> bytes:
        """What was added, one after another."""
        return b"".join(added) + self._packing.END

    def alone(self, item: bytes) -> bytes:
        """The item transcoded by itself."""
        return self._encode(orjson.loads(item), shared_values=self._shared_values)
