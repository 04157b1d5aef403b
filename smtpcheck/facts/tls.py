"""A TLS session as the peer built it: the chain as presented and all that verification said."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Version(StrEnum):
    """Protocol versions that a ClientHello of ours can ask for."""

    SSL3 = "SSLv3"
    TLS1_0 = "TLSv1"
    TLS1_1 = "TLSv1.1"
    TLS1_2 = "TLSv1.2"
    TLS1_3 = "TLSv1.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a certificate says of itself, as sent in `der`.

    `names` and `addresses` are the subjectAltName dNSName and iPAddress entries.
    `key` is "RSA", "EC", "Ed25519", …; `bits` its size; `curve` for EC keys.
    `signature` is the hash of the signature ("sha256", "md5", …; "" where there is none).
    `malformed` says what could not be read; then the other fields may be empty.
    """

    der: bytes = b""
    sha256: str = ""
    subject: str = ""
    issuer: str = ""
    common_name: str = ""
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    serial: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None
    key: str = ""
    bits: int = 0
    curve: str = ""
    signature: str = ""
    authority: bool = False
    subject_key_id: str = ""
    authority_key_id: str = ""
    issuer_urls: tuple[str, ...] = ()
    malformed: str = ""

    @property
    def self_issued(self) -> bool:
        """Whether subject and issuer are one name."""
        return self.subject == self.issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyError:
    """One objection of OpenSSL to the chain. Depth 0 is the server's own certificate."""

    depth: int
    code: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustStore:
    """What the chain was judged against. Without anchors nothing can be concluded."""

    source: str
    anchors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSession:
    """A finished handshake. `sni` is what we sent; `took` in seconds; `library` spoke for us."""

    version: str
    cipher: str
    group: str = ""
    sni: str = ""
    chain: tuple[Certificate, ...] = ()
    chain_omitted: int = 0
    errors: tuple[VerifyError, ...] = ()
    trust: TrustStore
    library: str = ""
    client_certificate_requested: bool = False
    client_certificate_sent: bool = False
    took: float = 0.0


class Offer(StrEnum):
    """What a port made of a ClientHello that offered exactly one version."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionOffer:
    """The answer to one such ClientHello: what the server chose, or its alert, or silence."""

    version: Version
    offer: Offer
    cipher: str = ""
    detail: str = ""
