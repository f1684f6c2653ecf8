"""The network: one request out, one answer back, or an error that says whether the request may have arrived.

`client` carries requests with httpx, which only this package imports, and only when something is sent; `exchange` is
one of them under way and the means to end it from another thread; `wire` writes the request and reads the answer;
`opening` makes what a connection is opened with; `hands` are the threads; `faults` puts what failed into words.
"""

from edgequeue.transport.client import HttpxTransport, Transport
from edgequeue.transport.wire import BODY_BYTES_MAX

__all__ = ["BODY_BYTES_MAX", "HttpxTransport", "Transport"]
