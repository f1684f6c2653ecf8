"""The network: one request out, one answer back, or an error that says whether the request may have arrived.

`client` carries requests with httpx, which only this package imports, and only when something is sent; `exchange` is
one of them under way and the means to end it from another thread; `faults` puts what failed into words.
"""

from edgequeue.transport.client import BODY_BYTES_MAX, HttpxTransport, Transport

__all__ = ["BODY_BYTES_MAX", "HttpxTransport", "Transport"]
