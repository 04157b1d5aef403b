"""A certificate's octets, read into a fact. What can't be read is said, not raised."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from smtpcheck.facts.tls import Certificate


def certificate(der: bytes) -> Certificate:
    """The fact that `der` states; `malformed` is set for what could not be read."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    fingerprint = digest.finalize().hex()
    try:
        parsed = x509.load_der_x509_certificate(der)
        return _fact(parsed, der, fingerprint)
    except Exception as error:  # a hostile certificate may trip any of the parsers in any way
        words = f"{type(error).__name__}: {error}"
        return Certificate(der=der, sha256=fingerprint, malformed=words)


def _fact(parsed: x509.Certificate, der: bytes, fingerprint: str) -> Certificate:
    key, bits, curve = _key(parsed)
    names, addresses = _alternative_names(parsed)
    return Certificate(
        der=der,
        sha256=fingerprint,
        subject=parsed.subject.rfc4514_string(),
        issuer=parsed.issuer.rfc4514_string(),
        common_name=_common_name(parsed.subject),
        names=names,
        addresses=addresses,
        serial=f"{parsed.serial_number:x}",
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        key=key,
        bits=bits,
        curve=curve,
        signature=_signature_hash(parsed),
        authority=_authority(parsed),
        subject_key_id=_subject_key_id(parsed),
        authority_key_id=_authority_key_id(parsed),
        issuer_urls=_issuer_urls(parsed),
    )


def _key(parsed: x509.Certificate) -> tuple[str, int, str]:
    key = parsed.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size, ""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC", key.key_size, key.curve.name
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size, ""
    return type(key).__name__.removesuffix("PublicKey").lstrip("_"), 0, ""


def _alternative_names(parsed: x509.Certificate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (), ()
    dns = names.get_values_for_type(x509.DNSName)
    addresses = names.get_values_for_type(x509.IPAddress)
    return tuple(dns), tuple(map(str, addresses))


def _common_name(name: x509.Name) -> str:
    values = [attribute.value for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return str(values[-1]) if values else ""


def _signature_hash(parsed: x509.Certificate) -> str:
    algorithm = parsed.signature_hash_algorithm
    return algorithm.name if algorithm else ""


def _authority(parsed: x509.Certificate) -> bool:
    try:
        return parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _subject_key_id(parsed: x509.Certificate) -> str:
    try:
        found = parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return ""
    return found.value.digest.hex()


def _authority_key_id(parsed: x509.Certificate) -> str:
    try:
        found = parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return ""
    return (found.value.key_identifier or b"").hex()


def _issuer_urls(parsed: x509.Certificate) -> tuple[str, ...]:
    try:
        found = parsed.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        access.access_location.value
        for access in found.value
        if access.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(access.access_location, x509.UniformResourceIdentifier)
    )
