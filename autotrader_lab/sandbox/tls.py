"""A certificate of the sandbox's own, because some client libraries speak TLS and nothing else.

It is made anew at every start, signed by itself, and good for the loopback address only. Its PEM is printed with the
addresses, so that a client can be told to trust it.
"""

from __future__ import annotations

import ssl
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory

from autotrader_lab.model.clock import Clock
from autotrader_lab.sandbox.doors import HOST

__all__ = ["make_certificate"]


def make_certificate(clock: Clock) -> tuple[str, ssl.SSLContext]:
    """A self-signed certificate (PEM) and the server context that presents it.

    Raises
    ------
    ValueError
        If the library that makes certificates is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise ValueError("TLS needs the package cryptography: pip install 'autotrader-lab[crypto]'") from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "AutoTrader Lab sandbox")])
    now = clock.now()
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address(HOST))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        chain, private = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        chain.write_bytes(text)
        private.touch(mode=0o600)
        private.write_bytes(secret)
        context.load_cert_chain(chain, private)
    return text.decode(), context
