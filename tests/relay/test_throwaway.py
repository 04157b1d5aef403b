"""The throwaway CA: what it issues is wrong in the way that was asked for, and in no other."""

import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import AuthorityInformationAccessOID
from OpenSSL import crypto

from smtpcheck.relay.throwaway import ISSUER_URL, Identity, ThrowawayCA

NAMES = ["mail.test"]
DAY = timedelta(days=1)
OK, NO_ISSUER, NOT_YET, EXPIRED, SELF_SIGNED = 0, 20, 9, 10, 18

ISSUED: dict[str, tuple[Callable[[ThrowawayCA], Identity], int, int]] = {
    "healthy": (lambda ca: ca.issue(NAMES, ["127.0.0.1", "::1"]), 2, OK),
    "RSA": (lambda ca: ca.issue(NAMES, key="rsa"), 2, OK),
    "by the root": (lambda ca: ca.issue(NAMES, intermediate=False), 1, OK),
    "no common name": (lambda ca: ca.issue(NAMES, common_name=""), 2, OK),
    "out of order": (lambda ca: ca.issue(NAMES).out_of_order(), 3, OK),
    "missing intermediate": (lambda ca: ca.issue(NAMES).alone(), 1, NO_ISSUER),
    "expired": (lambda ca: ca.issue(NAMES, not_after=datetime.now(UTC) - DAY), 2, EXPIRED),
    "not yet": (lambda ca: ca.issue(NAMES, not_before=datetime.now(UTC) + DAY), 2, NOT_YET),
    "self-signed": (lambda ca: ca.issue(NAMES, self_signed=True), 1, SELF_SIGNED),
}


def openssl_says(ca: ThrowawayCA, identity: Identity) -> int:
    """OpenSSL's first objection to the chain as sent, 0 for none."""
    store = crypto.X509Store()
    store.add_cert(crypto.load_certificate(crypto.FILETYPE_PEM, ca.root_pem))
    leaf, *rest = (crypto.load_certificate(crypto.FILETYPE_ASN1, der) for der in identity.chain)
    try:
        crypto.X509StoreContext(store, leaf, rest).verify_certificate()
    except crypto.X509StoreContextError as refusal:
        code: int = refusal.errors[0]
        return code
    return OK


@pytest.mark.parametrize(("make", "sent", "code"), ISSUED.values(), ids=ISSUED)
def test_openssl_judges_what_was_asked_for(
    ca: ThrowawayCA, make: Callable[[ThrowawayCA], Identity], sent: int, code: int
) -> None:
    identity = make(ca)
    assert (len(identity.chain), openssl_says(ca, identity)) == (sent, code)


def test_a_leaf_says_where_its_issuer_is(ca: ThrowawayCA) -> None:
    leaf = x509.load_der_x509_certificate(ca.issue(NAMES).leaf)
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [(each.access_method, each.access_location.value) for each in access] == [
        (AuthorityInformationAccessOID.CA_ISSUERS, ISSUER_URL)
    ]


def test_a_weak_key_is_weak_and_belongs_to_its_certificate(ca: ThrowawayCA) -> None:
    identity = ca.issue(NAMES, key="rsa", bits=1024)
    key = load_pem_private_key(identity.key_pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 1024
    assert x509.load_der_x509_certificate(identity.leaf).public_key() == key.public_key()


def test_written_files_hold_the_chain_and_a_private_key(ca: ThrowawayCA, tmp_path: Path) -> None:
    identity = ca.issue(NAMES)
    chain, key = identity.write(tmp_path)
    assert chain.read_bytes() == identity.chain_pem
    assert chain.read_bytes().count(b"BEGIN CERTIFICATE") == 2
    assert key.read_bytes() == identity.key_pem
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_two_authorities_do_not_vouch_for_each_other(ca: ThrowawayCA) -> None:
    assert openssl_says(ca, ThrowawayCA().issue(NAMES)) == NO_ISSUER
