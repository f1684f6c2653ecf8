"""Credentials: how a request proves who sends it.

    Bearer     a ready-made access token, given as a value, a variable or a file
    Ims        client credentials of Adobe's IMS: tokens are fetched, kept and renewed
    AccessKey  a token, or a key with its secret, sent as it is (Bloomreach)
    Anonymous  no credentials

`accounts` holds the interface and what needs no network; `ims` the account, `tokens` its memory (one token for all,
one request at a time, failures), and `ims_answers` what the token service's answers mean.

Secrets are read when something is sent, never when a configuration is read or a queue is looked at, and they never
show in a repr, a log, an exception or the database. What cannot be obtained is a value (`Denied`), so that the
destination waits and no event is touched.
"""

from edgequeue.auth.accounts import Anonymous, Bearer, Credentials, Denied, Secret
from edgequeue.auth.ims import Ims
from edgequeue.auth.keys import AccessKey, secrets_in

__all__ = ["AccessKey", "Anonymous", "Bearer", "Credentials", "Denied", "Ims", "Secret", "secrets_in"]
