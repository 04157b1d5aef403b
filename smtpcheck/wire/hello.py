"""One ClientHello that asks for one protocol version, and what a server makes of it.

Law: no cryptography and no TLS library, so that what the server accepts can be asked whatever
this machine's OpenSSL is still able to speak. Nothing after the ServerHello is read; what is
not TLS, or not yet whole, is said to be so; no octet of the server's raises.
"""

from dataclasses import dataclass
from ipaddress import ip_address

SSL3, TLS1_0, TLS1_1, TLS1_2, TLS1_3 = 0x0300, 0x0301, 0x0302, 0x0303, 0x0304

MAX_RECORD_OCTETS = 2**14 + 2048
"""Of one record's fragment (RFC 5246 §6.2.3)."""

MAX_HELLO_OCTETS = 64 * 1024
"""Of the ServerHello, however many records it comes in; real ones are below 2 KiB."""

FIRST_OCTETS = 512
"""Kept of what came instead of TLS."""

MAX_RECORDS = 64
"""Read before a ServerHello is whole; one suffices for every server seen."""

_CIPHERS: tuple[tuple[int, int, str], ...] = (
    (TLS1_3, 0x1301, "TLS_AES_128_GCM_SHA256"),
    (TLS1_3, 0x1302, "TLS_AES_256_GCM_SHA384"),
    (TLS1_3, 0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
    (TLS1_3, 0x1304, "TLS_AES_128_CCM_SHA256"),
    (TLS1_2, 0xC02C, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (TLS1_2, 0xC030, "ECDHE-RSA-AES256-GCM-SHA384"),
    (TLS1_2, 0xC02B, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (TLS1_2, 0xC02F, "ECDHE-RSA-AES128-GCM-SHA256"),
    (TLS1_2, 0xCCA9, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (TLS1_2, 0xCCA8, "ECDHE-RSA-CHACHA20-POLY1305"),
    (TLS1_2, 0x009F, "DHE-RSA-AES256-GCM-SHA384"),
    (TLS1_2, 0x009E, "DHE-RSA-AES128-GCM-SHA256"),
    (TLS1_2, 0xCCAA, "DHE-RSA-CHACHA20-POLY1305"),
    (TLS1_2, 0xC0AD, "ECDHE-ECDSA-AES256-CCM"),
    (TLS1_2, 0xC0AC, "ECDHE-ECDSA-AES128-CCM"),
    (TLS1_2, 0xC061, "ECDHE-ARIA256-GCM-SHA384"),
    (TLS1_2, 0xC024, "ECDHE-ECDSA-AES256-SHA384"),
    (TLS1_2, 0xC028, "ECDHE-RSA-AES256-SHA384"),
    (TLS1_2, 0xC023, "ECDHE-ECDSA-AES128-SHA256"),
    (TLS1_2, 0xC027, "ECDHE-RSA-AES128-SHA256"),
    (TLS1_2, 0x006B, "DHE-RSA-AES256-SHA256"),
    (TLS1_2, 0x0067, "DHE-RSA-AES128-SHA256"),
    (TLS1_2, 0x009D, "AES256-GCM-SHA384"),
    (TLS1_2, 0x009C, "AES128-GCM-SHA256"),
    (TLS1_2, 0xC09D, "AES256-CCM"),
    (TLS1_2, 0xC09C, "AES128-CCM"),
    (TLS1_2, 0x003D, "AES256-SHA256"),
    (TLS1_2, 0x003C, "AES128-SHA256"),
    (TLS1_0, 0xC00A, "ECDHE-ECDSA-AES256-SHA"),
    (TLS1_0, 0xC014, "ECDHE-RSA-AES256-SHA"),
    (TLS1_0, 0xC009, "ECDHE-ECDSA-AES128-SHA"),
    (TLS1_0, 0xC013, "ECDHE-RSA-AES128-SHA"),
    (SSL3, 0x0039, "DHE-RSA-AES256-SHA"),
    (SSL3, 0x0033, "DHE-RSA-AES128-SHA"),
    (SSL3, 0x0088, "DHE-RSA-CAMELLIA256-SHA"),
    (SSL3, 0x0045, "DHE-RSA-CAMELLIA128-SHA"),
    (SSL3, 0x0035, "AES256-SHA"),
    (SSL3, 0x002F, "AES128-SHA"),
    (SSL3, 0x0084, "CAMELLIA256-SHA"),
    (SSL3, 0x0041, "CAMELLIA128-SHA"),
    (SSL3, 0x0096, "SEED-SHA"),
    (SSL3, 0x0007, "IDEA-CBC-SHA"),
    (TLS1_0, 0xC008, "ECDHE-ECDSA-DES-CBC3-SHA"),
    (TLS1_0, 0xC012, "ECDHE-RSA-DES-CBC3-SHA"),
    (SSL3, 0x0016, "DHE-RSA-DES-CBC3-SHA"),
    (SSL3, 0x000A, "DES-CBC3-SHA"),
    (TLS1_0, 0xC007, "ECDHE-ECDSA-RC4-SHA"),
    (TLS1_0, 0xC011, "ECDHE-RSA-RC4-SHA"),
    (SSL3, 0x0005, "RC4-SHA"),
    (SSL3, 0x0004, "RC4-MD5"),
    (SSL3, 0x0009, "DES-CBC-SHA"),
)
"""Since which version, number, and the name that OpenSSL and thus most configurations use."""

_RENEGOTIATION_SCSV = 0x00FF  # RFC 5746 §3.3: as good as an empty renegotiation_info
_NAMES = {number: name for _, number, name in _CIPHERS}

_GROUPS = (0x001D, 0x0017, 0x0018, 0x0019, 0x0100)  # x25519, secp256r1, 384r1, 521r1, ffdhe2048
_SIGNATURES = (
    *(0x0403, 0x0503, 0x0603, 0x0807, 0x0808),  # ecdsa with sha256, 384, 512; ed25519, ed448
    *(0x0804, 0x0805, 0x0806, 0x0809, 0x080A, 0x080B),  # rsa-pss
    *(0x0401, 0x0501, 0x0601, 0x0301),  # rsa with sha256, 384, 512, 224
    *(0x0203, 0x0201, 0x0202),  # sha1, which old servers still sign with
)

_ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed",
    22: "record_overflow", 30: "decompression_failure", 40: "handshake_failure",
    41: "no_certificate", 42: "bad_certificate", 43: "unsupported_certificate",
    44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
    51: "decrypt_error", 60: "export_restriction", 70: "protocol_version",
    71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback",
    90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
    110: "unsupported_extension", 111: "certificate_unobtainable", 112: "unrecognized_name",
    113: "bad_certificate_status_response", 114: "bad_certificate_hash_value",
    115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol",
}  # fmt: skip
"""RFC 8446 §B.2, with those of older versions."""

_UNRECOGNIZED_NAME = b"\x01\x70"
"""A warning, after which the ServerHello may still follow (RFC 6066 §3)."""

_RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a ServerHello that is a HelloRetryRequest (RFC 8446 §4.1.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHello:
    """What the server chose. `version` is the one in force, supported_versions read.

    `retry`: a HelloRetryRequest; version and cipher are chosen, only the group is not.
    """

    version: int
    legacy_version: int
    cipher: int
    retry: bool = False

    @property
    def cipher_name(self) -> str:
        """OpenSSL's name, or the number of one that was never offered."""
        return _NAMES.get(self.cipher, f"0x{self.cipher:04X}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """The server refused with an alert, usually fatal."""

    fatal: bool
    description: int

    @property
    def name(self) -> str:
        """As the RFC spells it: "protocol_version", "handshake_failure", …"""
        return _ALERTS.get(self.description, f"alert {self.description}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTls:
    """Something other than TLS, or TLS that can't be read. `first_octets` at most 512."""

    first_octets: bytes
    detail: str


Answer = ServerHello | Alert | NotTls


def client_hello(
    version: int, *, server_name: str | None, random: bytes, session_id: bytes = b""
) -> bytes:
    """A ClientHello in one record. `random` and, for TLS 1.3, `session_id` are 32 octets.

    Below TLS 1.3 the version is the highest offered: a server that has only a lower one may
    answer with that, so accepted means `ServerHello.version == version`.

    The key share of TLS 1.3 is `random` again: any 32 octets are an X25519 public key, and the
    handshake is never finished. A server without that group asks for another, which suffices.
    """
    if len(random) != 32:
        raise ValueError("random must be 32 octets")
    ciphers = [number for since, number, _ in _CIPHERS if _fits(since, version)]
    numbers = b"".join(n.to_bytes(2) for n in (*ciphers, _RENEGOTIATION_SCSV))
    body = (
        min(version, TLS1_2).to_bytes(2)
        + random
        + _vector(1, session_id)
        + _vector(2, numbers)
        + _vector(1, b"\0")  # no compression
    )
    if version > SSL3:
        body += _vector(2, _extensions(version, server_name, random))
    handshake = b"\x01" + _vector(3, body)
    return b"\x16" + min(version, TLS1_0).to_bytes(2) + _vector(2, handshake)


def _fits(since: int, version: int) -> bool:
    return since == TLS1_3 if version == TLS1_3 else since <= version


def _vector(length_octets: int, content: bytes) -> bytes:
    return len(content).to_bytes(length_octets) + content


def _numbers(length_octets: int, numbers: tuple[int, ...]) -> bytes:
    return _vector(length_octets, b"".join(n.to_bytes(2) for n in numbers))


def _extensions(version: int, server_name: str | None, key_share: bytes) -> bytes:
    chosen: list[tuple[int, bytes]] = []
    if name := _dns_name(server_name):
        chosen.append((0, _vector(2, b"\0" + _vector(2, name))))
    chosen.append((10, _numbers(2, _GROUPS)))
    if version >= TLS1_2:
        chosen.append((13, _numbers(2, _SIGNATURES)))
    if version == TLS1_3:
        chosen.append((43, _numbers(1, (TLS1_3,))))
        chosen.append((45, _vector(1, b"\x01")))  # psk_dhe_ke
        chosen.append((51, _vector(2, _GROUPS[0].to_bytes(2) + _vector(2, key_share))))
    else:
        chosen.append((11, _vector(1, b"\0")))  # uncompressed points
        chosen.append((23, b""))  # extended_master_secret
    return b"".join(number.to_bytes(2) + _vector(2, content) for number, content in chosen)


def _dns_name(name: str | None) -> bytes | None:
    """`name` as SNI may carry it (RFC 6066 §3): no literal address, no trailing dot."""
    if not name or not name.isascii():
        return None
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return name.rstrip(".").encode("ascii")[:255] or None
    return None


class ServerHelloReader:
    """The answer to a ClientHello, out of a stream that may be cut anywhere."""

    def __init__(self) -> None:
        self._buffer = bytearray()  # of records not yet whole
        self._first = b""
        self._hello = bytearray()  # the handshake message, over record bounds
        self._alert = bytearray()
        self._records = 0
        self._answer: Answer | None = None

    def feed(self, data: bytes) -> Answer | None:
        """The answer once it is whole, None before. Later octets don't change it."""
        if self._answer is None:
            self._first = (self._first + data[:FIRST_OCTETS])[:FIRST_OCTETS]
            self._buffer += data
            while self._answer is None and self._buffer:
                if (fragment := self._fragment()) is None:
                    break
                self._answer = self._take(*fragment)
        return self._answer

    def end(self) -> Answer:
        """At end of stream: the answer, or that it never became whole."""
        if self._answer is None:
            self._answer = self._not_tls("closed before a whole ServerHello")
        return self._answer

    def _fragment(self) -> tuple[int, bytes] | None:
        """Content type and fragment of the next record, None until it is whole."""
        kind, major = self._buffer[0], bytes(self._buffer[1:2])
        if kind not in (20, 21, 22, 23) or major not in (b"", b"\x03"):
            self._answer = self._not_tls("not a TLS record")
            return None
        if len(self._buffer) < 5:
            return None
        length = int.from_bytes(self._buffer[3:5])
        if length > MAX_RECORD_OCTETS:
            self._answer = self._not_tls(f"a record of {length} octets")
            return None
        if len(self._buffer) < 5 + length:
            return None
        fragment = bytes(self._buffer[5 : 5 + length])
        del self._buffer[: 5 + length]
        return kind, fragment

    def _take(self, kind: int, fragment: bytes) -> Answer | None:
        self._records += 1
        if kind == 22:
            self._hello += fragment
            if (answer := self._server_hello()) is not None:
                return answer
        elif kind == 21:
            self._alert += fragment
            while self._alert[:2] == _UNRECOGNIZED_NAME:
                del self._alert[:2]
            if len(self._alert) >= 2:
                return Alert(fatal=self._alert[0] != 1, description=self._alert[1])
        else:
            return self._not_tls(f"record type {kind} where a ServerHello was due")
        if self._records >= MAX_RECORDS or len(self._hello) > MAX_HELLO_OCTETS:
            return self._not_tls("no ServerHello within the budget")
        return None

    def _server_hello(self) -> Answer | None:
        if self._hello and self._hello[0] != 2:
            return self._not_tls(f"handshake message {self._hello[0]} where a ServerHello was due")
        if len(self._hello) < 4:
            return None
        length = int.from_bytes(self._hello[1:4])
        if length > MAX_HELLO_OCTETS:
            return self._not_tls(f"a ServerHello of {length} octets")
        if len(self._hello) < 4 + length:
            return None
        return _parsed(bytes(self._hello[4 : 4 + length])) or self._not_tls("a garbled ServerHello")

    def _not_tls(self, detail: str) -> NotTls:
        return NotTls(first_octets=self._first, detail=detail)


def _parsed(body: bytes) -> ServerHello | None:
    """A ServerHello's body (RFC 5246 §7.4.1.3, RFC 8446 §4.1.3), None when it is garbled."""
    if len(body) < 38 or len(body) < 38 + body[34]:
        return None
    legacy, random = int.from_bytes(body[0:2]), body[2:34]
    after = 35 + body[34]
    cipher, extensions = int.from_bytes(body[after : after + 2]), body[after + 3 :]
    version = _chosen_version(extensions) or legacy
    return ServerHello(
        version=version, legacy_version=legacy, cipher=cipher, retry=random == _RETRY_RANDOM
    )


def _chosen_version(extensions: bytes) -> int | None:
    """The supported_versions extension; a garbled list ends where it stops making sense."""
    rest = extensions[2:]
    while len(rest) >= 4:
        number, length = int.from_bytes(rest[0:2]), int.from_bytes(rest[2:4])
        if number == 43 and length == 2 and len(rest) >= 6:
            return int.from_bytes(rest[4:6])
        rest = rest[4 + length :]
    return None
