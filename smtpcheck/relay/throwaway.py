"""A certificate authority for a day: trusted by whoever is handed its root, by nobody else.

Law: nothing here outlives the process unless `write` is called; keys are fresh in every run.
What it issues is what a public CA would (SAN, key identifiers, usages, AIA), so that the one
thing asked to be wrong is the only thing that is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

ISSUER_URL = "http://ca.test/intermediate.der"
"""Where a leaf says that its issuer's certificate is (AIA caIssuers, RFC 5280 §4.2.2.1)."""

LIFETIME = timedelta(days=90)
BACKDATE = timedelta(hours=1)
AUTHORITY_LIFETIME = timedelta(days=3650)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a server shows and what it keeps: the chain as sent, DER, leaf first, and the key.

    `issuers` are those above the leaf, root last, sent or not.
    """

    chain: tuple[bytes, ...]
    issuers: tuple[bytes, ...]
    key_pem: bytes

    @property
    def leaf(self) -> bytes:
        """The server's own certificate, DER."""
        return self.chain[0]

    @property
    def chain_pem(self) -> bytes:
        """The chain as sent, PEM."""
        return b"".join(_pem(der) for der in self.chain)

    def alone(self) -> "Identity":
        """The leaf without its intermediate, as when only half of the CA's mail was installed."""
        return replace(self, chain=self.chain[:1])

    def out_of_order(self) -> "Identity":
        """The leaf, then its issuers from the root down (RFC 8446 §4.4.2 wants them upwards)."""
        return replace(self, chain=(self.leaf, *reversed(self.issuers)))

    def write(self, directory: Path, stem: str = "server") -> tuple[Path, Path]:
        """Store chain and key as `stem.pem` and `stem.key` (mode 600); their paths."""
        chain, key = directory / f"{stem}.pem", directory / f"{stem}.key"
        chain.write_bytes(self.chain_pem)
        key.touch(mode=0o600)
        key.write_bytes(self.key_pem)
        return chain, key


class ThrowawayCA:
    """A root and an intermediate, made anew."""

    def __init__(self, name: str = "Throwaway") -> None:
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._key = ec.generate_private_key(ec.SECP256R1())
        root_name, name_ = _name(f"{name} Root CA"), _name(f"{name} Intermediate CA")
        self._root = _authority(root_name, self._root_key, root_name, self._root_key, path=1)
        self._intermediate = _authority(name_, self._key, root_name, self._root_key, path=0)

    @property
    def root_pem(self) -> bytes:
        """The trust anchor, for `--ca-file`."""
        return _pem(_der(self._root))

    @property
    def intermediate(self) -> Identity:
        """The authority that issues, with its key, for a tool that signs by other means."""
        chain = (_der(self._intermediate),)
        return Identity(chain=chain, issuers=(_der(self._root),), key_pem=_key_pem(self._key))

    def write(self, directory: Path, stem: str = "ca") -> Path:
        """Store the root as `stem.pem`; its path."""
        path = directory / f"{stem}.pem"
        path.write_bytes(self.root_pem)
        return path

    def issue(
        self,
        names: Sequence[str],
        addresses: Sequence[str] = (),
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key: Literal["ec", "rsa"] = "ec",
        bits: int = 2048,
        common_name: str | None = None,
        self_signed: bool = False,
        intermediate: bool = True,
        issuer_url: str = ISSUER_URL,
    ) -> Identity:
        """A certificate for `names` and `addresses`, valid from an hour ago for 90 days.

        `bits` is for RSA. A self-signed one has no issuers and no AIA.
        """
        begins = not_before or (not_after - LIFETIME if not_after else _now() - BACKDATE)
        own = _generate(key, bits)
        subject = _name(common_name if common_name is not None else [*names, *addresses][0])
        issuers = () if self_signed else self._issuers(intermediate)
        issuer, signer = self._signer(intermediate) if issuers else (subject, own)
        builder = _builder(subject, own, issuer, signer, begins, not_after or begins + LIFETIME)
        builder = _for_a_server(builder, names, addresses)
        if issuers and issuer_url:
            builder = builder.add_extension(_issuer_at(issuer_url), critical=False)
        leaf = _der(builder.sign(signer, hashes.SHA256()))
        return Identity(chain=(leaf, *issuers[:-1]), issuers=issuers, key_pem=_key_pem(own))

    def _issuers(self, intermediate: bool) -> tuple[bytes, ...]:
        root = _der(self._root)
        return (_der(self._intermediate), root) if intermediate else (root,)

    def _signer(self, intermediate: bool) -> tuple[x509.Name, PrivateKey]:
        if intermediate:
            return self._intermediate.subject, self._key
        return self._root.subject, self._root_key


def _generate(kind: str, bits: int) -> PrivateKey:
    if kind == "rsa":
        return rsa.generate_private_key(65537, bits)
    return ec.generate_private_key(ec.SECP256R1())


def _builder(
    subject: x509.Name,
    own: PrivateKey,
    issuer: x509.Name,
    signer: PrivateKey,
    begins: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    key_ids = x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier.from_issuer_public_key
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(key_ids[0].from_public_key(own.public_key()), critical=False)
        .add_extension(key_ids[1](signer.public_key()), critical=False)
    )


def _authority(
    subject: x509.Name, own: PrivateKey, issuer: x509.Name, signer: PrivateKey, *, path: int
) -> x509.Certificate:
    begins = _now() - BACKDATE
    return (
        _builder(subject, own, issuer, signer, begins, begins + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(signer, hashes.SHA256())
    )


def _for_a_server(
    builder: x509.CertificateBuilder, names: Sequence[str], addresses: Sequence[str]
) -> x509.CertificateBuilder:
    # Client authentication too, so that one identity serves `--cert` in the tests.
    purposes = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(ip_address(address)) for address in addresses]
    return (
        builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True, key_encipherment=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    )


def _usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_at(url: str) -> x509.AuthorityInformationAccess:
    location = x509.UniformResourceIdentifier(url)
    where = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, location)
    return x509.AuthorityInformationAccess([where])


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
