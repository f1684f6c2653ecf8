"""Certificates for the services on loopback, made by the openssl program."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

_CA_CONFIG = """
[req]
distinguished_name = name
[name]
[own]
subjectAltName = IP:127.0.0.1
[ca]
default_ca = here
[here]
dir = {directory}
database = $dir/index.txt
new_certs_dir = $dir
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = own
[any]
commonName = supplied
"""


def make_certificate(directory: Path, first_year: int, last_year: int) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key. Only `openssl ca` takes dates in all versions."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl program to make a certificate with")
    config, key, request, found = (str(directory / name) for name in ("ca.cnf", "own.key", "own.csr", "own.pem"))
    Path(config).write_text(_CA_CONFIG.format(directory=directory))
    (directory / "index.txt").touch()
    ask = ["openssl", "req", "-new", "-config", config, "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=edgequeue test"]
    sign = ["openssl", "ca", "-batch", "-notext", "-selfsign", "-config", config, "-keyfile", key, "-in", request]
    dates = ["-startdate", f"{first_year}0101000000Z", "-enddate", f"{last_year}0101000000Z"]
    subprocess.run([*ask, "-keyout", key, "-out", request], check=True, capture_output=True)
    subprocess.run([*sign, *dates, "-out", found], check=True, capture_output=True)
    both = directory / "both.pem"
    both.write_text(Path(found).read_text() + Path(key).read_text())
    return both


def server_context(certificate: Path) -> ssl.SSLContext:
    """What a service speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
