"""Certificates made on the spot: the server's own, and the one an app may prove itself with.

They live in a private folder that is removed when the emulator ends.
"""

import ipaddress
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

VALID_FOR = timedelta(days=30)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Certificates:
    """`ca` is what clients must trust; `app` holds key and certificate of the app, as PEM files."""

    ca: Path
    app: Path
    app_public_key: rsa.RSAPublicKey
    tls: ssl.SSLContext


@contextmanager
def temporary_certificates() -> Iterator[Certificates]:
    """Make both certificates in a folder that only this user can read, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="ferry-dataverse-") as folder:
        server_key = ec.generate_private_key(ec.SECP256R1())
        server = _self_signed(server_key, "localhost", for_server=True)
        ca = Path(folder, "ca.pem")
        ca.write_bytes(server.public_bytes(Encoding.PEM))
        chain = Path(folder, "server.pem")
        _write_private(chain, server_key, server)

        app_key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        app = Path(folder, "app.pem")
        _write_private(app, app_key, _self_signed(app_key, "Segment Ferry", for_server=False))

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(chain)
        yield Certificates(ca, app, app_key.public_key(), tls)


def _self_signed(key: PrivateKey, name: str, *, for_server: bool) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if for_server:
        loopback = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(loopback), critical=False)
    return builder.sign(key, hashes.SHA256())


def _key_usage() -> x509.KeyUsage:
    """Signing, and signing certificates: strict clients want a certificate that they trust to say so."""
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_private(path: Path, key: PrivateKey, certificate: x509.Certificate) -> None:
    path.touch(mode=0o600)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
