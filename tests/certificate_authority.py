"""A certificate authority for tests: a root, an intermediate and the leaves it issues, all in memory."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = CertificateIssuerPrivateKeyTypes


@dataclass(frozen=True)
class Issued:
    """A leaf with its key and the certificates above it, the root left out, as a CA hands them over."""

    private_key: Key
    certificate: x509.Certificate
    chain_pem: bytes

    @property
    def private_key_pem(self) -> bytes:
        """The key in PKCS #8, without a passphrase."""
        return self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def leaf_pem(self) -> bytes:
        """The leaf alone."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def leaf_and_chain_pem(self) -> bytes:
        """What certbot calls ``fullchain.pem``."""
        return self.leaf_pem + self.chain_pem

    @property
    def bundle_pem(self) -> bytes:
        """Key, leaf, chain."""
        return self.private_key_pem + self.leaf_and_chain_pem

    @property
    def serial(self) -> int:
        """The serial number, by which a handshake is recognised."""
        return self.certificate.serial_number


class CertificateAuthority:
    """Issues certificates that are valid around *now*, which is the real time where none is given."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = (now or datetime.now(UTC)).replace(microsecond=0)
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._root = self._signed(_name("Test Root"), self._root_key, None, years=20)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._intermediate = self._signed(_name("Test Intermediate"), self._key, self._root, years=10)
        self.root_pem = self._root.public_bytes(Encoding.PEM)
        self.intermediate_pem = self._intermediate.public_bytes(Encoding.PEM)

    def issue(
        self,
        *names: str,
        serial: int | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        private_key: Key | None = None,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    ) -> Issued:
        """A certificate for *names*, each a DNS name, taken as it is, or an IP address; for 90 days by default."""
        key = private_key or ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._intermediate.subject)
            .public_key(key.public_key())
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(not_before or self.now - timedelta(days=400))
            .not_valid_after(not_after or self.now + timedelta(days=90))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if names:
            # Critical, because the subject is empty (RFC 5280 section 4.2.1.6).
            builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_general_name, names))), critical=True)
        return Issued(key, builder.sign(self._key, hashes.SHA256()), self.intermediate_pem)

    def client_context(self) -> ssl.SSLContext:
        """A client that trusts this CA and nothing else."""
        return ssl.create_default_context(cadata=self.root_pem.decode())

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate | None, years: int
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(days=365 * 5))
            .not_valid_after(self.now + timedelta(days=365 * years))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_CA_KEY_USAGE, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._root_key.public_key()), critical=False
            )
            .sign(self._root_key, hashes.SHA256())
        )


_CA_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
