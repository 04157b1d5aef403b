"""TLS over memory: octets in, octets out, no socket, on either side of a connection.

Law: whoever owns the socket owns the buffer, so nothing that came before the handshake can
be taken for something inside it. Verification collects every objection and stops at none:
what they mean is judged elsewhere.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from ssl import get_default_verify_paths
from typing import Any

from OpenSSL import SSL, crypto

from smtpcheck.blame import BadInputError
from smtpcheck.facts.tls import TlsSession, TrustStore, VerifyError
from smtpcheck.net.certificate import certificate

_CHUNK = 64 * 1024
_CIPHERS = b"ALL:!aNULL:!eNULL:@SECLEVEL=0"
"""Old servers must be seen to be diagnosed; anonymous suites would hide the certificate."""
_LEGACY_SERVER_CONNECT = 0x4
"""SSL_OP_LEGACY_SERVER_CONNECT: talk to servers older than RFC 5746, too."""
_IGNORE_UNEXPECTED_EOF = 0x80


class TlsError(Exception):
    """A handshake or a record that failed, in OpenSSL's words."""


@dataclass(slots=True)
class Notes:
    """What callbacks saw during a handshake: objections as (code, depth), and a request."""

    has_certificate: bool = False
    requested: bool = False
    errors: list[tuple[int, int]] = field(default_factory=list)


class Engine:
    """One side of one TLS connection. Feed it what arrives, send what is pending."""

    def __init__(self, connection: SSL.Connection, notes: "Notes") -> None:
        self.connection = connection
        self._notes = notes
        self.closed = False
        """Whether the peer ended the session with close_notify."""
        self.broken: TlsError | None = None
        """Why no more can be read or written; what came before it was still handed out."""

    def feed(self, data: bytes) -> None:
        """Ciphertext from the peer."""
        for start in range(0, len(data), _CHUNK):
            self.connection.bio_write(data[start : start + _CHUNK])

    def pending(self) -> bytes:
        """Ciphertext for the peer; empty when there is none."""
        chunks = []
        while True:
            try:
                chunks.append(self.connection.bio_read(_CHUNK))
            except SSL.WantReadError:
                return b"".join(chunks)

    def handshake(self) -> bool:
        """One step further; True once complete. Raises TlsError when it can't be."""
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise TlsError(reason(error)) from None
        return True

    def read(self) -> bytes:
        """All plaintext that has arrived. Raises TlsError when there is none and won't be."""
        chunks = []
        while True:
            try:
                chunks.append(self.connection.recv(_CHUNK))
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:
                self.closed = True
                break
            except SSL.Error as error:
                self.broken = self.broken or TlsError(reason(error))
                if chunks:
                    break
                raise self.broken from None
        return b"".join(chunks)

    def write(self, data: bytes) -> None:
        """Plaintext for the peer; it becomes pending ciphertext, or is lost on what is broken."""
        view = memoryview(data)
        try:
            while view:
                view = view[self.connection.send(bytes(view[:_CHUNK])) :]
        except SSL.Error as error:
            self.broken = self.broken or TlsError(reason(error))

    def close(self) -> None:
        """Queue close_notify; harmless at any time."""
        with suppress(SSL.Error):  # before the handshake is over there is nothing to shut down
            self.connection.shutdown()

    def version(self) -> str:
        """The protocol version agreed on, as in TLSv1.3."""
        return self.connection.get_protocol_version_name()

    def session(self, sni: str, trust: TrustStore, kept: int, took: float) -> TlsSession:
        """The finished handshake as a fact, with the first `kept` certificates of the chain."""
        connection = self.connection
        chain = connection.get_peer_cert_chain() or []
        ders = [crypto.dump_certificate(crypto.FILETYPE_ASN1, each) for each in chain[:kept]]
        return TlsSession(
            version=self.version(),
            cipher=connection.get_cipher_name() or "",
            group=connection.get_group_name() or "",
            sni=sni,
            chain=tuple(certificate(der) for der in ders),
            chain_omitted=max(0, len(chain) - kept),
            errors=tuple(_verify_error(code, depth) for code, depth in self._notes.errors),
            client_certificate_requested=self._notes.requested,
            client_certificate_sent=self._notes.requested and self._notes.has_certificate,
            trust=trust,
            library=library(),
            took=took,
        )


@lru_cache(maxsize=1)
def library() -> str:
    """Which OpenSSL speaks for us; it differs from the system's."""
    return SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode("ascii", "replace")


def reason(error: SSL.Error) -> str:
    """The words of an OpenSSL error, without its function names."""
    entries = error.args[0] if error.args else ()
    if isinstance(entries, list):
        return "; ".join(dict.fromkeys(entry[2] for entry in entries)) or "handshake failure"
    return " ".join(str(part) for part in error.args[1:]) or "connection closed"


def _verify_error(code: int, depth: int) -> VerifyError:
    return VerifyError(depth=depth, code=code, message=_words(code))


def _words(code: int) -> str:
    from cryptography.hazmat.bindings.openssl.binding import Binding

    binding = Binding()
    words: bytes = binding.ffi.string(binding.lib.X509_verify_cert_error_string(code))
    return words.decode("ascii", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """What every connection of a run shares: the trust store and a client certificate."""

    context: SSL.Context
    trust: TrustStore
    has_certificate: bool = False

    def engine(self, sni: str) -> Engine:
        """A client side; `sni` is sent unless empty."""
        connection = SSL.Connection(self.context, None)
        notes = Notes(has_certificate=self.has_certificate)
        connection.set_app_data(notes)
        if sni:
            connection.set_tlsext_host_name(sni.encode("idna" if not sni.isascii() else "ascii"))
        connection.set_connect_state()
        return Engine(connection, notes)


def _collect(connection: SSL.Connection, _: crypto.X509, code: int, depth: int, ok: int) -> bool:
    if not ok:
        connection.get_app_data().errors.append((code, depth))
    return True


def _observe_states(connection: SSL.Connection, _: int, __: int) -> None:
    """OpenSSL tells of a CertificateRequest in the names of its states alone."""
    if b"certificate request" in connection.get_state_string():
        connection.get_app_data().requested = True


def client_tls(ca_file: str = "", certificate_file: str = "", key_file: str = "") -> ClientTls:
    """The client's side of a run. Raises BadInputError for a file that can't be used."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_options(_LEGACY_SERVER_CONNECT | _IGNORE_UNEXPECTED_EOF | SSL.OP_NO_RENEGOTIATION)
    context.set_verify(SSL.VERIFY_PEER, _collect)
    context.set_info_callback(_observe_states)
    trust = _load_trust(context, ca_file)
    if certificate_file:
        _load_identity(context, certificate_file, key_file or certificate_file)
    return ClientTls(context=context, trust=trust, has_certificate=bool(certificate_file))


def _load_trust(context: SSL.Context, ca_file: str) -> TrustStore:
    if ca_file:
        anchors = _anchors(ca_file)
        if not anchors:
            raise BadInputError(f"{ca_file}: no certificate in it; give a PEM file of CAs")
        _or_blame(ca_file, lambda: context.load_verify_locations(ca_file))
        return TrustStore(source=os.fsencode(ca_file).decode(errors="replace"), anchors=anchors)
    paths = get_default_verify_paths()
    if paths.cafile and (anchors := _anchors(paths.cafile)):
        context.load_verify_locations(paths.cafile)
        return TrustStore(source=paths.cafile, anchors=anchors)
    if paths.capath and (anchors := len(list(Path(paths.capath).glob("*.0")))):
        context.load_verify_locations(None, paths.capath)
        return TrustStore(source=paths.capath, anchors=anchors)
    return TrustStore(source="none found on this machine", anchors=0)


def _anchors(path: str) -> int:
    try:
        return Path(path).read_bytes().count(b"-----BEGIN ")
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None


def _load_identity(context: SSL.Context, certificate_file: str, key_file: str) -> None:
    for path in (certificate_file, key_file):
        _anchors(path)
    context.set_passwd_cb(lambda *_: b"")
    _or_blame(certificate_file, lambda: context.use_certificate_chain_file(certificate_file))
    _or_blame(key_file, lambda: context.use_privatekey_file(key_file))
    _or_blame(key_file, context.check_privatekey)


def _or_blame(path: str, load: Callable[[], Any]) -> None:
    try:
        load()
    except SSL.Error as error:
        raise BadInputError(f"{path}: can't be used ({reason(error)})") from None


def server_context(
    chain_pem: bytes, key_pem: bytes, *, minimum: int = SSL.TLS1_2_VERSION, weak: bool = False
) -> SSL.Context:
    """The server's side, for the relay. `weak` allows keys and versions that tests need."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(minimum)
    context.set_options(_IGNORE_UNEXPECTED_EOF | SSL.OP_NO_RENEGOTIATION)
    if weak:
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
    leaf, *others = x509.load_pem_x509_certificates(chain_pem)
    context.use_certificate(leaf)
    for other in others:
        context.add_extra_chain_cert(other)
    context.use_privatekey(load_pem_private_key(key_pem, None))  # type: ignore[arg-type]
    return context


def server_engine(context: SSL.Context) -> Engine:
    """A server side."""
    connection = SSL.Connection(context, None)
    connection.set_accept_state()
    return Engine(connection, Notes())
